"""Logs in CSV, whose columns a map explains."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from replay.capture.blocks import bytes_of, mask
from replay.capture.column_map import read_column_map
from replay.capture.record import Ints, ReaderOptions, Recognised, quarantined
from replay.capture.rfc4180 import split_records, well_formed
from replay.capture.tabular import Columns, TabularText, skipped

_BOM = "\ufeff"


@dataclass
class TabularCsv(TabularText):
    """Reads CSV whose first record names the columns (RFC 4180)."""

    name: ClassVar[str] = "csv"
    _header: str | None = None
    _names: tuple[str, ...] = ()

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: the first record names columns of the map.

        Raises:
            UsageError: the map is missing or wrong, or the log lacks some of its columns.
        """
        if options.columns is None and not options.chosen:
            return None
        table = read_column_map(options.columns)
        reader = cls(table, options.zone)
        starts, end = split_records(head, delimiter=table.delimiter, last=True)
        header = head[: starts[1] if len(starts) > 1 else end].decode(errors="replace")
        names = _csv_row(header, table.delimiter)
        if not options.chosen and not set(names) & set(table.columns.values()):
            return None
        reader._use_header(header)
        reader.look_at_head(head)
        return Recognised(reader, f"line 1 names columns of {table.path}")

    def adopt(self, other: Self) -> bool:
        """All tables of a capture have one map; each log has its own header."""
        self._header, self._names = other._header, other._names
        return super().adopt(other)

    def begin(self, uri: str) -> None:
        """Forget the log before, and its header."""
        super().begin(uri)
        self._header = None

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records end at newlines outside quotes."""
        return split_records(block, delimiter=self.columns.delimiter, last=last)

    def cells(self, records: pa.StringArray, lines: Ints) -> tuple[Ints, Columns, list[pa.Table]]:
        """Rows with as many columns as the header."""
        if self._header is None:
            self._use_header(records[0].as_py())
        bare = pc.utf8_rtrim(pc.utf8_ltrim(records, _BOM), "\r\n")
        header, blank = mask(pc.equal(bare, self._header)), mask(pc.equal(bare, ""))
        sound = mask(pc.match_substring_regex(records, well_formed(self.columns.delimiter)))
        broken = ~sound & ~header & ~blank
        sizes = pc.utf8_length(records.filter(pa.array(broken))).to_pylist()
        others = [
            skipped(lines[header], "header"),
            skipped(lines[blank], "blank line"),
            quarantined(lines[broken], "broken quoting", [f"{n} characters" for n in sizes]),
        ]
        rows = sound & ~header & ~blank
        lines = lines[rows]
        columns, ragged = self._values(bytes_of(records.filter(pa.array(rows))), len(lines))
        whole = np.ones(len(lines), dtype=np.bool_)
        whole[list(ragged)] = False
        excerpts = [f"{n} columns instead of {len(self._names)}" for n in ragged.values()]
        others.append(quarantined(lines[~whole], "wrong number of columns", excerpts))
        return lines[whole], columns, [table for table in others if len(table)]

    def _values(self, data: bytes, count: int) -> tuple[Columns, dict[int, int]]:
        """Values by meaning; and rows that have them not, with their number of columns."""
        ragged: dict[int, int] = {}

        def leave_out(row: Any) -> str:  # noqa: ANN401  Arrow's InvalidRow
            ragged[row.number - 1] = row.actual_columns
            return "skip"

        places = {
            meaning: str(self._names.index(name)) for meaning, name in self.columns.columns.items()
        }
        wanted = sorted(set(places.values()))
        if not count:
            return {meaning: pa.array([], pa.string()) for meaning in places}, ragged
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=[str(n) for n in range(len(self._names))],
                block_size=len(data) + 1,
                use_threads=False,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.columns.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=leave_out,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
            ),
        )
        return {key: table[place].combine_chunks() for key, place in places.items()}, ragged

    def _use_header(self, record: str) -> None:
        names = _csv_row(record, self.columns.delimiter)
        if absent := self.columns.absent(names):
            raise self.columns.wrong(
                ", ".join(absent),
                hint=f"the first line names {', '.join(f'`{name}`' for name in names[:50])}",
            )
        self._header, self._names = record.lstrip(_BOM).rstrip("\r\n"), names


def _csv_row(record: str, delimiter: str) -> tuple[str, ...]:
    rows = csv.reader(io.StringIO(record.lstrip(_BOM), newline=""), delimiter=delimiter)
    return tuple(next(rows, ()))
