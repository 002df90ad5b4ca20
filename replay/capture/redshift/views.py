"""Redshift's system views: a URL, made into a source of the capture, and its rows page by page.

    redshift://user@host:5439/database?sslmode=verify-full
    redshift+serverless://user@host:5439/database

The rest of the URL is libpq's; the password comes from PGPASSWORD or ~/.pgpass. Two generations of
views tell the same: SYS views, and STL views on old provisioned clusters (Amazon Redshift developer
guide, "System tables and views reference").
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from replay.capture.source import Source
from replay.errors import Unreachable, Unreadable, UsageError

MAGIC = b"redshift-sys\n"
"""What such a source begins with, instead of the bytes of a log."""
_DEFAULTS: dict[str, Any] = {"port": 5439, "sslmode": "verify-full", "connect_timeout": 15}
_ROWS_AT_ONCE = 20_000
Row = tuple[Any, ...]

ASKED = "at_us origin line pid ended_us xid duration_us rows status user database".split()
"""Columns of Generation.asked, before a chunk's sequence and text; `origin` is 0 for queries, and
`line` a query's id, or the transaction's of what has none."""
EVENTS = "at_us event pid session user database application".split()
"""Columns of Generation.connections."""


class Generation(NamedTuple):
    """Views of one kind; both kinds' queries return the same columns, stamps and texts as bytes."""

    name: str
    chunk_bytes: int
    asked: str
    connections: str


# Where a text is masked, its numbers are -1.
SYS = Generation(
    "sys_query_history",
    4_000,
    """
    SELECT h.start_time AS at, 0, h.query_id, h.session_id, h.end_time, h.transaction_id,
           nullif(h.elapsed_time, -1), nullif(h.returned_rows, -1), h.status, h.username,
           h.database_name, t.sequence, rtrim(t.text)
    FROM sys_query_history h LEFT JOIN sys_query_text t ON t.query_id = h.query_id
    """,
    """
    SELECT record_time AS at, event, session_id, global_session_id, user_name, database_name,
           application_name
    FROM sys_connection_log
    """,
)
_NO_QUERIES = """
    UNION ALL
    SELECT starttime, {}, xid, pid, endtime, xid, NULL::bigint, NULL::bigint, 'success'::varchar,
           usename, NULL::varchar, sequence, rtrim(text)
    FROM {} LEFT JOIN pg_user ON usesysid = userid
    """
STL = Generation(
    "stl_query",
    200,
    """
    SELECT q.starttime AS at, 0, q.query, q.pid, q.endtime, q.xid, NULL::bigint, NULL::bigint,
           CASE q.aborted WHEN 1 THEN 'aborted'::varchar ELSE 'success'::varchar END, u.usename,
           rtrim(q.database), t.sequence, rtrim(t.text)
    FROM stl_query q LEFT JOIN stl_querytext t ON t.query = q.query
         LEFT JOIN pg_user u ON u.usesysid = q.userid
    """
    + _NO_QUERIES.format(1, "stl_utilitytext")
    + _NO_QUERIES.format(2, "stl_ddltext"),
    """
    SELECT recordtime AS at, event, pid, sessionid, username, dbname, application_name
    FROM stl_connection_log
    """,
)


@dataclass(kw_only=True)
class ViewSource(Source):
    """System views as a log; counted and hashed are the rows that were read."""

    conninfo: str = field(repr=False)


def find_views(url: str) -> Source:
    """The system views behind a URL; nothing is connected to yet.

    Raises:
        UsageError: no such URL, or one with a password in it.
    """
    scheme, _, rest = url.partition("://")
    try:
        parameters = _DEFAULTS | conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error:
        # libpq's message would quote the URL, and with it a password.
        hint = "use redshift://user@host:5439/database"
        raise UsageError(f"`{scheme}://…` is not a connection URL", hint=hint) from None
    if parameters.get("password"):
        hint = "put it into PGPASSWORD or ~/.pgpass"
        raise UsageError("the URL holds a password, and URLs are shown and recorded", hint=hint)
    if parameters["sslmode"] == "verify-full" and "PGSSLROOTCERT" not in os.environ:
        parameters.setdefault("sslrootcert", "system")
    parameters.setdefault("application_name", "fourstep")
    parameters |= {"client_encoding": "UTF8", "gssencmode": "disable"}
    host, port, database = (parameters.get(name, "") for name in ("host", "port", "dbname"))
    return ViewSource(
        uri=f"{scheme}://{host}:{port}/{database}",
        name=scheme,
        open_raw=lambda: io.BytesIO(MAGIC),
        conninfo=make_conninfo("", **parameters),
    )


class Views:
    """The views of a server, in a `session` to close.

    Raises:
        Unreachable: the server does not let us in; the message holds no secret.
        UsageError: it has no system views.
    """

    def __init__(self, source: ViewSource) -> None:
        self._source = source
        source.size, source.sha256 = 0, hashlib.sha256()
        try:
            # Redshift has no DEALLOCATE ALL, which psycopg sends once it prepares.
            self.session = psycopg.connect(source.conninfo, autocommit=True, prepare_threshold=None)
            self.session.execute(b"SET datestyle TO ISO")
        except psycopg.Error as error:
            raise Unreachable(
                f"{source.uri} does not let us in",
                hint="check host, port, user and PGPASSWORD or ~/.pgpass; for a certificate that "
                "is not trusted add ?sslrootcert=FILE",
            ) from error
        for kind in "bpchar varchar text name timestamp".split():
            self.session.adapters.register_loader(kind, _Raw)
        for self.generation in (SYS, STL):
            source.name = self.generation.name
            try:
                self._fetch(f"SELECT 1 FROM {source.name} LIMIT 0")
                return
            except Unreadable:
                continue
        self.session.close()
        raise UsageError(
            f"{source.uri} has neither SYS_QUERY_HISTORY nor STL_QUERY",
            hint="name a Redshift cluster or workgroup, and a user who may read its views",
        )

    def pages(
        self, query: str, since: datetime | None, until: datetime | None
    ) -> Iterator[list[Row]]:
        """Rows of a generation's query within a window, in order of time.

        A cursor would be filled on the leader node as a whole, so a page is a query of its own.

        Raises:
            Unreadable: the views must not be read, or the server stops answering.
        """
        # What begins while we read is left out: our own queries are logged, too.
        window = f"at < '{_utc(until or datetime.now(UTC))}'"
        begin, limit = _utc(since) if since else "0001-01-01", _ROWS_AT_ONCE
        while True:
            rows = self._fetch(
                f"SELECT * FROM ({query}) AS told WHERE {window} AND at >= '{begin}' "
                f"ORDER BY 1, 2, 3, 4, 5 LIMIT {limit}"
            )
            if len(rows) < limit:
                yield rows
                return
            # What happened at the last moment may go on behind the page: it comes again.
            last = rows[-1][0]
            page = [row for row in rows if row[0] != last]
            begin, limit = last.decode(), _ROWS_AT_ONCE if page else limit * 2
            yield page

    def _fetch(self, query: str) -> list[Row]:
        try:
            rows = self.session.execute(query.encode()).fetchall()
        except psycopg.Error as error:
            raise Unreadable(f"{self._source.uri} stopped answering") from error
        for row in rows:
            text = repr(row).encode()
            self._source.size += len(text)
            self._source.sha256.update(text)
        return rows


class _Raw(Loader):
    """Text as bytes: a chunk may end within a character."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
