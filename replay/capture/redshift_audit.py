"""Redshift's audit log files: user activity, connections and users.

Form: Amazon Redshift management guide, "Database audit logging". One reader takes the three kinds
of file, as they are told apart record by record: of the user activity log a record runs to the next
header, the two others have a record a line. Statements are logged as they begin, with a stamp of
whole seconds, and without durations, errors and bind values. Connection logs are read first, for
they tell sessions apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import BlockReader, extract, line_starts, mask, strings_at
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    Ints,
    ReaderOptions,
    Recognised,
    What,
    quarantined,
    records_of,
)
from replay.capture.redshift_connection_log import (
    CONNECTION,
    USER,
    connection_events,
    connection_records,
    user_records,
)
from replay.capture.redshift_connections import Connections
from replay.capture.redshift_internal import MASKED, MASKED_REASON, is_masked, why_skipped
from replay.capture.repeats import Repeats
from replay.capture.source import Source
from replay.capture.stamp import stamps_us
from replay.template import normalise

_NAME = r"(?:[^\]\n]|\][^'\n])*?"
_HEADER = (
    r"^\s*'(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z (?P<zone>[A-Z]+) \[ "
    rf"db=(?P<database>{_NAME}) user=(?P<user>{_NAME}) pid=(?P<pid>\d{{1,18}}) userid=\d+ "
    r"xid=(?P<xid>\d{1,18}) \]' (?P<level>LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DEBUG\d?|DETAIL"
    r"|STATEMENT|HINT|CONTEXT|LOCATION):"
)
# Some way into a header, where a log that is cut may end; no SQL text ends with the beginning of a
# literal.
_CUT_HEADER = re.compile(
    rb"\s*'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [^\n]*|\s*'\d{4}-[\d:T-]*Z?|\s*'\d{1,4}"
)
_KINDS = ((_HEADER, "user activity", 1), (CONNECTION, "connection", 0), (USER, "user", 0))

_SECOND_US = 1_000_000
_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r'"[^"]*"')
_QUOTE, _SPACE, _PIPE, _COMMA = b"' |,"
Bytes = npt.NDArray[np.uint8]


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
        self._reading: Source | None = None
        self._forget()

    def _forget(self) -> None:
        self._connections = Connections()
        self._repeats = Repeats()
        self._statements = self._unconnected = 0

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line that is like the beginning of a record of one of the three logs."""
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
        if self._reading is None:
            self._forget()  # what a look at the beginnings of logs has taught
        self._reading = source
        yield from super().read(source)

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at headers and at lines of the other logs, which end with their line."""
        data = np.frombuffer(block, dtype=np.uint8)
        lines = line_starts(block)
        texts = strings_at(block, lines)
        header, other = _headers(data, lines, texts), _others(data, lines, texts)
        if last and not block.endswith(b"\n") and not (header[-1] or other[-1]):
            header[-1] = _CUT_HEADER.fullmatch(block, int(lines[-1])) is not None
        begins = header | other
        begins |= _strays(lines, len(block), begins, other)
        starts = lines[begins]
        if not begins[0]:
            front = starts[1:] if len(starts) and block[: starts[0]].isspace() else starts
            starts = np.concatenate([[0], front])
        if last:
            return starts, len(block)
        return starts[:-1], int(starts[-1])

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by the log that they look like; the others are quarantined."""
        tables = []
        left, final = records, int(lines[-1]) if last and len(lines) else -1
        for pattern, parse in (
            (CONNECTION, self._connection),
            (_HEADER, self._activity),
            (USER, self._user),
        ):
            if not len(left):
                break
            fields = extract(left, pattern)
            fits = mask(next(iter(fields.values())).is_valid())
            if fits.any():
                rows = pa.array(fits)
                fields = {name: column.filter(rows) for name, column in fields.items()}
                ends = int(lines[fits][-1]) == final
                tables.append(parse(left.filter(rows), fields, lines[fits], last=ends))
                left, lines = left.filter(pc.invert(rows)), lines[~fits]
        if len(left):
            shapes = [_WORD.sub("…", text[:300]).strip() for text in left.to_pylist()]
            tables.append(quarantined(lines, "no record of an audit log", shapes))
        if last:
            self._repeats = Repeats()
            self._tell()
        if not tables:
            return NO_RECORDS
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by("line")

    def _activity(
        self, records: pa.StringArray, fields: dict[str, pa.StringArray], lines: Ints, *, last: bool
    ) -> pa.Table:
        sql = _behind(_behind(records, "]' "), ":")
        at_us = stamps_us(fields["stamp"], fields["zone"], zone=self.options.zone)
        starts_us = at_us.fill_null(0).to_numpy()
        pid, xid = (fields[name].cast(pa.int64()).to_numpy() for name in ("pid", "xid"))
        user, database = fields["user"], fields["database"]

        what = np.full(len(lines), What.STATEMENT, dtype=np.int8)
        reason = why_skipped(sql, user)
        repeated = self._repeats.find(pid, xid, starts_us, sql)
        reason[repeated & (reason == None)] = "logged twice"  # noqa: E711  elementwise
        reason[~mask(pc.equal(fields["level"], "LOG"))] = "server message"
        what[reason != None] = What.SKIPPED  # noqa: E711  elementwise
        masked = (what == What.STATEMENT) & is_masked(sql)
        stampless = (what == What.STATEMENT) & mask(at_us.is_null())
        cut = (what == What.STATEMENT) & self._cut(records, sql, last=last)
        for bad, why in ((masked, MASKED_REASON), (stampless, "no stamp"), (cut, "cut off")):
            what[bad], reason[bad] = What.QUARANTINED, why

        statement = what == What.STATEMENT
        owner = self._connections.find(pid, starts_us, user, database, resolution_us=_SECOND_US)
        self._statements += int(statement.sum())
        self._unconnected += int((statement & ~owner.known).sum())
        by_process = pc.binary_join_element_wise(fields["pid"], user, database, ":")
        return records_of(
            len(lines),
            {
                "line": lines,
                "what": what,
                "reason": pa.array(reason, type=pa.string()),
                "excerpt": pc.if_else(pa.array(masked), MASKED, pa.scalar(None, pa.string())),
                "session": pc.coalesce(owner.session, by_process),
                "at_us": at_us,
                "ends": False,
                "user": user,
                "database": database,
                "application": owner.application,
                "sql": pc.if_else(pa.array(statement), sql, pa.scalar(None, pa.string())),
            },
        )

    def _cut(self, records: pa.StringArray, sql: pa.StringArray, *, last: bool) -> Bools:
        """Whether records are known to lack their ends: only a log's last record can."""
        cut = np.zeros(len(records), dtype=np.bool_)
        damaged = self._reading is not None and self._reading.damage is not None
        if last and (damaged or not records[-1].as_py().endswith("\n")):
            # A quote that is left alone is one that no literal begins or ends with.
            alone = _QUOTED.sub("", normalise(sql[-1].as_py()).text)
            cut[-1] = damaged or "'" in alone
        return cut

    def _connection(
        self, records: pa.StringArray, fields: dict[str, pa.StringArray], lines: Ints, *, last: bool
    ) -> pa.Table:
        events = connection_events(records, fields, zone=self.options.zone)
        self._connections.see(events)
        return connection_records(events, lines)

    def _user(
        self, records: pa.StringArray, fields: dict[str, pa.StringArray], lines: Ints, *, last: bool
    ) -> pa.Table:
        return user_records(fields, lines, zone=self.options.zone)

    def _tell(self) -> None:
        self.notes.clear()
        if self._statements:
            self.notes.add(
                "the audit log has no durations, bind values or errors: the system views have "
                "(capture redshift://…)"
            )
        if self._unconnected:
            self.notes.add(
                f"{self._unconnected:,} of {self._statements:,} statements have no record of their "
                "connection: their sessions are told apart by process, user and database, and "
                "their application is unknown; capture the connection log too, from some hours "
                "before on"
            )


def _behind(texts: pa.StringArray, mark: str) -> pa.StringArray:
    """What stands behind the first `mark` of each text, which has one, without space around."""
    parts = pc.split_pattern(texts, mark, max_splits=1)
    return pc.ascii_trim_whitespace(parts.values.take(pc.add(parts.offsets[:-1], 1)))


def _headers(data: Bytes, lines: Ints, texts: pa.BinaryArray) -> Bools:
    """Lines that begin records of the user activity log."""
    quoted = data[lines] == _QUOTE
    quoted |= (data[lines] == _SPACE) & (data[np.minimum(lines + 1, len(data) - 1)] == _QUOTE)
    return _matching(texts, quoted, _HEADER)


def _others(data: Bytes, lines: Ints, texts: pa.BinaryArray) -> Bools:
    """Lines that are records of the connection log or the user log: `|Sun, ` is in each."""
    near = (data[:-5] == _PIPE) & (data[4:-1] == _COMMA) & (data[5:] == _SPACE)
    dated = np.zeros(len(lines), dtype=np.bool_)
    dated[np.searchsorted(lines, np.flatnonzero(near), side="right") - 1] = True
    return _matching(texts, dated, f"{CONNECTION}|{USER}")


def _matching(texts: pa.BinaryArray, candidates: Bools, pattern: str) -> Bools:
    rows = np.flatnonzero(candidates)
    found = np.zeros(len(texts), dtype=np.bool_)
    found[rows] = mask(pc.match_substring_regex(texts.take(pa.array(rows)), pattern))
    return found


def _strays(lines: Ints, end: int, begins: Bools, other: Bools) -> Bools:
    """The first line behind each record of one line that is neither blank nor a record's."""
    number = np.arange(len(lines))
    owner = np.maximum.accumulate(np.where(begins, number, -1))
    filled = np.diff(np.append(lines, end)) > len("\r\n")
    stray = np.flatnonzero(filled & ~begins & (owner >= 0) & np.append(other, False)[owner])
    _, first = np.unique(owner[stray], return_index=True)
    found = np.zeros(len(lines), dtype=np.bool_)
    found[stray[first]] = True
    return found
