"""Logs in S3: the objects behind a prefix, read as streams that survive a broken connection."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from replay import aws
from replay.capture.source import Source
from replay.errors import Unreadable, UsageError

_ATTEMPTS = 5
"""So often in a row a body may break without a byte in between."""
_WAIT_S = 0.5


def find_objects(name: str) -> list[Source]:
    """The objects behind `s3://BUCKET/…`, in order of key, as sources.

    What follows the bucket is an object's key, a glob over keys in which `*` matches `/` too, or a
    prefix of keys, in this order. Empty objects that end in `/` are folders, and left out.

    Raises:
        UsageError: no bucket is named.
        Unreachable: AWS does not answer, does not let us in, or has no such bucket.
        Unreadable: nothing is there.
    """
    bucket, _, path = name.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"`{name}` names no bucket", hint="write s3://BUCKET/PREFIX")
    prefix = re.split(r"[*?[]", path, maxsplit=1)[0]
    with aws.reaching(name):
        s3 = aws.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [entry for page in pages for entry in page.get("Contents", ())]
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
    return cast(BinaryIO, _Object(s3, bucket, key))


class _Object:
    """One object from its beginning on. The connection is closed where reading stops.

    A body that breaks is asked for again from where it broke, if the object is still the same.
    """

    def __init__(self, s3: Any, bucket: str, key: str) -> None:  # noqa: ANN401
        self._s3 = s3
        self._object = {"Bucket": bucket, "Key": key}
        self._uri = f"s3://{bucket}/{key}"
        self._offset = 0
        self._failures = 0
        try:
            answer = s3.get_object(**self._object)
        except aws.ERRORS as error:
            raise aws.failure(self._uri, error, opens=True) from error
        self._etag: str = answer["ETag"]
        self._size: int = answer["ContentLength"]
        self._body: Any = answer["Body"]

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            Unreadable: the rest of the object cannot be had.
        """
        while True:
            try:
                data = self._read(size)
            except FlexibleChecksumError as error:
                raise Unreadable(f"`{self._uri}` does not match its checksum") from error
            except (BotoCoreError, HTTPError, OSError) as error:
                self._broke(error)
                continue
            self._offset += len(data)
            self._failures = 0
            return data

    def close(self) -> None:
        """Let go of the connection; what was not read is never sent."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _read(self, size: int) -> bytes:
        if self._body is None:
            if self._offset >= self._size:
                return b""
            self._body = self._rest()
        # botocore counts the bytes and raises if the body ends too early.
        data: bytes = self._body.read(size)
        return data

    def _rest(self) -> Any:  # noqa: ANN401  botocore's body
        wanted = {"Range": f"bytes={self._offset}-", "IfMatch": self._etag}
        try:
            return self._s3.get_object(**self._object, **wanted)["Body"]
        except ClientError as error:
            raise aws.failure(self._uri, error) from error

    def _broke(self, error: Exception) -> None:
        self.close()
        self._failures += 1
        if self._failures >= _ATTEMPTS:
            raise Unreadable(f"`{self._uri}` breaks off at byte {self._offset:,}") from error
        time.sleep(_WAIT_S * 2 ** (self._failures - 1))
