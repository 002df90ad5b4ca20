"""What MySQL's slow and general logs share: a record is a head and a text; servers put banners in.

Stamps are `YYMMDD h:mm:ss` in the server's own zone, which they do not name, up to MySQL 5.6 and in
all of MariaDB; ISO 8601 with `Z` or an offset (`log_timestamps`) since MySQL 5.7. Old servers leave
out a stamp within the same second, even where a new file begins: what comes before the first stamp
of a log takes that.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import BlockReader, bytes_of, extract, mask
from replay.capture.record import Bools, Ints, ReaderOptions, Recognised, What, records_of
from replay.capture.stamp import stamps_us

_CLOCK = r"(?:\d{6} {1,2}\d\d?|\d{4}-\d\d-\d\dT\d\d):\d\d:\d\d(?:\.\d+)?"
_ZONE = r"(?:Z|[+-]\d\d:\d\d)"
_CLOCK_AND_ZONE = rf"^(?P<clock>{_CLOCK})(?P<zone>{_ZONE})?\s*$"
STAMP = rf"(?P<stamp>{_CLOCK}{_ZONE}?)"
DATABASE = r"`(?:[^`]|``)*`|[^\s;`]+"
_BANNER = (
    r"[^\n]*, Version: [^\n]* started with:\r?\n"
    r"(?:TCP [Pp]ort|Tcp port): [^\n]*\n"
    r"Time[ \t]+Id[ \t]+Command[ \t]+Argument[^\n]*\n?"
)
"""Three lines that begin a log, and come again at each restart and each FLUSH LOGS."""
_ONE_BANNER, _ONLY_BANNERS = (re.compile(p.encode()) for p in (_BANNER, f"(?:{_BANNER})+"))
_FIRST_WORD = r"^\s*(?P<word>[A-Za-z]{2,20})\b"
_ZONELESS = (
    "stamps name no time zone and are taken as UTC; say with --timezone which zone the server's "
    "clock shows"
)
_NO_TEXT = pa.scalar(None, pa.string())
_MOST_HELD_BYTES = 16 << 20
"""A log is searched so far for its first stamp."""


@dataclass
class MysqlLog(BlockReader):
    """A log whose records are told by their heads."""

    options: ReaderOptions
    resolution_us: int = 1_000_000

    name: ClassVar[str]
    evidence: ClassVar[tuple[str, re.Pattern[bytes]]]
    """What tells the format, in a user's words and as a pattern."""
    stamped: ClassVar[re.Pattern[bytes]]
    """A head's stamp."""
    dialect: str = "mysql"
    meaning: str = "start"
    unique_sessions: bool = False
    notes: set[str] = field(default_factory=set)
    _last_us: int | None = None

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a record's head; or banners and nothing else, which both logs may hold."""
        words, pattern = cls.evidence
        if found := pattern.search(head):
            line = head.count(b"\n", 0, found.start()) + 1
            evidence = f"line {line} has {words}"
        elif _ONLY_BANNERS.fullmatch(head):
            evidence = "it begins with a MySQL server's banner"
        elif options.chosen:
            evidence = "as told"
        else:
            return None
        stamps = [found["stamp"] for found in cls.stamped.finditer(head)]
        fine = bool(stamps) and all(b"." in stamp for stamp in stamps)
        return Recognised(cls(options, 1 if fine else 1_000_000), evidence)

    def adopt(self, other: Self) -> bool:
        """All logs of a kind are read alike; the coarsest stamps tell how fine they are."""
        self.resolution_us = max(self.resolution_us, other.resolution_us)
        return True

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at heads and banners; a log's first ones wait for its first stamp."""
        others = np.array([0, *_banner_edges(block)], dtype=np.int64)
        starts = np.union1d(self._starts(block, last=last), others)
        if last:
            return starts, len(block)
        end = int(starts[-1])
        waits = self._last_us is None and end < _MOST_HELD_BYTES
        if waits and not self.stamped.search(block, 0, end):
            return starts[:0], 0
        return starts[:-1], end

    @abstractmethod
    def _starts(self, block: bytes, *, last: bool) -> Ints:
        """Offsets where heads begin."""

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by their head and text; what they leave out comes from those before them."""
        blank = mask(pc.utf8_is_space(records))
        if blank.any():
            records, lines = records.filter(pa.array(~blank)), lines[~blank]
        columns = self._columns(records, lines) if len(records) else {}
        if last:
            self._last_us = None
            self._forget()
        return records_of(len(lines), columns)

    @abstractmethod
    def _columns(self, records: pa.StringArray, lines: Ints) -> dict[str, Any]:
        """Columns of RECORDS for one or more records."""

    @abstractmethod
    def _forget(self) -> None:
        """Keep nothing of a log that has ended."""

    def _moments_us(self, stamps: pa.StringArray) -> pa.Int64Array:
        """Microseconds since the epoch, UTC; null where a text is no stamp."""
        found = extract(stamps, _CLOCK_AND_ZONE)
        clock, zone = found["clock"], found["zone"]
        if self.options.zone is None and pc.any(pc.equal(zone, "")).as_py():
            self.notes.add(_ZONELESS)
        if pc.any(pc.match_substring(clock, " ")).as_py():
            date, hour = r"^(\d\d)(\d\d)(\d\d) +(\d\d?:)", r" (\d):"
            clock = pc.replace_substring_regex(clock, date, r"20\1-\2-\3 \4")
            clock = pc.replace_substring_regex(clock, hour, r" 0\1:")
        return stamps_us(clock, zone, zone=self.options.zone)

    def _at_us(self, stamps: pa.StringArray) -> pa.Int64Array:
        """A record's own stamp, else the last one before it, else the log's first."""
        at_us = pc.fill_null_backward(carried(self._moments_us(stamps), self._last_us))
        self._last_us = at_us[-1].as_py()
        return at_us


def taken_apart(
    records: pa.StringArray, head: str, ends: Ints
) -> tuple[dict[str, pa.StringArray], pa.StringArray]:
    """The groups of each record's head, one of which is `head` itself, and the text behind it up to
    where it ends, in bytes from the record's beginning.
    """
    groups = extract(records, head)
    sizes = np.asarray(pc.binary_length(records), dtype=np.int64)
    begins = np.asarray(pc.fill_null(pc.binary_length(groups["head"]), 0), dtype=np.int64)
    first = np.cumsum(sizes) - sizes
    # One after the other, head, text and rest are all there is: every third is a text.
    edges = np.column_stack([first, first + np.minimum(begins, ends), first + ends])
    offsets = np.append(edges, sizes.sum()).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(bytes_of(records))]
    pieces = pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
    return groups, pieces.take(pa.array(np.arange(1, len(pieces), 3)))


def judged(
    records: pa.StringArray,
    lines: Ints,
    text: pa.StringArray,
    at_us: pa.Int64Array,
    *,
    headed: Bools,
    ended: Bools,
    rules: Iterable[tuple[Bools, What, str]],
) -> dict[str, Any]:
    """Columns that say what each record is, by rules: rows, what they are and why.

    A later rule overrules an earlier one. A banner at a file's beginning tells of a rotation of
    logs, which sessions outlive.
    """
    banner = ~headed
    some = records.filter(pa.array(banner))
    banner[banner] = mask(pc.match_substring_regex(some, "^" + _BANNER))
    what = np.full(len(text), What.STATEMENT, dtype=np.int8)
    reason = np.full(len(text), None, dtype=object)
    for rows, kind, words in (
        (mask(pc.equal(text, "")), What.SKIPPED, "empty statement"),
        (mask(at_us.is_null()), What.QUARANTINED, "no stamp"),
        *rules,
        (~ended, What.QUARANTINED, "cut off"),
        (~headed, What.QUARANTINED, "no header"),
        (banner, What.RESTART, "server banner"),
        (banner & (lines == 1), What.SKIPPED, "server banner"),
    ):
        what[rows], reason[rows] = kind, words
    bad = what == What.QUARANTINED
    # A statement's first word is none of its values; what has no head may be a value's middle.
    shown = pc.if_else(pa.array(bad & headed), text, _NO_TEXT)
    begins = pc.binary_join_element_wise(extract(shown, _FIRST_WORD)["word"], "…", " ")
    excerpt = pc.if_else(pa.array(bad), pc.fill_null(begins, ""), _NO_TEXT)
    return {
        "line": lines,
        "what": what,
        "reason": pa.array(reason, type=pa.string()),
        "excerpt": excerpt,
        "at_us": at_us,
        "sql": pc.if_else(pa.array(what == What.STATEMENT), text, _NO_TEXT),
    }


def unquoted(names: pa.StringArray) -> pa.StringArray:
    """Names as they are, without their quotes."""
    return pc.replace_substring(pc.utf8_trim(names, characters="`"), "``", "`")


def carried(values: pa.Array, seed: object) -> pa.Array:
    """The values, each null replaced by the last value before it; `seed` is before the first."""
    first = pa.array([seed], type=values.type)
    return pc.fill_null_forward(pa.concat_arrays([first, values]))[1:]


def given(texts: pa.StringArray) -> pa.StringArray:
    """Empty as null."""
    return pc.if_else(pc.equal(texts, ""), _NO_TEXT, texts)


def _banner_edges(block: bytes) -> list[int]:
    """Offsets where banners begin, and where something follows one."""
    found, at = [], -1
    while (at := block.find(b" started with:", at + 1)) >= 0:
        if banner := _ONE_BANNER.match(block, block.rfind(b"\n", 0, at) + 1):
            found += [edge for edge in banner.span() if edge < len(block)]
    return found
