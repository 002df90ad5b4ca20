"""Logs that are tables, whose columns a map explains: what CSV, JSON lines and Parquet share."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import BlockReader, mask, strings_at
from replay.capture.column_map import UNITS_US, ColumnMap
from replay.capture.column_values import (
    durations_us_of,
    lists_of,
    moments_us_of,
    texts_of,
)
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    Ints,
    What,
    records_of,
)
from replay.capture.source import Source

FIRST_ROWS = 1_000
"""So many tell what a table's stamps are like."""
_SECOND_US = 1_000_000
_DISORDER_US = 5_000_000
_BOM = "\ufeff"
_TEXTS = ("session", "user", "database", "application", "error")
Columns = Mapping[str, pa.Array]
"""A log's values by what they mean, of any type."""


@dataclass
class Tabular:
    """What tables have in common: from columns of any type to RECORDS."""

    columns: ColumnMap
    zone: tzinfo | None

    dialect: str = ""
    meaning: str = ""
    unique_sessions: bool = True
    resolution_us: int = 1
    notes: set[str] = field(default_factory=set)
    _sessions: str = ""
    _latest_us: int | None = None

    def __post_init__(self) -> None:
        self.dialect, self.meaning = self.columns.dialect, self.columns.meaning
        self.notes |= set(self.columns.notes)

    def adopt(self, other: Self) -> bool:
        """All tables of a capture have one map."""
        self.resolution_us = min(self.resolution_us, other.resolution_us)
        self.notes |= other.notes
        return True

    def begin(self, uri: str) -> None:
        """Forget the log before; rows that name no session are each one of this log's."""
        self._sessions, self._latest_us = f"{uri}:", None

    def records(self, lines: Ints, columns: Columns) -> pa.Table:
        """A row of RECORDS for each row of a table.

        Raises:
            UsageError: stamps name a zone whose offset cannot be known.
        """
        table, count = self.columns, len(lines)
        texts = {n: texts_of(columns[n], null=table.null) for n in _TEXTS if n in columns}
        sql = texts_of(columns["sql"], null=table.null)
        at_us = self._moments_us(columns["at"])
        duration_us = self._durations_us(columns, at_us)
        params, unreadable = self._params(columns.get("params"), count)
        empty = ~mask(pc.match_substring_regex(sql, r"\S"))
        stampless = mask(at_us.is_null())

        what = np.full(count, What.STATEMENT, dtype=np.int8)
        reason = np.full(count, None, dtype=object)
        excerpt = np.full(count, None, dtype=object)
        what[unreadable], reason[unreadable] = What.QUARANTINED, "bind values unreadable"
        what[stampless], reason[stampless] = What.QUARANTINED, "unreadable stamp"
        what[empty], reason[empty] = What.SKIPPED, "empty statement"
        for row in np.flatnonzero(stampless & ~empty):
            excerpt[row] = _form(columns["at"][row].as_py())
        statement = pa.array(what == What.STATEMENT)
        self._see_order(at_us.filter(statement).to_numpy())
        own = pc.binary_join_element_wise(self._sessions, pa.array(lines).cast(pa.string()), "")
        session = texts.pop("session", None)
        rows = columns.get("rows")
        return records_of(
            count,
            {
                **texts,
                "line": lines,
                "what": what,
                "reason": pa.array(reason, type=pa.string()),
                "excerpt": pa.array(excerpt, type=pa.string()),
                "session": own if session is None else pc.coalesce(session, own),
                "at_us": at_us,
                "ends": table.ends,
                "duration_us": duration_us,
                "rows": None if rows is None else durations_us_of(rows, unit_us=1),
                "sql": pc.if_else(statement, sql, pa.scalar(None, pa.string())),
                "params": params,
                "extended": False,
            },
        )

    def look(self, columns: Columns) -> int:
        """How fine the stamps of a log's first rows are, in microseconds.

        Raises:
            UsageError: no stamp can be read, or rows go from the newest to the oldest.
        """
        at = columns["at"]
        name, unit = self.columns.columns["at"], self.columns.time_unit
        given = at.filter(texts_of(at, null=self.columns.null).is_valid())
        stamps = pc.drop_null(self._moments_us(given)).to_numpy()
        if len(given) and not len(stamps):
            form = _form(given[0].as_py())
            hint = "stamps must be like 2026-03-01 10:00:00.123456"
            if unit is None:
                hint += "; for numbers since 1970 set options.time_unit to s, ms, us or ns"
            else:
                hint = f"options.time_unit is `{unit}`, so it must hold numbers"
            raise self.columns.wrong(f"stamps in `{name}` are like `{form}`", hint=hint)
        steps = np.diff(stamps)
        if len(steps) > 1 and (steps <= 0).all() and steps.any():
            raise self.columns.wrong(
                f"rows go from the newest `{name}` to the oldest",
                hint=f"export them in order of time: ORDER BY {name}",
            )
        fraction = pa.types.is_string(at.type) and mask(pc.match_substring(given, ".")).any()
        if len(stamps) and not fraction and unit in (None, "s") and not (stamps % _SECOND_US).any():
            return _SECOND_US
        return 1_000 if len(stamps) and not (stamps % 1_000).any() else 1

    def _moments_us(self, column: pa.Array) -> pa.Int64Array:
        unit = self.columns.time_unit
        unit_us = UNITS_US[unit] if unit else None
        if pa.types.is_string(column.type):
            column = texts_of(column, null=self.columns.null)
        moments, unzoned = moments_us_of(
            column, unit_us=unit_us, zone=self.zone, local=self.columns.zone
        )
        if unzoned:
            self.notes.add(
                "stamps name no zone and are taken for UTC; set --timezone if they are not"
            )
        return moments

    def _durations_us(self, columns: Columns, at_us: pa.Int64Array) -> pa.Int64Array:
        """Of `duration`, or from `at` to `ended`."""
        if "ended" in columns:
            spent = pc.subtract(self._moments_us(columns["ended"]), at_us)
            return durations_us_of(spent, unit_us=1)
        if "duration" not in columns:
            return pa.nulls(len(at_us), pa.int64())
        column = columns["duration"]
        unit = self.columns.duration_unit
        values = durations_us_of(column, unit_us=UNITS_US[unit] if unit else 1)
        given = texts_of(column, null=self.columns.null).is_valid()
        if mask(pc.and_(given, values.is_null())).any():
            self.notes.add(
                f"some durations in `{self.columns.columns['duration']}` are no numbers, or "
                "negative, and left out; export them as numbers"
            )
        return values

    def _params(self, column: pa.Array | None, count: int) -> tuple[pa.ListArray, Bools]:
        if column is None:
            return pa.nulls(count, pa.list_(pa.string())), np.zeros(count, dtype=np.bool_)
        if pa.types.is_string(column.type):
            column = texts_of(column, null=self.columns.null)
        return lists_of(column)

    def _see_order(self, stamps: Ints) -> None:
        if not len(stamps):
            return
        before = stamps[0] if self._latest_us is None else self._latest_us
        latest = np.maximum.accumulate(np.concatenate([[before], stamps]))
        self._latest_us = int(latest[-1])
        if "session" in self.columns.columns and (latest[1:] - stamps > _DISORDER_US).any():
            self.notes.add(
                "rows are not in order of time, and a session's statements are kept in the log's "
                f"order; export them ORDER BY {self.columns.columns['at']}"
            )


class TabularText(Tabular, BlockReader, ABC):
    """A table whose rows are told apart by looking at bytes."""

    @abstractmethod
    def cells(self, records: pa.StringArray, lines: Ints) -> tuple[Ints, Columns, list[pa.Table]]:
        """The rows that hold values: their lines and values; and other records as RECORDS."""

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Rows by the map; broken ones are quarantined."""
        if not len(records):
            return NO_RECORDS
        kept, columns, others = self.cells(records, lines)
        if len(kept):
            others = [self.records(kept, columns), *others]
        return pa.concat_tables(others).sort_by("line") if len(others) > 1 else others[0]

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every record of a log, a block at a time."""
        self.begin(source.uri)
        yield from super().read(source)

    def look_at_head(self, head: bytes) -> None:
        """`look` at the whole records of a log's beginning."""
        starts, end = self.split(head, last=False)
        if not len(starts):
            starts, end = self.split(head, last=True)
        records = strings_at(head[:end], starts)[:FIRST_ROWS]
        try:
            texts = records.cast(pa.string())
        except pa.ArrowInvalid:
            return
        lines, columns, _ = self.cells(texts, np.arange(len(texts)))
        if len(lines):
            self.resolution_us = self.look(columns)


def skipped(lines: Ints, reason: str) -> pa.Table:
    """Records that hold no row."""
    return records_of(len(lines), {"line": lines, "what": int(What.SKIPPED), "reason": reason})


def _form(value: Any) -> str:  # noqa: ANN401  a stamp of any type
    """What a stamp that cannot be read looks like, without its digits and letters."""
    text = "" if value is None else re.sub(r"\d", "9", str(value)[:40])
    return re.sub(r"[^\W\d_]", "a", text)
