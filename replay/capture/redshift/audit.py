"""Redshift's audit log files: user activity, connections and users.

Form: Amazon Redshift management guide, "Database audit logging". The three kinds of file are told
apart record by record: of the user activity log a record runs to the next header, the two others
have a record a line, values between pipes. Statements are logged as they begin, in whole seconds,
without durations, errors and bind values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture import record
from replay.capture.blocks import BlockReader, extract, line_starts, mask, strings_at
from replay.capture.record import Bools, Ints, ReaderOptions, Recognised, What
from replay.capture.redshift.connections import USER_LOG, Connections
from replay.capture.redshift.statements import UNCONNECTED, statement_records
from replay.capture.source import Source
from replay.capture.stamp import stamps_us
from replay.template import normalise

_NAME = r"(?:[^\]\n]|\][^'\n])*?"
_ACTIVITY = (
    r"^\s*'(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z (?P<zone>[A-Z]+) \[ "
    rf"db=(?P<database>{_NAME}) user=(?P<user>{_NAME}) pid=(?P<pid>\d{{1,10}}) userid=\d+ "
    r"xid=(?P<xid>\d{1,18}) \]' (?P<level>LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DEBUG\d?|DETAIL"
    r"|STATEMENT|HINT|CONTEXT|LOCATION):"
)
# The user log has its stamp behind ten other values, the first of them a number.
_LINE = (
    r"^\s*(?P<event>[a-z][a-z_ ]{2,49}?|\d+(?:\|[^|\n]*){9}) *\|[A-Z][a-z][a-z], +"
    r"(?P<moment>\d{1,2} [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d):(?P<ms>\d{3})\s*(?:\|[^\n]*\s*)?$"
)
_MOMENT = "%d %b %Y %H:%M:%S"
_KINDS = ((_ACTIVITY, "user activity", 1), (_LINE, "connection or user", 0))
# Some way into a header, where a log that is cut may end.
_CUT_HEADER = re.compile(rb"\s*'[\d-]{1,10}(?:T[^\n]*)?")
_WORD = re.compile(r"\w+")
_SECOND_US = 1_000_000
_RECENT_US = 5 * _SECOND_US
Fields = Mapping[str, pa.StringArray]


@dataclass
class RedshiftAudit(BlockReader):
    """Reads audit log files."""

    options: ReaderOptions

    name: ClassVar[str] = "redshift-audit"
    dialect: str = "redshift"
    meaning: str = "start"
    unique_sessions: bool = True
    resolution_us: int = _SECOND_US
    notes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._connections = Connections()
        self._last: pa.Table | None = None
        self._statements = self._unconnected = 0

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line that begins a record. Activity is read last: connections tell whose."""
        for number, line in enumerate(head.split(b"\n"), 1):
            for pattern, kind, rank in _KINDS:
                if re.match(pattern.encode(), line):
                    evidence = f"line {number} begins like a record of Redshift's {kind} log"
                    return Recognised(cls(options), evidence, rank)
        return Recognised(cls(options), "as told", 1) if options.chosen else None

    def adopt(self, other: Self) -> bool:
        """One object reads all files: connections of one tell the sessions of others apart."""
        return True

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every record of a log, a block at a time."""
        for records in super().read(source):
            statement = pc.equal(records["what"], int(What.STATEMENT))
            unconnected = pc.and_(statement, pc.match_substring(records["session"], UNCONNECTED))
            self._statements += pc.sum(statement).as_py() or 0
            self._unconnected += pc.sum(unconnected).as_py() or 0
            yield records
        if self._unconnected:
            self.notes = {
                f"{self._unconnected:,} of {self._statements:,} statements have no record of their "
                "connection: sessions are told apart by process, user and database, and their "
                "application is unknown; capture the connection log too, from hours before on"
            }

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at headers and at lines of the other logs, which end with their line."""
        starts = line_starts(block)
        lines = strings_at(block, starts)
        quoted = pc.or_(pc.starts_with(lines, "'"), pc.starts_with(lines, " '"))
        begins = _matching(lines, quoted, _ACTIVITY)
        single = _matching(lines, pc.match_substring(lines, "|"), _LINE)
        blank = mask(pc.less_equal(pc.binary_length(lines), len("\r\n")))
        begins |= single | (np.append(False, single[:-1]) & ~blank)
        if last and not block.endswith(b"\n"):
            begins[-1] |= _CUT_HEADER.fullmatch(block, int(starts[-1])) is not None
        begins[0] = True
        records = starts[begins]
        if len(records) > 1 and block[: records[1]].isspace():
            records = np.delete(records, 1)
        return (records, len(block)) if last else (records[:-1], int(records[-1]))

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by the log that they look like; the others are quarantined."""
        tables = [record.NO_RECORDS]
        end = int(lines[-1]) if last and len(lines) else None
        for pattern, parse in ((_LINE, self._connection), (_ACTIVITY, self._activity)):
            fields = extract(records, pattern)
            rows = next(iter(fields.values())).is_valid()
            fits = mask(rows)
            if fits.any():
                fields = {name: column.filter(rows) for name, column in fields.items()}
                tables.append(parse(records.filter(rows), fields, lines[fits], end))
                records, lines = records.filter(pc.invert(rows)), lines[~fits]
        if len(records):
            shapes = [_WORD.sub("…", text[:300]).strip() for text in records.to_pylist()]
            tables.append(record.quarantined(lines, "no record of an audit log", shapes))
        if last:
            self._last = None
        return tables[-1] if len(tables) <= 2 else pa.concat_tables(tables).sort_by("line")

    def _activity(
        self, records: pa.StringArray, fields: Fields, lines: Ints, end: int | None
    ) -> pa.Table:
        sql = _behind(_behind(records, "]' "), ":")
        pid, xid = (fields[name].cast(pa.int64()) for name in ("pid", "xid"))
        at_us = stamps_us(fields["stamp"], fields["zone"], zone=self.options.zone)
        cut = np.zeros(len(lines), dtype=np.bool_)
        if lines[-1] == end and not records[-1].as_py().endswith("\n"):
            # A whole statement leaves no quote open.
            cut[-1] = "'" in normalise(sql[-1].as_py(), dialect=self.dialect).text
        keys = pa.table({"pid": pid, "xid": xid, "at_us": at_us.fill_null(0), "sql": sql})
        return statement_records(
            {**fields, "line": lines, "pid": pid, "at_us": at_us, "sql": sql},
            self._connections,
            resolution_us=_SECOND_US,
            skipped={
                "server message": ~mask(pc.equal(fields["level"], "LOG")),
                "logged twice": self._repeated(keys),
            },
            broken={"cut off": cut},
        )

    def _repeated(self, rows: pa.Table) -> Bools:
        """Which records, columns pid, xid, at_us and sql, are logged twice: every second one of a
        run of equal neighbours in a process, for a statement may truly come again.
        """
        new = len(rows)
        rows = rows if self._last is None else pa.concat_tables([self._last, rows])
        order = np.argsort(rows["pid"].to_numpy(), kind="stable")
        keys = np.stack([rows[name].to_numpy()[order] for name in ("pid", "xid", "at_us")])
        equal = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
        near = np.flatnonzero(equal)
        before, after = (rows["sql"].take(pa.array(order[at])) for at in (near, near + 1))
        equal[near] = mask(pc.equal(before, after))
        place = np.arange(len(order))
        begins = np.maximum.accumulate(np.where(np.append(False, equal), 0, place))
        repeated = (place - begins) % 2 == 1
        # A twin may stand in the next block: it has the same second.
        last = np.append(keys[0, 1:] != keys[0, :-1], True) & ~repeated
        self._last = rows.take(pa.array(order[last & (keys[2] >= keys[2].max() - _RECENT_US)]))
        found: Bools = repeated[np.argsort(order)][-new:]
        return found

    def _connection(
        self, records: pa.StringArray, fields: Fields, lines: Ints, end: int | None
    ) -> pa.Table:
        values = pc.split_pattern(records, "|")
        begins, flat = values.offsets.to_numpy(), pc.ascii_trim_whitespace(values.values)
        of_users = mask(pc.match_substring_regex(fields["event"], r"^\d"))

        def column(place: int, pattern: str = ".") -> pa.StringArray:
            # Versions have added fields at the end: old files have fewer of them.
            absent = of_users | (np.diff(begins) <= place)
            texts = flat.take(pa.array(begins[:-1] + place, mask=absent))
            fits = pc.match_substring_regex(texts, pattern)
            return pc.if_else(fits, texts, pa.scalar(None, pa.string()))

        seconds = pc.strptime(fields["moment"], format=_MOMENT, unit="s", error_is_null=True)
        moments = pc.binary_join_element_wise(seconds.cast(pa.string()), fields["ms"], ".")
        events = {
            "at_us": stamps_us(moments, zone=self.options.zone),
            "event": pc.if_else(pa.array(of_users), USER_LOG, fields["event"]),
            "pid": column(4, r"^\d{1,10}$").cast(pa.int64()),
            "database": column(5),
            "user": column(6),
            "application": column(15),
            "session": column(20, r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]+)+$"),
        }
        return self._connections.see(events, lines)


def _behind(texts: pa.StringArray, mark: str) -> pa.StringArray:
    """What stands behind the first `mark` of each text, which has one, without space around."""
    parts = pc.split_pattern(texts, mark, max_splits=1)
    return pc.ascii_trim_whitespace(parts.values.take(pc.add(parts.offsets[:-1], 1)))


def _matching(lines: pa.BinaryArray, candidates: pa.BooleanArray, pattern: str) -> Bools:
    found = mask(candidates)
    found[found] = mask(pc.match_substring_regex(lines.filter(candidates), pattern))
    return found
