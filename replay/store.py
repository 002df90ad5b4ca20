"""Where an artefact lies: a directory, or a prefix in S3 of which this machine has a copy.

What S3 holds is fetched once into a cache (`XDG_CACHE_HOME/fourstep`, which may be deleted while
nothing runs), verified, and a directory from then on. Memory is bounded: files go in parts of
8 MB, and S3 refuses a part whose SHA-256 is not what was sent along.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from replay.artefact import read_json, sha256_of
from replay.errors import Unreadable, UsageError
from replay.run import files_of

_CHECKSUM = {"ChecksumAlgorithm": "SHA256"}
_LAST = ("manifest.json", "run.json", "verdict.json")
"""Whoever finds one of these finds the rest."""


def is_remote(uri: str) -> bool:
    """True where `uri` is no path of this machine."""
    return uri.startswith("s3://")


def cache() -> Path:
    """Where copies, and what is yet to be published, lie on this machine."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fourstep"
    path.mkdir(parents=True, exist_ok=True)
    return path


def staged(run_dir: str, run_id: str) -> Path:
    """Where this machine writes a run."""
    return cache() / "runs" / run_id if is_remote(run_dir) else Path(run_dir)


def fetch(uri: str) -> Path:
    """The artefact at `uri` as a directory; of an S3 prefix, a verified copy.

    Raises:
        Unreachable: AWS does not answer or does not let us in.
        Unreadable: no artefact is there, or a file is not what the artefact says.
    """
    if not is_remote(uri):
        return Path(uri)
    prefix = Prefix(uri)
    files = prefix.files()
    if not files.keys() & {"manifest.json", "run.json"}:
        hint = "name the prefix that holds manifest.json or run.json"
        raise Unreadable(f"`{uri}` is neither a workload nor a run", hint=hint)
    # Another artefact at the same place has other tags, and is another copy.
    identity = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    copy = cache() / f"{PurePosixPath(uri).name}-{identity[:16]}"
    if copy.is_dir():
        return copy
    with tempfile.TemporaryDirectory(dir=cache()) as aside:
        partial = Path(aside) / copy.name
        for name in files:
            prefix.get(name, partial / name)
        for name, sha256 in _stated(partial).items():
            if not (partial / name).is_file() or sha256_of(partial / name) != sha256:
                raise Unreadable(f"`{uri}` is damaged: `{name}` does not match its checksum")
        # Unless another process of this machine was quicker.
        with suppress(OSError):
            partial.rename(copy)
    return copy


@contextmanager
def written(uri: str) -> Iterator[Path]:
    """The directory to write an artefact to; where `uri` is remote, published when all is well."""
    if not is_remote(uri):
        yield Path(uri)
        return
    prefix = Prefix(uri)
    prefix.refuse_taken()
    with tempfile.TemporaryDirectory(dir=cache()) as aside:
        path = Path(aside) / PurePosixPath(uri).name
        yield path
        found = (file for file in path.rglob("*") if file.is_file())
        prefix.put(path, (str(file.relative_to(path)) for file in found))


class Prefix:
    """An artefact's place in S3. Every method raises Unreachable where AWS does not serve us.

    Raises:
        UsageError: `uri` names no bucket.
    """

    def __init__(self, uri: str) -> None:
        # Only who has something in S3 waits for these.
        from boto3.s3.transfer import S3Transfer, TransferConfig

        from replay import aws

        self._uri = uri.rstrip("/") + "/"
        self._bucket, _, self._key = self._uri.removeprefix("s3://").partition("/")
        if not self._bucket:
            raise UsageError(f"`{uri}` names no bucket", hint="write s3://BUCKET/PREFIX")
        self._reaching = aws.reaching
        with aws.reaching(uri):
            self._s3 = aws.client("s3")
        # In this thread: others would belong to gevent in a process of Locust.
        config = TransferConfig(use_threads=False, preferred_transfer_client="classic")
        self._transfer = S3Transfer(self._s3, config)

    def files(self) -> dict[str, list[Any]]:
        """Size and S3's tag of each file of the artefact, by its name there."""
        with self._reaching(self._uri):
            pages = self._s3.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._bucket, Prefix=self._key).search("Contents[]")
            told = [(each["Key"], each["Size"], each["ETag"]) for each in found if each]
        # Folders are empty objects; and what others put there must not lead out of our directory.
        files = {key[len(self._key) :]: rest for key, *rest in told}
        return {name: rest for name, rest in files.items() if not {"", ".."} & {*name.split("/")}}

    def refuse_taken(self) -> None:
        """Raises UsageError where something lies here: nothing in S3 is overwritten."""
        if self.files():
            why = f"`{self._uri}` is not empty, and nothing in S3 is overwritten"
            raise UsageError(why, hint="name another prefix")

    def get(self, name: str, path: Path) -> None:
        """Copy one file of the artefact to `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._reaching(self._uri + name):
            self._transfer.download_file(self._bucket, self._key + name, str(path))

    def put(self, directory: Path, names: Iterable[str]) -> None:
        """Publish these files of a directory; what says that the artefact is whole comes last."""
        for name in sorted(names, key=lambda name: (name in _LAST, name)):
            with self._reaching(self._uri + name):
                place = (self._bucket, self._key + name)
                self._transfer.upload_file(str(directory / name), *place, extra_args=_CHECKSUM)


def _stated(artefact: Path) -> dict[str, str]:
    """The hashes that an artefact's own document states, by name of file."""
    if (artefact / "manifest.json").is_file():
        stated: dict[str, str] = read_json(artefact / "manifest.json", what="workload")["sha256"]
        return stated
    workers = read_json(artefact / "run.json", what="run")["workers"]
    files = (file for worker in workers for file in files_of(worker))
    return {f"samples/{each['file']}": each["sha256"] for each in files}
