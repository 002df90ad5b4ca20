"""Redshift's system views over a connection: what was asked, read in stretches of time.

SYS_QUERY_HISTORY, SYS_QUERY_TEXT and SYS_CONNECTION_LOG; on old provisioned clusters STL_QUERY,
STL_QUERYTEXT, STL_UTILITYTEXT, STL_DDLTEXT and STL_CONNECTION_LOG (Amazon Redshift developer guide,
"System tables and views reference"). A cursor would be filled on the leader node as a whole, and
each page of an ordered result would sort it anew, so stretches are planned from a count by minute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any, ClassVar, NamedTuple

import psycopg

from replay.capture.record import ReaderOptions
from replay.capture.redshift_text import join_chunks
from replay.capture.source import Source
from replay.errors import Unreadable, UsageError

_ROWS_AT_ONCE = 20_000
_IDS_AT_ONCE = 1_000
_SURELY_WHOLE_BYTES = 3_800
"""A history shows a text's first 4,000 bytes, or a little less where a character would be cut."""
_SYS_WIDTH, _STL_WIDTH = 4_000, 200
_CONNECTION_COLUMNS = (
    ("event", ("event",)),
    ("at", ("record_time", "recordtime")),
    ("pid", ("session_id", "pid")),
    ("session", ("global_session_id", "sessionid")),
    ("user", ("user_name", "username")),
    ("database", ("database_name", "dbname")),
    ("application", ("application_name",)),
    ("driver", ("driver_version",)),
)

Rows = Sequence[tuple[Any, ...]]


class Asked(NamedTuple):
    """One thing that was asked of the server; text is bytes, as it came."""

    id: int
    pid: int
    xid: int
    start: bytes
    end: bytes | None
    elapsed_us: int | None
    rows: int | None
    status: bytes
    user: bytes
    database: bytes
    text: bytes | None
    """Escaped; None where it is not known to the end."""
    told_before: bool = False
    """Another view has told it."""


class Views(ABC):
    """The views of one server, as far as they reach into a window of time."""

    name: ClassVar[str]

    def __init__(
        self, connection: psycopg.Connection, source: Source, options: ReaderOptions
    ) -> None:
        self._connection = connection
        self._source = source
        self._since, self._until = options.since, options.until

    @abstractmethod
    def asked(self) -> Iterator[list[Asked]]:
        """What was asked, in order of its start, a stretch of time at a time.

        Raises:
            Unreadable: the server stops answering.
        """

    @abstractmethod
    def connections(self) -> Iterator[dict[str, tuple[Any, ...]]]:
        """Columns of the connection log, a stretch at a time; `at` is text.

        Raises:
            Unreadable: the log must not be read, or the server stops answering.
        """

    def sees_all(self) -> bool:
        """Whether the user may see other users' statements, as far as that can be told."""
        rows = self._fetch("SELECT usesuper FROM pg_user WHERE usename = current_user")
        return bool(rows and rows[0][0])

    def _fetch(self, query: str) -> Rows:
        try:
            rows = self._connection.execute(query.encode()).fetchall()
        except psycopg.Error as error:
            raise Unreadable(f"{self._source.uri} stopped answering") from error
        for row in rows:
            text = repr(row).encode()
            self._source.size += len(text)
            self._source.sha256.update(text)
        return rows

    def _columns(self, view: str) -> set[str]:
        """The columns of a view; none where it is missing."""
        try:
            cursor = self._connection.execute(f"SELECT * FROM {view} LIMIT 0".encode())
        except psycopg.Error:
            return set()
        return {column.name for column in cursor.description or ()}

    def _stretches(
        self, tables: Sequence[tuple[str, str]], *, all_before: bool = False
    ) -> list[str]:
        """Conditions on `{at}` that divide the rows of tables, given with their column of time."""
        limits = []
        if self._since is not None and not all_before:
            limits.append(f"{{at}} >= '{_utc(self._since)}'")
        if self._until is not None:
            limits.append(f"{{at}} < '{_utc(self._until)}'")
        within = " AND ".join(limits) or "true"
        union = " UNION ALL ".join(
            f"SELECT {at} AS began FROM {table} WHERE {within.format(at=at)}"
            for table, at in tables
        )
        minutes = self._fetch(
            f"SELECT date_trunc('minute', began), count(*) FROM ({union}) AS asked "
            "GROUP BY 1 ORDER BY 1"
        )
        if not minutes:
            return []
        edges: list[str] = []
        rows = 0
        for minute, count in minutes:
            if edges and rows + count <= _ROWS_AT_ONCE:
                rows += count
                continue
            edges.append(f"'{minute.decode()}'")
            rows = count
        # What begins while we read is left out: it would never end.
        edges.append(f"'{minutes[-1][0].decode()}'::timestamp + interval '1 minute'")
        return [
            f"{within} AND {{at}} >= {begin} AND {{at}} < {end}" for begin, end in pairwise(edges)
        ]

    def _connection_log(self, view: str) -> Iterator[dict[str, tuple[Any, ...]]]:
        there = self._columns(view)
        if not there:
            raise Unreadable(f"{view} cannot be read")
        chosen = {
            name: next((column for column in columns if column in there), "NULL::varchar")
            for name, columns in _CONNECTION_COLUMNS
        }
        at = chosen["at"]
        # A connection may have begun long before the window.
        for stretch in self._stretches([(view, at)], all_before=True):
            rows = self._fetch(
                f"SELECT {', '.join(chosen.values())} FROM {view} "
                f"WHERE {stretch.format(at=at)} ORDER BY {at}"
            )
            yield dict(zip(chosen, zip(*rows, strict=True), strict=True))

    def _chunks(
        self, view: str, key: str, ids: Sequence[int], width: int
    ) -> dict[int, bytes | None]:
        """Whole texts of these queries."""
        found: dict[int, bytes | None] = {}
        for first in range(0, len(ids), _IDS_AT_ONCE):
            some = ", ".join(map(str, ids[first : first + _IDS_AT_ONCE]))
            rows = self._fetch(
                f"SELECT {key}, sequence, text FROM {view} WHERE {key} IN ({some}) ORDER BY 1, 2"
            )
            for number, chunks in groupby(rows, key=lambda row: row[0]):
                found[number] = join_chunks([chunk[1:] for chunk in chunks], width=width)
        return found

    def _with_text(self, rows: Rows, view: str, key: str, width: int) -> list[Asked]:
        asked = [Asked(*row) for row in rows]
        texts = [(each.text or b"").rstrip(b" ") for each in asked]
        unsure = [
            each.id
            for each, text in zip(asked, texts, strict=True)
            if not text or len(text) >= _SURELY_WHOLE_BYTES
        ]
        whole = self._chunks(view, key, unsure, width) if unsure else {}
        unsure_ids = set(unsure)
        return [
            each._replace(text=whole.get(each.id) if each.id in unsure_ids else text)
            for each, text in zip(asked, texts, strict=True)
        ]


class SysViews(Views):
    """SYS views: provisioned and serverless."""

    name = "sys_query_history"

    def asked(self) -> Iterator[list[Asked]]:
        """See `Views`."""
        for stretch in self._stretches([(self.name, "start_time")]):
            rows = self._fetch(
                "SELECT query_id, session_id, transaction_id, start_time, end_time, elapsed_time, "
                "returned_rows, rtrim(status), rtrim(username), rtrim(database_name), "
                "rtrim(query_text) "
                f"FROM {self.name} WHERE {stretch.format(at='start_time')} "
                "ORDER BY start_time, query_id"
            )
            yield self._with_text(rows, "sys_query_text", "query_id", _SYS_WIDTH)

    def connections(self) -> Iterator[dict[str, tuple[Any, ...]]]:
        """See `Views`."""
        return self._connection_log("sys_connection_log")


class StlViews(Views):
    """STL views: provisioned only; what is no query has no id, and none tells returned rows."""

    name = "stl_query"
    _OTHERS = ("stl_utilitytext", "stl_ddltext")

    def asked(self) -> Iterator[list[Asked]]:
        """See `Views`; `id` of what is no query is its transaction."""
        users: dict[int, bytes] = dict(self._fetch("SELECT usesysid, usename FROM pg_user"))
        databases: dict[int, bytes] = {}
        views = (self.name, *self._OTHERS)
        for stretch in self._stretches([(view, "starttime") for view in views]):
            where = f"WHERE {stretch.format(at='starttime')}"
            rows = self._fetch(
                "SELECT query, pid, xid, starttime, endtime, NULL::bigint, NULL::bigint, "
                "CASE aborted WHEN 1 THEN 'aborted' ELSE 'success' END, userid, rtrim(database), "
                "rtrim(querytxt) "
                f"FROM {self.name} {where} ORDER BY starttime, query"
            )
            named = [(*row[:8], users.get(row[8], b""), *row[9:]) for row in rows]
            asked = self._with_text(named, "stl_querytext", "query", _STL_WIDTH)
            databases |= {each.pid: each.database for each in asked}
            told = {(each.pid, each.xid, each.text) for each in asked}
            for view in self._OTHERS:
                rows = self._fetch(
                    "SELECT pid, xid, starttime, endtime, userid, sequence, text "
                    f"FROM {view} {where} ORDER BY starttime, pid, xid, endtime, userid, sequence"
                )
                for (pid, xid, start, end, user), chunks in groupby(rows, key=lambda row: row[:5]):
                    who = users.get(user, b""), databases.get(pid, b"")
                    for text in _apart([chunk[5:] for chunk in chunks]):
                        again = (pid, xid, text) in told
                        times = start, end, None, None, b"success"
                        asked.append(Asked(xid, pid, xid, *times, *who, text, again))
            yield sorted(asked, key=lambda each: (each.start, each.id))

    def connections(self) -> Iterator[dict[str, tuple[Any, ...]]]:
        """See `Views`."""
        return self._connection_log("stl_connection_log")


def open_views(connection: psycopg.Connection, source: Source, options: ReaderOptions) -> Views:
    """The views that the server has.

    Raises:
        UsageError: it has none.
    """
    for kind in (SysViews, StlViews):
        views = kind(connection, source, options)
        if views._columns(kind.name):
            source.name = kind.name
            return views
    raise UsageError(
        f"{source.uri} has neither SYS_QUERY_HISTORY nor STL_QUERY",
        hint="name a Redshift cluster or workgroup, and a user who may read its system views",
    )


def _apart(chunks: list[tuple[int, bytes]]) -> list[bytes | None]:
    """Texts of what one transaction of one process began in the same microsecond."""
    by_place: defaultdict[int, list[bytes]] = defaultdict(list)
    for sequence, text in chunks:
        by_place[sequence].append(text)
    if list(by_place) == [0]:
        return [join_chunks([(0, text)], width=_STL_WIDTH) for text in by_place[0]]
    # Chunks of several texts: whose is whose is not told.
    return [join_chunks(chunks, width=_STL_WIDTH)] * len(by_place[0] or [b""])


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
