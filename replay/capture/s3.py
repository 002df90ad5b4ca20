"""Logs in S3: the objects behind a prefix."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, BinaryIO, cast

from replay import aws
from replay.bucket import Object, listed, place_of
from replay.capture.source import Source
from replay.errors import Unreadable


def find_objects(name: str) -> list[Source]:
    """The objects behind `s3://BUCKET/…`, in order of key, as sources.

    What follows the bucket is an object's key, a glob over keys in which `*` matches `/` too, or a
    prefix of keys, in this order. Empty objects that end in `/` are folders, and left out.

    Raises:
        UsageError: no bucket is named.
        Unreachable: AWS does not answer, does not let us in, or has no such bucket.
        Unreadable: nothing is there.
    """
    bucket, path = place_of(name)
    prefix = re.split(r"[*?[]", path, maxsplit=1)[0]
    with aws.listing(name):
        s3 = aws.client("s3")
        objects = listed(s3, bucket, prefix)
    keys = sorted(
        entry["Key"] for entry in objects if entry["Size"] or not entry["Key"].endswith("/")
    )
    if path in keys:
        keys = [path]
    elif prefix != path:
        keys = [key for key in keys if fnmatchcase(key, path)]
    if not keys:
        raise Unreadable(
            f"`{name}` is no log: no object's key begins like this or matches",
            hint=f"`aws s3 ls s3://{bucket}/` shows what is there; "
            "prefixes and globs work: s3://BUCKET/logs/2026-*.csv.gz",
        )
    return [
        Source(
            uri=f"s3://{bucket}/{key}",
            name=key.rpartition("/")[2] or key,
            open_raw=partial(_open, s3, bucket, key),
        )
        for key in keys
    ]


def _open(s3: Any, bucket: str, key: str) -> BinaryIO:  # noqa: ANN401  a client made at run time
    return cast(BinaryIO, Object(s3, bucket, key))
