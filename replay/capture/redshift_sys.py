"""Redshift's system views as a log: what was asked of 1.0, how long it took and how it ended.

A statement's stamp is its start, in microseconds; its duration is its time in the server, planning
and queueing included. `line` is the query's id, or a transaction's for what STL views give none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    ReaderOptions,
    Recognised,
    What,
    records_of,
)
from replay.capture.redshift_connection_log import connection_records
from replay.capture.redshift_connections import Connections
from replay.capture.redshift_internal import MASKED_REASON, is_masked, why_skipped
from replay.capture.redshift_source import MAGIC, ViewSource, log_in
from replay.capture.redshift_text import unescaped
from replay.capture.redshift_views import Asked, StlViews, Views, open_views
from replay.capture.source import Source
from replay.capture.stamp import stamps_us
from replay.errors import Unreadable

_RUNNING = pa.array(["planning", "queued", "running", "returning"])


@dataclass
class RedshiftSys:
    """Reads system views."""

    options: ReaderOptions

    name: ClassVar[str] = "redshift-sys"
    dialect: str = "redshift"
    meaning: str = "start"
    unique_sessions: bool = True
    resolution_us: int = 1
    notes: set[str] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a URL of system views."""
        return Recognised(cls(options), "it is a URL of system views") if head == MAGIC else None

    def adopt(self, other: Self) -> bool:
        """Servers have nothing in common, but neither has reading them."""
        return True

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Connections, then what was asked in order of its start.

        Raises:
            Unreachable: the server does not let us in.
            Unreadable: it stops answering.
            UsageError: it has no system views.
        """
        if not isinstance(source, ViewSource):
            raise Unreadable(f"`{source.uri}` is no system view")
        source.size, source.sha256 = 0, hashlib.sha256()
        with log_in(source.conninfo, source.uri) as connection:
            views = open_views(connection, source, self.options)
            if not views.sees_all():
                self.notes.add(
                    "the user is no superuser and may see only its own statements: capture as a "
                    "superuser, or ALTER USER … SYSLOG ACCESS UNRESTRICTED"
                )
            if isinstance(views, StlViews):
                self.notes.add(
                    "the server has no SYS views; the STL views that were read keep 2 to 5 days "
                    "and do not tell returned rows"
                )
            connections = Connections()
            yield from self._connections(views, connections)
            for asked in views.asked():
                yield _records(asked, connections)

    def _connections(self, views: Views, connections: Connections) -> Iterator[pa.Table]:
        seen = 0
        try:
            for columns in views.connections():
                events = {
                    name: _numbers(values) if name == "pid" else _texts(values)
                    for name, values in columns.items()
                }
                events["at_us"] = stamps_us(events.pop("at"))
                connections.see(events)
                lines = np.arange(seen, seen + len(events["pid"])) + 1
                # They come before all statements: their stamps would seem to go back.
                stampless = {**events, "at_us": pa.nulls(len(lines), pa.int64())}
                yield connection_records(stampless, lines)
                seen += len(lines)
        except Unreadable:
            seen = 0
        if not seen:
            self.notes.add(
                "no connection log could be read: sessions are told apart by process, user and "
                "database, and applications are unknown; capture as a superuser"
            )


def _records(asked: list[Asked], connections: Connections) -> pa.Table:
    """What was asked as rows of RECORDS."""
    if not asked:
        return NO_RECORDS
    columns = dict(zip(Asked._fields, zip(*asked, strict=True), strict=True))
    count = len(asked)
    status, user, database = (_texts(columns[name]) for name in ("status", "user", "database"))
    sql, readable = _decoded(columns["text"])
    at_us = stamps_us(_texts(columns["start"]))
    took_us = pc.subtract(stamps_us(_texts(columns["end"])), at_us)
    duration_us = pc.coalesce(_numbers(columns["elapsed_us"]), took_us)

    reason = why_skipped(sql, user)
    what = np.full(count, What.STATEMENT, dtype=np.int8)
    reason[np.array(columns["told_before"])] = "logged twice"
    reason[mask(pc.is_in(status, _RUNNING))] = "still running"
    what[reason != None] = What.SKIPPED  # noqa: E711  elementwise
    open_ = what == What.STATEMENT
    for bad, why in (
        (mask(pc.is_null(sql)), "text missing or incomplete"),
        (~readable, "not text: invalid UTF-8 or a NUL byte"),
        (is_masked(sql), MASKED_REASON),
        (mask(pc.is_null(at_us)), "no stamp"),
    ):
        what[open_ & bad], reason[open_ & bad] = What.QUARANTINED, why

    pid = np.array(columns["pid"], dtype=np.int64)
    starts_us = pc.fill_null(at_us, 0).to_numpy()
    known_database = pc.if_else(pc.equal(database, ""), pa.scalar(None, pa.string()), database)
    owner = connections.find(pid, starts_us, user, known_database, resolution_us=1)
    database = pc.coalesce(known_database, owner.database)
    process = pa.array(pid).cast(pa.string())
    by_process = pc.binary_join_element_wise(process, user, pc.fill_null(database, ""), ":")
    statement = pa.array(what == What.STATEMENT)
    return records_of(
        count,
        {
            "line": np.array(columns["id"], dtype=np.int64),
            "what": what,
            "reason": pa.array(reason, type=pa.string()),
            "session": pc.coalesce(owner.session, by_process),
            "at_us": at_us,
            "ends": False,
            "duration_us": _unless_negative(duration_us),
            "rows": _unless_negative(_numbers(columns["rows"])),
            # The message would hold the user's values.
            "error": pc.if_else(pc.equal(status, "success"), pa.scalar(None, pa.string()), status),
            "user": user,
            "database": database,
            "application": owner.application,
            "sql": pc.if_else(statement, sql, pa.scalar(None, pa.string())),
        },
    )


def _decoded(texts: Sequence[bytes | None]) -> tuple[pa.StringArray, Bools]:
    """Statements as they were sent, and which of them are text at all."""
    readable = np.ones(len(texts), dtype=np.bool_)
    try:
        sql = pa.array(texts, type=pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        found = []
        for row, text in enumerate(texts):
            try:
                found.append(None if text is None else text.decode())
            except UnicodeDecodeError:
                found.append(None)
                readable[row] = False
        sql = pa.array(found, type=pa.string())
    return unescaped(sql), readable


def _texts(values: Sequence[bytes | None]) -> pa.StringArray:
    """Short values without the spaces they are padded with."""
    found = [None if value is None else value.decode(errors="replace") for value in values]
    return pc.ascii_trim_whitespace(pa.array(found, type=pa.string()))


def _numbers(values: Sequence[int | None]) -> pa.Int64Array:
    return pa.array(values, type=pa.int64())


def _unless_negative(numbers: pa.Int64Array) -> pa.Int64Array:
    """Where a text is masked, its numbers are -1."""
    return pc.if_else(pc.less(numbers, 0), pa.scalar(None, pa.int64()), numbers)
