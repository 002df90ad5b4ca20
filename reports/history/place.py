"""Where a history lies: small files in a directory or under a prefix in S3, each written once.

Files never change, so that two writers cannot be in each other's way, and one that is not whole is
none: in a directory they are written aside and renamed, and S3 shows whole objects only.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from replay.errors import Unreadable, UsageError
from replay.store import Prefix, cache, is_remote


class Place:
    """A directory or a prefix. Of what is in S3 this machine keeps copies, by S3's tag.

    Raises:
        UsageError: `uri` is a file, or names no bucket.
        Unreachable: AWS does not answer or does not let us in; so do all methods.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._prefix = Prefix(uri) if is_remote(uri) else None
        if self._prefix is None and Path(uri).is_file():
            raise UsageError(f"`{uri}` is a file", hint="name a directory")

    def files(self) -> dict[str, Path]:
        """Its files by name, ascending, on this machine; none where it does not exist yet."""
        if self._prefix is None:
            directory = Path(self.uri)
            found = directory.iterdir() if directory.is_dir() else ()
            return {p.name: p for p in sorted(found) if p.is_file() and p.name[0] != "."}
        copies = {}
        for name, told in sorted(self._prefix.files().items()):
            identity = hashlib.sha256(f"{self.uri} {name} {told}".encode()).hexdigest()
            copies[name] = cache() / "history" / identity[:16]
            if not copies[name].is_file():
                self._prefix.get(name, copies[name])
        return copies

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        """Add or replace one file; `write` writes the path that it is given.

        Raises:
            Unreadable: there is no room, or no right to write.
        """
        try:
            if self._prefix is None:
                Path(self.uri).mkdir(parents=True, exist_ok=True)
                write(Path(self.uri) / name)
                return
            with tempfile.TemporaryDirectory(dir=cache()) as aside:
                write(Path(aside) / name)
                self._prefix.put(Path(aside), [name])
        except OSError as error:
            raise Unreadable(
                f"`{name}` cannot be written to `{self.uri}`",
                hint="the report is whole: when there is room, say the same again",
            ) from error
