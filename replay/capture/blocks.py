"""From bytes to records: blocks cut where records begin, bad bytes set aside, lines counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.record import Bools, Ints, quarantined
from replay.capture.source import Source
from replay.errors import Unreadable

BLOCK_BYTES = 2 << 20
_AT_ONCE = 256 << 10
_MOST_BLOCK_BYTES = 16 << 20
_MOST_RECORD_BYTES = 64 << 20
"""A record about so long is quarantined: memory has to stay flat."""

_PARSED_AT_ONCE = 2
_NEWLINE = 10
_NO_STARTS: Ints = np.zeros(0, dtype=np.int64)


class BlockReader(ABC):
    """A format whose records can be told apart by looking at bytes: see `Reader`."""

    blocks_alone: ClassVar[bool] = False
    """`parse` remembers nothing from block to block, so that two may be parsed at a time."""

    @abstractmethod
    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Where records begin in `block` (offsets, 0 first), and where the last whole one ends.

        What lies behind that end comes again at the front of the next block; with `last`, nothing
        comes again and the end is the block's own.
        """

    @abstractmethod
    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """The records, valid UTF-8 and whole with their line ends, as a table of RECORDS.

        May keep back what it cannot finish without the next block. Called with `last` at each
        log's end, perhaps without records: then nothing is kept back, nor remembered of this log.
        """

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every record of a log, a block at a time."""
        with source.opened() as stream:
            yield from read_records(stream, self, whole=lambda: source.damage is None)


def read_records(
    stream: BinaryIO, reader: BlockReader, *, whole: Callable[[], bool] = lambda: True
) -> Iterator[pa.Table]:
    """Every record of a log as tables of RECORDS, a block at a time.

    Records with invalid UTF-8 or NUL and records too long to be held are QUARANTINED rows, and so
    is the last one of a log that breaks off, which `whole` says when it has ended: a statement cut
    short must never run.
    """
    pieces = _pieces(stream, reader, whole)
    if not reader.blocks_alone:
        for piece in pieces:
            yield piece()
        return
    failure: Unreadable | None = None
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(_PARSED_AT_ONCE) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(piece))
                if len(waiting) > _PARSED_AT_ONCE:
                    yield waiting.popleft().result()
        except Unreadable as error:
            failure = error
        while waiting:
            yield waiting.popleft().result()
    if failure is not None:
        raise failure


def _pieces(
    stream: BinaryIO, reader: BlockReader, whole: Callable[[], bool]
) -> Iterator[Callable[[], pa.Table]]:
    """What makes the table of each block, in the log's order."""
    line, rest, want = 1, b"", BLOCK_BYTES
    while True:
        data, failure = _read(stream, want)
        block, ended = rest + data, failure is not None or len(data) < want
        broken = ended and (failure is not None or not whole())
        last = ended and not broken
        starts, end = reader.split(block, last=last) if block else (_NO_STARTS, 0)
        if len(starts) or ended:
            yield partial(_parse, reader, block[:end], starts, line, last=ended)
            line += block.count(b"\n", 0, end)
        rest = block[end:]
        if broken and rest:
            yield partial(quarantined, np.array([line]), "cut off", [f"{len(rest)} bytes"])
        if failure is not None:
            raise failure
        if ended:
            return
        # A record longer than a block would be scanned again and again if blocks did not grow.
        want = min(max(BLOCK_BYTES, len(rest)), _MOST_BLOCK_BYTES)
        if len(rest) > _MOST_RECORD_BYTES:
            yield partial(quarantined, np.array([line]), "longer than 64 MB")
            line += rest.count(b"\n")
            rest = b""


def _read(stream: BinaryIO, size: int) -> tuple[bytes, Unreadable | None]:
    """So many bytes, or those up to the end, or up to where the source breaks."""
    parts: list[bytes] = []
    left = size
    try:
        while left and (part := stream.read(min(left, _AT_ONCE))):
            parts.append(part)
            left -= len(part)
    except Unreadable as error:
        return b"".join(parts), error
    return b"".join(parts), None


def line_starts(block: bytes) -> Ints:
    """Offsets where lines begin, 0 first; a line end at the block's end begins no further line."""
    newlines = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _NEWLINE)
    starts = np.concatenate([[0], newlines + 1])
    return starts[starts < len(block)]


def whole_lines(block: bytes, *, last: bool) -> int:
    """Where the last whole line of a block ends; with `last`, a line without an end is whole."""
    return len(block) if last else block.rfind(b"\n") + 1


def strings_at(data: bytes, starts: Ints) -> pa.BinaryArray:
    """The pieces of `data` that begin at `starts` and end where the next begins; no copy."""
    offsets = np.append(starts, len(data)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(starts), buffers)


def bytes_of(strings: pa.StringArray) -> bytes:
    """The strings one after the other, without a loop over them."""
    if not len(strings):
        return b""
    offsets = np.frombuffer(strings.buffers()[1], dtype=np.int32)
    first, last = offsets[strings.offset], offsets[strings.offset + len(strings)]
    return bytes(strings.buffers()[2][int(first) : int(last)])


def extract(texts: pa.StringArray, pattern: str) -> dict[str, pa.StringArray]:
    """The named groups of an RE2 pattern in each text: empty where a group took no part, null where
    the pattern did not match.
    """
    found = pc.extract_regex(texts, pattern)
    names = [found.type.field(i).name for i in range(found.type.num_fields)]
    return dict(zip(names, found.flatten(), strict=True))


def in_halves(
    records: pa.StringArray,
    lines: Ints,
    parse: Callable[[pa.StringArray, Ints], pa.Table],
    give_up: Callable[[pa.StringArray, Ints], pa.Table],
) -> list[pa.Table]:
    """Records parsed together, or in halves until what raises ArrowInvalid is a record alone."""
    try:
        return [parse(records, lines)]
    except pa.ArrowInvalid:
        if len(records) == 1:
            return [give_up(records, lines)]
    middle = len(records) // 2
    return [
        *in_halves(records[:middle], lines[:middle], parse, give_up),
        *in_halves(records[middle:], lines[middle:], parse, give_up),
    ]


def mask(condition: pa.BooleanArray) -> Bools:
    """An Arrow condition as a numpy mask; null counts as false."""
    return np.asarray(pc.fill_null(condition, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _parse(reader: BlockReader, data: bytes, starts: Ints, line: int, *, last: bool) -> pa.Table:
    records = strings_at(data, starts)
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    lines = line + np.searchsorted(newlines, starts)
    texts = _as_text(records, data)
    if texts is not None:
        return reader.parse(texts, lines, last=last)
    readable = np.array([_readable(text) for text in records.to_pylist()], dtype=np.bool_)
    good = records.filter(pa.array(readable)).cast(pa.string())
    bad = quarantined(lines[~readable], "not text: invalid UTF-8 or a NUL byte")
    return pa.concat_tables([reader.parse(good, lines[readable], last=last), bad])


def _as_text(records: pa.BinaryArray, data: bytes) -> pa.StringArray | None:
    if b"\0" in data:
        return None
    try:
        return records.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def _readable(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in text
