"""Where an artefact lies: a directory, or a prefix in S3 of which a copy is made.

What S3 holds is fetched once into a cache (`XDG_CACHE_HOME/fourstep`, which may be deleted while
nothing runs), verified, and used as a directory from then on.
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

_READ_BYTES = 1 << 20
_LAST = ("manifest.json", "run.json", "verdict.json")
"""Whoever finds one of these finds the rest."""


def is_remote(uri: str) -> bool:
    """True where `uri` is no path of this machine."""
    return uri.startswith("s3://")


def cache() -> Path:
    """Where copies and what is yet to be published lie on this machine."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "fourstep"
    path.mkdir(parents=True, exist_ok=True)
    return path


def staged(run_dir: str, run_id: str) -> Path:
    """Where this machine writes a run: its directory, or for a remote one a place in the cache."""
    return cache() / "runs" / run_id if is_remote(run_dir) else Path(run_dir)


def fetch(uri: str) -> Path:
    """The artefact at `uri` as a directory; of an S3 prefix, a verified copy.

    Raises:
        Unreachable: AWS does not answer or does not let us in.
        Unreadable: no artefact is there, or a file is not what its checksum says.
    """
    if not is_remote(uri):
        return Path(uri)
    files = _listed(uri)
    if not files.keys() & set(_LAST):
        raise Unreadable(
            f"`{uri}` is neither a workload nor a run",
            hint="name the prefix that holds manifest.json or run.json",
        )
    # Names, sizes and S3's own tags: another workload at the same place is another copy.
    identity = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    copy = cache() / f"{PurePosixPath(uri).name}-{identity[:16]}"
    if copy.is_dir():
        return copy
    with tempfile.TemporaryDirectory(dir=cache()) as aside:
        partial = Path(aside) / copy.name
        for name in files:
            fetch_file(f"{uri.rstrip('/')}/{name}", partial / name)
        for name, sha256 in _stated(partial).items():
            if not (partial / name).is_file() or sha256_of(partial / name) != sha256:
                raise Unreadable(f"`{uri}` is damaged: `{name}` does not match its checksum")
        # Unless another process of this machine was quicker.
        with suppress(OSError):
            partial.rename(copy)
    return copy


def fetch_file(uri: str, path: Path) -> None:
    """Copy one object to `path`.

    Raises:
        Unreadable: it is gone, or not what was put there.
    """
    from replay.bucket import Object

    s3, place = _s3(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = Object(s3, *place)
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            while data := source.read(_READ_BYTES):
                digest.update(data)
                file.write(data)
    finally:
        source.close()
    if source.sha256 not in (None, digest.hexdigest()):
        raise Unreadable(f"`{uri}` does not match its checksum")


def publish(directory: Path, uri: str, *, names: Iterable[str] | None = None) -> None:
    """Put the files of a directory at `uri`, or those of these names.

    Raises:
        Unreachable: AWS does not answer or does not let us in.
        Unreadable: it does not take a file.
    """
    from replay.bucket import put

    if names is None:
        found = (path for path in directory.rglob("*") if path.is_file())
        names = (str(path.relative_to(directory)) for path in found)
    for name in sorted(names, key=lambda name: (name in _LAST, name)):
        s3, place = _s3(f"{uri.rstrip('/')}/{name}")
        put(s3, directory / name, *place)


@contextmanager
def written(uri: str) -> Iterator[Path]:
    """The directory to write an artefact to; where `uri` is remote, published when all is well.

    Raises:
        UsageError: the prefix holds something; nothing in S3 is ever overwritten.
    """
    if not is_remote(uri):
        yield Path(uri)
        return
    refuse_taken(uri)
    with tempfile.TemporaryDirectory(dir=cache()) as aside:
        path = Path(aside) / (PurePosixPath(uri).name or "artefact")
        yield path
        publish(path, uri)


def refuse_taken(uri: str) -> None:
    """Raises UsageError where something lies at a remote `uri`."""
    if _listed(uri):
        raise UsageError(
            f"`{uri}` is not empty, and nothing in S3 is overwritten", hint="name another prefix"
        )


def _listed(uri: str) -> dict[str, tuple[int, str]]:
    """Size and tag of each file of the artefact at `uri`, by its name there."""
    from replay import aws, bucket

    with aws.listing(uri):
        s3, (name, prefix) = _s3(f"{uri.rstrip('/')}/")
        found = bucket.listed(s3, name, prefix)
    files = {entry["Key"][len(prefix) :]: (entry["Size"], entry["ETag"]) for entry in found}
    # What others put there must not lead out of our directory.
    return {
        name: facts
        for name, facts in files.items()
        if name and not name.endswith("/") and not {"..", ""} & set(name.split("/"))
    }


def _s3(uri: str) -> tuple[Any, tuple[str, str]]:
    # Only who has something in S3 waits for botocore to be imported.
    from replay import aws, bucket

    return aws.client("s3"), bucket.place_of(uri)


def _stated(artefact: Path) -> dict[str, str]:
    """The hashes that an artefact's own document states, by name of file."""
    if (artefact / "manifest.json").is_file():
        manifest: dict[str, str] = read_json(artefact / "manifest.json", what="workload")["sha256"]
        return manifest
    if not (artefact / "run.json").is_file():
        return {}
    workers = read_json(artefact / "run.json", what="run")["workers"]
    return {f"samples/{each['file']}": each["sha256"] for each in workers if each.get("file")}
