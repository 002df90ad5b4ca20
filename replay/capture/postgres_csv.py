"""PostgreSQL's csvlog, 8.4 to 18: 22 to 26 columns, quotes doubled, newlines raw.

Columns by version and the meaning of messages: PostgreSQL manual, 19.8.4 and 19.8.3; csvlog.c.
A record is found by its quotes, not by its lines. A record cut off by a crash leaves a quote
open; the next line that starts like a whole record ends it, because no quoted text can hold a
comma followed by a single double quote.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import BinaryIO

from replay.capture.record import Event, Outcome, Quarantined, Skipped, Statement, Step
from replay.capture.stamp import offset_of_zone

COLUMNS = range(22, 27)
_TIME, _USER, _DATABASE, _SESSION, _SEVERITY, _SQLSTATE, _MESSAGE, _DETAIL, _QUERY = (
    0,
    1,
    2,
    5,
    11,
    12,
    13,
    14,
    19,
)
_APPLICATION = 22

_STAMP = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+:-]+,"
_HEADER = re.compile(
    _STAMP + rb'(?:"[^"]*")?,(?:"[^"]*")?,\d*,(?:"[^"]*")?,[0-9a-f]+\.[0-9a-f]+,\d+,'
)
_START = re.compile(_STAMP)
_QUOTED = re.compile(r'"[^"]*(?:"|$)')

_DURATION = re.compile(r"duration: (\d+)\.(\d{3}) ms(?:  (.*))?\Z", re.DOTALL)
_EXECUTE = re.compile(r"execute (?!fetch from )[^\n:]*: ", re.DOTALL)
_STEP = re.compile(r"(parse|bind) [^\n:]*: ")
_PARAMETER = re.compile(r"\$\d+ = (?:'((?:[^']|'')*)'|(NULL))(?:, |\Z)", re.DOTALL)
_BIND_MARKER = re.compile(r"\$[1-9]")

_NOT_REPLAYED = (
    ("parse ", "parse"),
    ("bind ", "bind"),
    ("execute fetch from ", "cursor fetch"),
    ("plan:", "plan"),
    ("fastpath function call: ", "fast-path call"),
    ("connection received", "connection"),
    ("connection authenticated", "connection"),
    ("connection authorized", "connection"),
    ("replication connection authorized", "connection"),
    ("disconnection: ", "disconnection"),
    ("AUDIT: ", "audit"),
)
_RECORDS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class _Raw:
    line: int
    data: bytes
    whole: bool


class PostgresCsv:
    """Reads csvlog. `zone` overrides the zone that stamps name.

    Raises (while reading):
        UsageError: stamps name a zone whose offset cannot be known.
    """

    name = "postgres-csv"
    stamp = "derived"
    resolution_us = 1_000
    dialect = "postgres"

    def __init__(self, *, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._second = ""
        self._second_us = 0

    def recognises(self, head: bytes) -> str | None:
        """Evidence: a line that begins like a csvlog record."""
        for number, line in enumerate(head.split(b"\n"), 1):
            if _HEADER.match(line):
                return f"line {number} has csvlog's stamp, session id and commas"
        return None

    def read(self, stream: BinaryIO) -> Iterator[Event]:
        """Every record as one event; broken ones are quarantined."""
        together: list[_Raw] = []
        for raw in _split(stream):
            if not raw.whole:
                yield from self._parse(together)
                together = []
                yield _quarantine(raw, "cut off")
                continue
            together.append(raw)
            if len(together) == _RECORDS_AT_ONCE:
                yield from self._parse(together)
                together = []
        yield from self._parse(together)

    def _parse(self, records: list[_Raw]) -> Iterator[Event]:
        try:
            rows = list(csv.reader([raw.data.decode() for raw in records], strict=True))
            if len(rows) != len(records):
                raise csv.Error("records and rows differ in number")
        except (csv.Error, UnicodeDecodeError) as error:
            if len(records) > 1:
                for raw in records:
                    yield from self._parse([raw])
            else:
                bad_text = isinstance(error, UnicodeDecodeError)
                yield _quarantine(records[0], "not UTF-8" if bad_text else "broken quoting")
            return
        for raw, row in zip(records, rows, strict=True):
            yield self._event(raw, row)

    def _event(self, raw: _Raw, row: list[str]) -> Event:
        if not _START.match(raw.data):
            return _quarantine(raw, "no stamp")
        if len(row) not in COLUMNS:
            return _quarantine(raw, "wrong number of columns")
        message = row[_MESSAGE]
        severity = row[_SEVERITY]
        if severity in ("ERROR", "FATAL", "PANIC"):
            return self._failure(raw, row)
        if severity != "LOG":
            return Skipped(raw.line, "server message")
        duration_us: int | None = None
        timed = _DURATION.match(message)
        if timed:
            duration_us = int(timed[1]) * 1_000 + int(timed[2])
            message = timed[3] or ""
            if not message:
                return Outcome(raw.line, row[_SESSION], duration_us=duration_us)
        if message.startswith("statement: "):
            return self._statement(raw, row, message[11:], duration_us, extended=False)
        execute = _EXECUTE.match(message)
        if execute:
            return self._statement(raw, row, message[execute.end() :], duration_us, extended=True)
        step = _STEP.match(message)
        if step and duration_us is not None:
            params, whole = parameters_of(row[_DETAIL])
            sql = message[step.end() :]
            values = params if whole else None
            return Step(raw.line, row[_SESSION], step[1], duration_us, sql, values)
        for prefix, reason in _NOT_REPLAYED:
            if message.startswith(prefix):
                return Skipped(raw.line, reason)
        return Skipped(raw.line, "server message")

    def _statement(
        self, raw: _Raw, row: list[str], sql: str, duration_us: int | None, *, extended: bool
    ) -> Event:
        if not sql.strip():
            return Skipped(raw.line, "empty statement")
        params = None
        if extended:
            params, whole = parameters_of(row[_DETAIL])
            if params is None and _BIND_MARKER.search(sql):
                return Skipped(raw.line, "bind values not logged")
            if not whole:
                return _quarantine(raw, "bind values unreadable or cut")
        stamp_us = self._stamp_us(row[_TIME])
        return Statement(
            line=raw.line,
            session_id=row[_SESSION],
            sql=sql,
            started_at_us=stamp_us if duration_us is None else None,
            ended_at_us=None if duration_us is None else stamp_us,
            duration_us=duration_us,
            params=params,
            extended=extended,
            user=row[_USER] or None,
            database=row[_DATABASE] or None,
            application=_application(row),
        )

    def _failure(self, raw: _Raw, row: list[str]) -> Event:
        sql = row[_QUERY]
        if not sql.strip():
            return Outcome(raw.line, row[_SESSION], error=row[_SQLSTATE])
        return Statement(
            line=raw.line,
            session_id=row[_SESSION],
            sql=sql,
            ended_at_us=self._stamp_us(row[_TIME]),
            error=row[_SQLSTATE],
            user=row[_USER] or None,
            database=row[_DATABASE] or None,
            application=_application(row),
        )

    def _stamp_us(self, text: str) -> int:
        # Most neighbours share their second, and parsing one costs as much as the rest of a record.
        second = text[:19] + text[23:]
        if second != self._second:
            naive = datetime.fromisoformat(text[:19])
            zone = self._zone or offset_of_zone(text[24:])
            self._second_us = int(naive.replace(tzinfo=zone).timestamp()) * 1_000_000
            self._second = second
        return self._second_us + int(text[20:23]) * 1_000


def parameters_of(detail: str) -> tuple[list[str | None] | None, bool]:
    """Bind values of a DETAIL such as `parameters: $1 = 'text', $2 = NULL`, and whether all.

    The values are None when the detail holds no parameters. They are not all there when the
    server cut a value short (`log_parameter_max_length`).
    """
    if not detail[:12].lower().startswith("parameters: "):
        return None, True
    values: list[str | None] = []
    position = 12
    while position < len(detail):
        found = _PARAMETER.match(detail, position)
        if not found:
            return values, False
        values.append(None if found[2] else found[1].replace("''", "'"))
        position = found.end()
    return values, True


def _application(row: list[str]) -> str | None:
    return (row[_APPLICATION] or None) if len(row) > _APPLICATION else None


def _split(lines: Iterable[bytes]) -> Iterator[_Raw]:
    pending: list[bytes] = []
    first = 0
    for number, line in enumerate(lines, 1):
        if pending:
            if _HEADER.match(line):
                yield _Raw(first, b"".join(pending), whole=False)
                pending = []
            else:
                pending.append(line)
                if line.count(b'"') & 1:
                    yield _Raw(first, b"".join(pending), whole=True)
                    pending = []
                continue
        if line.count(b'"') & 1:
            pending = [line]
            first = number
        elif line.endswith(b"\n"):
            yield _Raw(number, line, whole=True)
        else:
            # The last line of a file that is cut, or whose writer has not finished it.
            yield _Raw(number, line, whole=line.count(b",") >= COLUMNS.start - 1)
    if pending:
        yield _Raw(first, b"".join(pending), whole=False)


def _quarantine(raw: _Raw, reason: str) -> Quarantined:
    text = raw.data[:2_000].decode(errors="replace")
    return Quarantined(raw.line, reason, _QUOTED.sub('"…"', text).strip())
