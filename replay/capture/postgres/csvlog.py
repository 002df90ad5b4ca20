"""PostgreSQL's csvlog, 8.4 to 18: 22 to 26 columns, quotes doubled, newlines raw.

Columns by version: PostgreSQL manual, 19.8.4; csvlog.c. A record is found by its quotes, not by its
lines. A record cut off by a crash leaves a quote open; the next line that starts like a whole
record ends it, because no quoted text can hold a comma followed by a single double quote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from replay.capture.blocks import BlockReader, bytes_of, in_halves, mask
from replay.capture.postgres import message
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    Ints,
    ReaderOptions,
    Recognised,
    quarantined,
)
from replay.capture.stamp import zoned_stamps_us

COLUMNS = range(22, 27)
_NAMES = {
    0: "stamp",
    1: "user",
    2: "database",
    5: "session",
    11: "severity",
    12: "sqlstate",
    13: "message",
    14: "detail",
    19: "query",
    22: "application",
}
_STAMP_CHARACTERS = len("2026-03-01 10:00:00.123")

_STAMP = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+:-]+,"
_HEADER = re.compile(
    _STAMP + rb'(?:"[^"]*")?,(?:"[^"]*")?,\d*,(?:"[^"]*")?,[0-9a-f]+\.[0-9a-f]+,\d+,'
)
_STARTS_WITH_STAMP = "^" + _STAMP.decode()
_QUOTE, _COMMA, _NEWLINE, _DASH, _COLON = b'",\n-:'
Bytes = npt.NDArray[np.uint8]


@dataclass
class PostgresCsv(BlockReader):
    """Reads csvlog.

    Raises (while reading):
        UsageError: stamps name a zone whose offset cannot be known.
    """

    options: ReaderOptions

    name: ClassVar[str] = "postgres-csv"
    blocks_alone: ClassVar[bool] = True
    dialect: str = "postgres"
    meaning: str = "derived"
    unique_sessions: bool = True
    resolution_us: int = 1_000
    notes: set[str] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line that begins like a csvlog record."""
        for number, line in enumerate(head.split(b"\n"), 1):
            if _HEADER.match(line):
                evidence = f"line {number} has csvlog's stamp, session id and commas"
                return Recognised(cls(options), evidence)
        return Recognised(cls(options), "as told") if options.chosen else None

    def adopt(self, other: Self) -> bool:
        """All csvlogs are read alike: each record has its own number of columns."""
        return True

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records end at newlines outside quotes, and where a whole record begins inside them."""
        data = np.frombuffer(block, dtype=np.uint8)
        quotes = np.flatnonzero(data == _QUOTE)
        newlines = np.flatnonzero(data == _NEWLINE)
        before = np.searchsorted(quotes, newlines)
        ends: list[Ints] = []
        first, parity = 0, 0
        while True:
            rest, inside = newlines[first:], (before[first:] - parity) & 1 == 1
            cut = _cut(block, data, rest, inside)
            if cut is None:
                ends.append(rest[~inside])
                break
            ends += [rest[:cut][~inside[:cut]], rest[cut : cut + 1]]
            parity = int(before[first + cut])
            first += cut + 1
        starts = np.concatenate([[0], *ends]) + 1
        starts[0] = 0
        if last:
            return starts[starts < len(block)], len(block)
        return starts[:-1], int(starts[-1])

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by their number of columns; broken ones are quarantined."""
        if not len(records):
            return NO_RECORDS
        # Records nearly always have as many columns as the first; Arrow says when they do not.
        usual = int(_columns(records[:1])[0])
        if usual in COLUMNS and _stamped(records).all():
            try:
                return self._parse_alike(records, lines, count=usual)
            except pa.ArrowInvalid:
                pass
        return self._parse_mixed(records, lines)

    def _parse_mixed(self, records: pa.StringArray, lines: Ints) -> pa.Table:
        """Records of different numbers of columns, some of them broken."""
        stamped, open_quote = _stamped(records), _ends_in_quotes(records)
        columns = _columns(records)
        whole = stamped & ~open_quote & np.isin(columns, COLUMNS)
        tables = []
        for bad, reason in (
            (open_quote, "cut off"),
            (~stamped & ~open_quote, "no stamp"),
            (stamped & ~open_quote & ~whole, "wrong number of columns"),
        ):
            if bad.any():
                tables.append(_quarantined(records.filter(pa.array(bad)), lines[bad], reason))
        for count in np.unique(columns[whole]):
            alike = whole & (columns == count)
            tables += in_halves(
                records.filter(pa.array(alike)),
                lines[alike],
                partial(self._parse_alike, count=int(count)),
                partial(_quarantined, reason="broken quoting"),
            )
        return pa.concat_tables(tables).sort_by("line")

    def _parse_alike(self, records: pa.StringArray, lines: Ints, *, count: int) -> pa.Table:
        """Records of `count` columns each.

        Raises:
            pa.ArrowInvalid: one of them has another number, or its quotes are broken.
        """
        fields = _fields(bytes_of(records), count)
        stamp = fields.pop("stamp")
        if len(stamp) != len(records):
            raise pa.ArrowInvalid("records and rows differ in number")
        at_us = zoned_stamps_us(stamp, zone=self.options.zone)
        return message.records(lines, {**fields, "at_us": at_us}, self.notes)


def _cut(block: bytes, data: Bytes, newlines: Ints, inside: Bools) -> int | None:
    """The first of the newlines inside quotes after which a line begins like a whole record."""
    near = np.flatnonzero(inside & (newlines < len(data) - _STAMP_CHARACTERS))
    at = newlines[near]
    looks = (data[at + 5] == _DASH) & (data[at + 8] == _DASH) & (data[at + 14] == _COLON)
    for row in near[looks]:
        if _HEADER.match(block, int(newlines[row]) + 1):
            return int(row)
    return None


def _stamped(records: pa.StringArray) -> Bools:
    return mask(pc.match_substring_regex(records, _STARTS_WITH_STAMP))


def _ends_in_quotes(records: pa.StringArray) -> Bools:
    return mask(pc.equal(pc.bit_wise_and(pc.count_substring(records, '"'), 1), 1))


def _columns(records: pa.StringArray) -> Ints:
    """How many columns each record has; commas in quotes divide none."""
    bare = pc.replace_substring_regex(records, r'"[^"]*"', "")
    return np.asarray(pc.add(pc.count_substring(bare, ","), 1), dtype=np.int64)


def _fields(data: bytes, count: int) -> dict[str, pa.StringArray]:
    """The columns that are wanted; empty and quoted empty are both empty."""
    names = [_NAMES.get(n, f"column {n}") for n in range(count)]
    return csv_columns(data, names, [name for n, name in _NAMES.items() if n < count])


def csv_columns(
    data: bytes, names: Sequence[str], wanted: Sequence[str], *, delimiter: str = ","
) -> dict[str, pa.StringArray]:
    """Columns of CSV without a header as texts.

    Raises:
        pa.ArrowInvalid: a row has not as many columns as `names`, or its quotes are broken.
    """
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(
            column_names=names, block_size=len(data) + 1, use_threads=False
        ),
        parse_options=csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False
        ),
        convert_options=csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
        ),
    )
    return {name: table[name].combine_chunks() for name in wanted}


def _quarantined(records: pa.StringArray, lines: Ints, reason: str) -> pa.Table:
    # Where quotes are broken nobody knows which text is a value: none is shown.
    sizes = zip(_columns(records), pc.utf8_length(records).to_pylist(), strict=True)
    return quarantined(lines, reason, [f"{n} columns, {size} characters" for n, size in sizes])
