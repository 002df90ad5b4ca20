"""Where logs are read from: files, globs, directories, standard input, S3 and CloudWatch, plain or
compressed.

A source hands out bytes and remembers how many there were and what they hash to, so that the
manifest can say exactly what was captured.
"""

from __future__ import annotations

import bz2
import glob
import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from replay.errors import Unreadable

STANDARD_INPUT = "-"
_GZIP_FORMAT = 31
"""zlib's window bits for a gzip header and trailer."""
_PACKED_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 20

_PACKERS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(_GZIP_FORMAT)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\x28\xb5\x2f\xfd": ("zstd", lambda: zstandard.ZstdDecompressor().decompressobj()),
}
"""By the magic bytes they begin with; each decompressor takes one member or frame."""


@dataclass(kw_only=True)
class Source:
    """One log: where it is and, once read, what it was."""

    uri: str
    name: str
    """What `origin` calls it: the file's name without its directories."""
    open_raw: Callable[[], BinaryIO] = field(repr=False)
    """Opens the stored bytes; raises Unreadable."""
    size: int = 0
    """Stored bytes read so far."""
    records: int = 0
    damage: str | None = None
    """Why its compression could not be read to the end; what came before was handed out."""
    sha256: Any = field(default_factory=hashlib.sha256)

    def as_json(self, *, log_format: str | None) -> dict[str, Any]:
        """An entry of the manifest's `sources`; no format for one that was not read."""
        return {
            "uri": self.uri,
            "format": log_format,
            "bytes": self.size,
            "sha256": self.sha256.hexdigest(),
            "records": self.records,
        }

    @contextmanager
    def opened(self) -> Iterator[io.BufferedReader[Any]]:
        """The bytes of the log, decompressed; counted and hashed as stored.

        Raises:
            Unreadable: it cannot be opened.
        """
        self.size, self.damage, self.sha256 = 0, None, hashlib.sha256()
        with closing(self.open_raw()) as raw:
            counted = io.BufferedReader(_Counted(raw, self), _BUFFER_BYTES)
            head = counted.peek(4)
            for magic, (packer, decompressor) in _PACKERS.items():
                if head.startswith(magic):
                    unpacked = _Unpacked(counted, self, packer, decompressor)
                    yield io.BufferedReader(unpacked, _BUFFER_BYTES)
                    return
            yield counted

    def head(self, size: int) -> bytes:
        """The first bytes, decompressed, as far as they come in one piece."""
        with self.opened() as stream:
            return stream.read(size)


class _Counted(io.RawIOBase):
    def __init__(self, raw: BinaryIO, source: Source) -> None:
        self._raw = raw
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._source.size += len(data)
        self._source.sha256.update(data)
        return len(data)


class _Unpacked(io.RawIOBase):
    """Decompresses member by member; damage ends the stream after all that came before it.

    The standard library's file objects throw away what they have decompressed when they meet it.
    """

    def __init__(
        self,
        packed: io.BufferedReader[Any],
        source: Source,
        packer: str,
        decompressor: Callable[[], Any],
    ) -> None:
        self._packed = packed
        self._source = source
        self._packer = packer
        self._decompressor = decompressor
        self._member = decompressor()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer
        while not self._ready and self._source.damage is None:
            packed = self._member.unused_data or self._packed.read1(_PACKED_BYTES)
            if self._member.eof and packed:
                self._member = self._decompressor()
            if not packed:
                if not self._member.eof:
                    self._source.damage = f"{self._packer} ends in the middle"
                return 0
            try:
                self._ready = memoryview(self._member.decompress(packed))
            except (zlib.error, OSError, zstandard.ZstdError) as error:
                self._source.damage = f"{self._packer}: {error}"
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _StandardInput:
    """Standard input, which can be opened twice: what the first look took comes again."""

    def __init__(self) -> None:
        self._taken = io.BytesIO()
        self._openings = 0

    def open(self) -> BinaryIO:
        self._openings += 1
        self._taken.seek(0)
        return self  # type: ignore[return-value]  # as much of one as is used

    def read(self, size: int) -> bytes:
        data = self._taken.read(size)
        if not data:
            data = sys.stdin.buffer.read(size)
            if self._openings == 1:
                self._taken.write(data)
        return data

    def close(self) -> None:
        """Standard input stays open."""


def find_sources(names: Sequence[str]) -> list[Source]:
    """The logs behind the names given, in order of name within a directory, a glob or a prefix.

    Raises:
        Unreadable: a name stands for nothing.
        Unreachable: AWS does not answer.
        UsageError: a URL holds a password or is none.
    """
    found: list[Source] = []
    for name in names:
        scheme = name.partition("://")[0]
        if name == STANDARD_INPUT:
            found.append(Source(uri=name, name="stdin", open_raw=_StandardInput().open))
        elif scheme == "s3":
            from replay.capture.s3 import find_objects

            found += find_objects(name)
        elif scheme == "cloudwatch":
            from replay.capture.cloudwatch import find_streams

            found += find_streams(name)
        elif scheme in ("redshift", "redshift+serverless"):
            from replay.capture.redshift.views import find_views

            found.append(find_views(name))
        else:
            found += _find_files(name)
    return found


def _find_files(name: str) -> list[Source]:
    path = Path(name)
    if path.is_dir():
        paths = sorted(entry for entry in path.rglob("*") if not entry.is_dir())
    elif path.exists():
        paths = [path]
    else:
        # Path.glob refuses absolute patterns.
        names = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        paths = [entry for entry in map(Path, names) if not entry.is_dir()]
    if not paths:
        raise Unreadable(
            f"`{name}` is no log: no file has that name",
            hint="name files, globs, directories, s3://BUCKET/PREFIX, cloudwatch://GROUP, "
            "redshift://HOST/DATABASE, or `-` for standard input",
        )
    return [
        Source(uri=str(entry), name=entry.name, open_raw=partial(_open_file, entry))
        for entry in paths
    ]


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise Unreadable(f"`{path}` cannot be read") from error
