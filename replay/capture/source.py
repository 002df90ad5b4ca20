"""Where logs are read from: files, globs, directories and standard input, plain or gzipped.

A source hands out bytes and remembers how many there were and what they hash to, so that the
manifest can say exactly what was captured.
"""

from __future__ import annotations

import glob
import hashlib
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from replay.errors import Unreadable

STANDARD_INPUT = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31
"""zlib's window bits for a gzip header and trailer."""
_PACKED_BYTES = 1 << 16


@dataclass(kw_only=True)
class Source:
    """One log file: where it is and, once read, what it was."""

    uri: str
    name: str
    """What `origin` calls it: the file's name without its directories."""
    bytes: int = 0
    records: int = 0
    damage: str | None = None
    """Why its compression could not be read to the end; what came before was handed out."""
    sha256: Any = field(default_factory=hashlib.sha256)

    def as_json(self, *, log_format: str) -> dict[str, Any]:
        """An entry of the manifest's `sources`."""
        return {
            "uri": self.uri,
            "format": log_format,
            "bytes": self.bytes,
            "sha256": self.sha256.hexdigest(),
            "records": self.records,
        }

    @contextmanager
    def opened(self) -> Iterator[io.BufferedReader[Any]]:
        """The bytes of the log, decompressed; counted and hashed as stored.

        Raises:
            Unreadable: it cannot be opened.
        """
        with self._raw() as raw:
            counted = _buffered(_Counted(raw, self))
            gzipped = counted.peek(2)[:2] == _GZIP_MAGIC
            yield _buffered(_Gunzipped(counted, self)) if gzipped else counted

    def _raw(self) -> BinaryIO:
        if self.uri == STANDARD_INPUT:
            return sys.stdin.buffer
        try:
            return Path(self.uri).open("rb")
        except OSError as error:
            raise Unreadable(f"`{self.uri}` cannot be read") from error


class _Counted(io.RawIOBase):
    def __init__(self, raw: BinaryIO, source: Source) -> None:
        self._raw = raw
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._source.bytes += len(data)
        self._source.sha256.update(data)
        return len(data)


class _Gunzipped(io.RawIOBase):
    """Decompresses member by member; damage ends the stream after all that came before it.

    gzip.GzipFile would throw away what it has decompressed when it meets the damage.
    """

    def __init__(self, packed: io.BufferedReader[Any], source: Source) -> None:
        self._packed = packed
        self._source = source
        self._member = zlib.decompressobj(_GZIP_FORMAT)
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        while not self._ready and self._source.damage is None:
            packed = self._member.unused_data or self._packed.read1(_PACKED_BYTES)
            if self._member.eof and packed:
                self._member = zlib.decompressobj(_GZIP_FORMAT)
            if not packed:
                if not self._member.eof:
                    self._source.damage = "gzip ends in the middle"
                return 0
            try:
                self._ready = self._member.decompress(packed)
            except zlib.error as error:
                self._source.damage = f"gzip: {error}"
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _buffered(raw: io.RawIOBase) -> io.BufferedReader[Any]:
    return io.BufferedReader(raw, 1 << 20)


def find_sources(names: Sequence[str]) -> list[Source]:
    """The files behind the names given, in order of name within a directory or a glob.

    Raises:
        Unreadable: a name stands for nothing.
    """
    found: list[Source] = []
    for name in names:
        if name == STANDARD_INPUT:
            found.append(Source(uri=name, name="stdin"))
            continue
        path = Path(name)
        if path.is_dir():
            paths = sorted(entry for entry in path.iterdir() if entry.is_file())
        elif path.exists():
            paths = [path]
        else:
            # Path.glob refuses absolute patterns.
            found_names = glob.glob(name, recursive=True)  # noqa: PTH207
            paths = sorted(Path(entry) for entry in found_names)
        if not paths:
            raise Unreadable(
                f"`{name}` is no log: no file has that name",
                hint="name files, globs or directories, or `-` for standard input",
            )
        found += [Source(uri=str(entry), name=entry.name) for entry in paths]
    return found
