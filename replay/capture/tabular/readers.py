"""Readers of tables: CSV (RFC 4180), JSON lines and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from replay.capture.blocks import BlockReader, bytes_of, line_starts, read_records, whole_lines
from replay.capture.postgres.csvlog import csv_columns
from replay.capture.record import NO_RECORDS, Ints, quarantined
from replay.capture.tabular.map import NEEDED, ColumnMap
from replay.capture.tabular.table import Tabular, first_fault, json_texts
from replay.errors import Unreadable

_BOM = "\ufeff"
_BLANK = r"^\s*$"
_HEAD_LINES = 1_000
_MAGIC = b"PAR1"
_BATCH_ROWS = 8_192
_COPY_BYTES = 1 << 20


class _TabularText(Tabular, BlockReader):
    def rows(self, stream: BinaryIO) -> Iterator[pa.Table]:
        """Every row of a log, a block at a time."""
        yield from read_records(stream, self)


@dataclass
class TabularCsv(_TabularText):
    """Reads CSV whose first row names the columns."""

    name: ClassVar[str] = "csv"
    _header: str | None = None

    @classmethod
    def names(cls, head: bytes, table: ColumnMap) -> Collection[str]:
        """What the first row names."""
        row = _patterns(table.delimiter)[0].match(head)
        return _cells(row[0].decode(errors="replace") if row else "", table.delimiter)

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Rows end at newlines outside quotes."""
        row, begun, _ = _patterns(self.columns.delimiter)
        rows = row.findall(block)
        if not last and begun.fullmatch(rows[-1]):
            rows.pop()
        ends = np.cumsum([0, *map(len, rows)])
        return ends[:-1], int(ends[-1])

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Rows as wide as the header; others are quarantined."""
        header = self._header or (records[0].as_py() if len(records) else "")
        self._header = None if last else header
        if not len(records):
            return NO_RECORDS
        delimiter = self.columns.delimiter
        names = _cells(header, delimiter)
        self.columns.check(names)
        whole = _patterns(delimiter)[2] % (len(names) - 1)
        faults = {
            "header": pc.is_in(records, pa.array([header, header.lstrip(_BOM)])),
            "blank line": pc.match_substring_regex(records, _BLANK),
            f"not {len(names)} columns": pc.invert(pc.match_substring_regex(records, whole)),
        }
        empty = delimiter * (len(names) - 1) + "\n"
        data = bytes_of(pc.if_else(first_fault(faults).is_null(), records, empty))
        places = {key: str(names.index(name)) for key, name in self.columns.columns.items()}
        every, wanted = [str(n) for n in range(len(names))], sorted(set(places.values()))
        cells = csv_columns(data, every, wanted, delimiter=delimiter)
        return self.records(lines, {key: cells[n] for key, n in places.items()}, faults)


@dataclass
class TabularJsonl(_TabularText):
    """Reads JSON lines: an object a line, whose members without a value may be left out."""

    name: ClassVar[str] = "jsonl"
    needed: ClassVar[Collection[str]] = NEEDED

    @classmethod
    def names(cls, head: bytes, table: ColumnMap) -> Collection[str]:
        """The members of the first lines that are objects."""
        names: set[str] = set()
        for line in head.split(b"\n")[:_HEAD_LINES]:
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                continue
            names.update(document if isinstance(document, dict) else ())
        return names

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Every line is a row: newlines in texts are escaped."""
        end = whole_lines(block, last=last)
        return line_starts(block[:end]) if end else np.zeros(0, dtype=np.int64), end

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Lines that are objects; others are quarantined."""
        if not len(records):
            return NO_RECORDS
        names = self.columns.columns.values()
        pointers = ["/" + name.replace("~", "~0").replace("/", "~1") for name in names]
        found = json_texts(records, "OBJECT", pointers)
        columns = {key: pc.list_element(found, n) for n, key in enumerate(self.columns.columns)}
        blank = pc.match_substring_regex(records, _BLANK)
        faults = {"blank line": blank, "not a JSON object": found.is_null()}
        return self.records(lines, columns, faults)


@dataclass
class TabularParquet(Tabular):
    """Reads Parquet, batches of a row group at a time; `line` is the row's number, from 1."""

    name: ClassVar[str] = "parquet"

    @classmethod
    def names(cls, head: bytes, table: ColumnMap) -> Collection[str] | None:
        """Those of the map: a file tells its own at its end."""
        return table.columns.values() if head.startswith(_MAGIC) else None

    def rows(self, stream: BinaryIO) -> Iterator[pa.Table]:
        """Every row of a log; one record stands for the rest of a damaged row group.

        Raises:
            Unreadable: the log is no Parquet file.
        """
        path = Path(self.uri)
        local = path.is_file() and _begins_as_parquet(path)
        with path.open("rb") if local else tempfile.TemporaryFile() as file:
            # What can be sought in is read too: to count and hash it.
            while data := stream.read(_COPY_BYTES):
                if not local:
                    file.write(data)
            try:
                table = parquet.ParquetFile(file, page_checksum_verification=True)
            except (pa.ArrowInvalid, OSError) as error:
                raise Unreadable(f"`{self.uri}` is no whole Parquet file") from error
            self.columns.check(table.schema_arrow.names)
            named = self.columns.columns
            row, names = 1, list(named.values())
            for group in range(table.num_row_groups):
                behind = row + table.metadata.row_group(group).num_rows
                batches = table.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names)
                while row < behind:
                    try:
                        batch = next(batches)
                        columns = {key: batch.column(each) for key, each in named.items()}
                        records = self.records(np.arange(row, row + len(batch)), columns, {})
                    except (pa.ArrowException, OSError, StopIteration):
                        lost = f"{behind - row} rows"
                        yield quarantined(np.array([row]), "damaged, or no text", [lost])
                        break
                    yield records
                    row += len(batch)
                row = behind


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes], str]:
    """Any row with its line end; one that the next block may go on with; a whole one, for RE2.

    A broken row has a quote in a wrong place. It ends before that quote's line, which may be
    another row, or else with its own first line.
    """
    comma = re.escape(delimiter)
    field = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"\r\n{comma}]*+)'
    cells = f"(?:{field}{comma})*+"
    begun = rf'(?!\Z){cells}(?:"[^"]*+(?:""[^"]*+)*+"?|[^\n]*+)\Z'
    broken = rf'{cells}(?:"[^"]*(?:""[^"]*)*\n|[^\n]*\n)'
    row = rf"{cells}{field}\r?\n|{begun}|{broken}"
    whole = f"^{field}(?:{comma}{field})".replace("*+", "*").replace("%", "%%")
    return re.compile(row.encode()), re.compile(begun.encode()), whole + r"{%d}\r?\n?$"


def _cells(row: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(row.lstrip(_BOM), newline=""), delimiter=delimiter), [])


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
