"""PostgreSQL's jsonlog (15 and later), and services that wrap the same fields in JSON of their own.

Keys: PostgreSQL manual, 19.8.5; jsonlog.c. One object a line; keys without a value are absent.
CloudNativePG puts csvlog's columns, all as strings, in an object under `record`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from replay.capture.blocks import (
    BlockReader,
    bytes_of,
    in_halves,
    line_starts,
    mask,
    whole_lines,
)
from replay.capture.postgres import message
from replay.capture.record import NO_RECORDS, Ints, ReaderOptions, Recognised, quarantined
from replay.capture.stamp import zoned_stamps_us

_JSONLOG = {
    "stamp": "timestamp",
    "user": "user",
    "database": "dbname",
    "session": "session_id",
    "severity": "error_severity",
    "sqlstate": "state_code",
    "message": "message",
    "detail": "detail",
    "query": "statement",
    "application": "application_name",
}
_CLOUDNATIVE = {
    "stamp": "log_time",
    "user": "user_name",
    "database": "database_name",
    "session": "session_id",
    "severity": "error_severity",
    "sqlstate": "sql_state_code",
    "message": "message",
    "detail": "detail",
    "query": "query",
    "application": "application_name",
}
_STAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+:-]{1,9}$"


@dataclass
class PostgresJson(BlockReader):
    """Reads jsonlog; `inside` is the key of the object that has the fields, if they are in one.

    Raises (while reading):
        UsageError: stamps name a zone whose offset cannot be known.
    """

    options: ReaderOptions
    inside: str | None = None

    name: ClassVar[str] = "postgres-json"
    blocks_alone: ClassVar[bool] = True
    dialect: str = "postgres"
    meaning: str = "derived"
    unique_sessions: bool = True
    resolution_us: int = 1_000
    notes: set[str] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line that is an object with jsonlog's keys."""
        for number, line in enumerate(head.split(b"\n"), 1):
            document = _object(line)
            if document is None:
                continue
            if {"timestamp", "error_severity"} <= document.keys():
                evidence = f"line {number} is an object with timestamp and error_severity"
                return Recognised(cls(options), evidence)
            record = document.get("record")
            if isinstance(record, dict) and {"log_time", "error_severity"} <= record.keys():
                evidence = f"line {number} is an object with record.log_time, as CloudNativePG's"
                return Recognised(cls(options, "record"), evidence)
        return Recognised(cls(options), "as told") if options.chosen else None

    def adopt(self, other: Self) -> bool:
        """Logs whose fields are in the same place."""
        return self.inside == other.inside

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Every line is a record: newlines in texts are escaped."""
        end = whole_lines(block, last=last)
        starts = line_starts(block[:end]) if end else np.zeros(0, dtype=np.int64)
        return starts, end

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Objects as messages; lines that are none are quarantined."""
        if not len(records):
            return NO_RECORDS
        shaped = mask(pc.starts_with(records, "{"))
        tables = (
            []
            if shaped.all()
            else [_quarantined(records.filter(pa.array(~shaped)), lines[~shaped])]
        )
        if shaped.any():
            objects = records.filter(pa.array(shaped))
            tables += in_halves(objects, lines[shaped], self._parse, _quarantined)
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by("line")

    @property
    def _names(self) -> dict[str, str]:
        return _CLOUDNATIVE if self.inside else _JSONLOG

    def _parse(self, records: pa.StringArray, lines: Ints) -> pa.Table:
        """Records that are objects.

        Raises:
            pa.ArrowInvalid: one of them is none.
        """
        fields = [(name, pa.string()) for name in self._names.values()]
        schema = pa.schema([(self.inside, pa.struct(fields))] if self.inside else fields)
        data = bytes_of(records)
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
        if len(table) != len(records):
            raise pa.ArrowInvalid("a line is empty, or holds more than one object")
        if self.inside:
            table = pa.Table.from_struct_array(table[self.inside].combine_chunks())
        columns = {name: table[source].combine_chunks() for name, source in self._names.items()}
        # A key may be absent: severity and message then are no server's words.
        for name in ("severity", "message"):
            columns[name] = pc.fill_null(columns[name], "")
        stamp = columns.pop("stamp")
        shaped = mask(pc.match_substring_regex(stamp, _STAMP))
        stamp = pc.if_else(pa.array(shaped), stamp, pa.scalar(None, pa.string()))
        columns["at_us"] = zoned_stamps_us(stamp, zone=self.options.zone)
        return message.records(lines, columns, self.notes)


def _object(text: bytes | str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _quarantined(records: pa.StringArray, lines: Ints) -> pa.Table:
    sizes = pc.utf8_length(records).to_pylist()
    return quarantined(lines, "not a JSON object", [f"{size} characters" for size in sizes])
