"""From the columns of a table, whatever their types, to RECORDS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cache
from typing import BinaryIO, ClassVar, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import extract, mask
from replay.capture.record import Ints, ReaderOptions, Recognised, What, records_of
from replay.capture.source import Source
from replay.capture.stamp import stamps_us
from replay.capture.tabular.map import MEANINGS, UNITS_US, ColumnMap, read_column_map

_STAMP = (
    r"^\s*(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d*"
    r"\s*(?P<zone>[A-Za-z]{1,5}|[+-]\d\d(?::?\d\d)?)?\s*$"
)
_NUMBER = r"^\s*\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*$"
_MOST = 2.0**62
_SKIPPED = pa.array(["header", "blank line", "empty statement"])
"""Reasons that lose nothing; all others quarantine."""
_RESOLUTIONS_US = (1, 1_000, 1_000_000)
_AS_JSON = "SELECT to_json(value)::VARCHAR AS found FROM given"
_IN_JSON = """
SELECT CASE WHEN json_valid(value) THEN CASE WHEN json_type(value) = $kind
THEN json_extract_string(value, $path) END END AS found FROM given
"""


@dataclass
class Tabular(ABC):
    """What readers of tables have in common.

    Raises (while reading):
        UsageError: the map does not fit the log, or stamps name a zone that is not one offset.
    """

    columns: ColumnMap
    zone: tzinfo | None
    """Overrides the zone that stamps name."""
    dialect: str
    meaning: str
    notes: set[str]

    name: ClassVar[str]
    needed: ClassVar[Collection[str]] = MEANINGS
    """Which of the map's columns a log must have from its beginning."""
    unique_sessions: bool = True
    resolution_us: int = 1
    uri: str = ""
    _step_us: int = 0
    """What all stamps so far are multiples of; 0 before there is one."""

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: columns of the map.

        Raises:
            UsageError: the map is missing or wrong, or the log lacks some of its columns.
        """
        if options.columns is None and not options.chosen:
            return None
        table = read_column_map(options.columns)
        names = cls.names(head, table)
        if names is None or not (options.chosen or set(names) & set(table.columns.values())):
            return None
        notes = {*table.notes, *table.check(names, needed=cls.needed)}
        derived = table.stamp == "end" and "duration" in table.columns
        meaning = "derived" if derived else table.stamp
        reader = cls(table, options.zone, table.dialect, meaning, notes)
        return Recognised(reader, f"it has columns of {table.path}")

    @classmethod
    @abstractmethod
    def names(cls, head: bytes, table: ColumnMap) -> Collection[str] | None:
        """The columns of a log that begins like this, or None where it is in another format."""

    def adopt(self, other: Self) -> bool:
        """All tables of a capture have one map."""
        self.notes |= other.notes
        return True

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every row of a log; see `Reader`."""
        self.uri = source.uri
        with source.opened() as stream:
            yield from self.rows(stream)

    @abstractmethod
    def rows(self, stream: BinaryIO) -> Iterator[pa.Table]:
        """The rows of the log that is open, as RECORDS."""

    def records(
        self, lines: Ints, columns: Mapping[str, pa.Array], faults: Mapping[str, pa.BooleanArray]
    ) -> pa.Table:
        """A row of RECORDS for each row of a table: values by their meaning, and what is wrong.

        Raises:
            pa.ArrowInvalid: values of a typed table are no valid UTF-8.
        """
        none = pa.nulls(len(lines), pa.string())
        texts = {key: self._texts(each) for key, each in columns.items()}
        sql, at, binds = texts["sql"], texts["at"], texts.pop("params", none)
        at_us = self._moments_us(columns["at"], at)
        params = json_texts(binds, "ARRAY", "$[*]")
        duration_unit_us = UNITS_US[self.columns.duration_unit]
        faults = {
            **faults,
            "not text: a NUL byte": pc.match_substring(sql, "\0"),
            "empty statement": pc.invert(pc.coalesce(pc.match_substring_regex(sql, r"\S"), False)),
            "unreadable stamp": at_us.is_null(),
            "bind values unreadable": pc.and_(binds.is_valid(), params.is_null()),
        }
        reason = first_fault(faults)
        sound = reason.is_null()
        self._watch(at, at_us.drop_null().to_numpy(), columns["at"].type)
        what = pc.if_else(pc.is_in(reason, _SKIPPED), int(What.SKIPPED), int(What.QUARANTINED))
        own = pc.binary_join_element_wise(f"{self.uri}:", pa.array(lines).cast(pa.string()), "")
        return records_of(
            len(lines),
            {
                **texts,
                "line": lines,
                "what": pc.if_else(sound, int(What.STATEMENT), what),
                "reason": reason,
                "excerpt": _form(pc.if_else(at_us.is_null(), at, none)),
                "session": pc.coalesce(texts.get("session", own), own),
                "at_us": at_us,
                "ends": self.columns.stamp == "end",
                "duration_us": _integers(texts.get("duration", none), scale=duration_unit_us),
                "rows": _integers(texts.get("rows", none)),
                "sql": pc.if_else(sound, sql, none),
                "params": params,
                "extended": False,
            },
        )

    def _texts(self, column: pa.Array) -> pa.StringArray:
        """Values as text, lists as JSON; null where they stand for none."""
        nested = pa.types.is_nested(column.type)
        if pa.types.is_duration(column.type):
            spent_us = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
            column = pc.divide(spent_us.cast(pa.float64()), UNITS_US[self.columns.duration_unit])
        texts = _asked(_AS_JSON, column) if nested else column.cast(pa.string())
        texts.validate(full=True)
        absent = pc.is_in(texts, pa.array(["", *self.columns.null]))
        return pc.if_else(absent, None, texts)

    def _moments_us(self, column: pa.Array, texts: pa.StringArray) -> pa.Int64Array:
        """Stamps in microseconds since 1970; null where one cannot be read."""
        kind, local = column.type, self.zone or self.columns.timezone
        if pa.types.is_timestamp(kind):
            moments, bare = column.cast(pa.timestamp("us", kind.tz), safe=False), kind.tz is None
            moments = stamps_us(moments, zone=local) if bare else moments.cast(pa.int64())
        elif self.columns.time_unit:
            moments, bare = _integers(texts, scale=UNITS_US[self.columns.time_unit]), False
        else:
            parts = extract(texts, _STAMP)
            texts = pc.binary_join_element_wise(parts["day"], parts["time"], " ")
            moments = stamps_us(texts, pc.utf8_upper(parts["zone"]), zone=self.zone)
            zoneless = pc.equal(parts["zone"], "")
            if (bare := bool(mask(zoneless).any())) and local:
                moments = pc.if_else(zoneless, stamps_us(texts, zone=local), moments)
        if bare and local is None:
            self.notes.add("stamps that name no zone are taken for UTC; set --timezone if not so")
        return moments

    def _watch(self, texts: pa.StringArray, stamps: Ints, kind: pa.DataType) -> None:
        """Learn how fine stamps are, or that they are not what the map says."""
        given = texts.drop_null()
        if len(given) and not len(stamps) and not self._step_us:
            raise self.columns.misfit(
                f"stamps in `{self.columns.columns['at']}` are like `{_form(given[:1])[0]}`",
                hint="they are 2026-03-01 10:00:00.123456, or numbers with options.time_unit",
            )
        fraction = pa.types.is_string(kind) and mask(pc.match_substring(given, ".")).any()
        step_us = np.gcd.reduce(stamps, initial=1_000 if fraction else 0)
        self._step_us = int(np.gcd(self._step_us, step_us))
        self.resolution_us = max(each for each in _RESOLUTIONS_US if self._step_us % each == 0)


def first_fault(faults: Mapping[str, pa.BooleanArray]) -> pa.StringArray:
    """The first of the faults, by their names, that each row has; null where it has none."""
    return pc.case_when(pc.make_struct(*faults.values()), *map(pa.scalar, faults))


def json_texts(documents: pa.StringArray, kind: str, path: str | list[str]) -> pa.ListArray:
    """What is at `path` of each JSON document, as texts; null where it is not of that `kind`.

    yyjson, in DuckDB, reads values of any type as text; Arrow's reader wants one for a column.
    """
    return _asked(_IN_JSON, documents, kind=kind, path=path).cast(pa.list_(pa.string()))


def _asked(query: str, values: pa.Array, **params: str | list[str]) -> pa.Array:
    with _database().cursor() as database:
        database.register("given", pa.table({"value": values}))
        return database.sql(query, params=params).to_arrow_table()["found"].combine_chunks()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    # One thread: more would change the order of rows.
    return duckdb.connect(config={"threads": 1})


def _integers(texts: pa.StringArray, *, scale: float = 1) -> pa.Int64Array:
    """Numbers times `scale`, rounded; null where a text is none, or is negative."""
    sound = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, None)
    values = pc.multiply(pc.utf8_trim_whitespace(sound).cast(pa.float64()), float(scale))
    return pc.round(pc.if_else(pc.less(values, _MOST), values, None)).cast(pa.int64())


def _form(stamps: pa.StringArray) -> pa.StringArray:
    """What stamps look like, without their digits and letters."""
    digits = pc.replace_substring_regex(pc.utf8_slice_codeunits(stamps, 0, 40), r"\d", "9")
    return pc.replace_substring_regex(digits, r"\pL", "a")
