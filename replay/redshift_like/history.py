"""What was run, as rows of the system views.

Rows wait in memory and are written when somebody is about to look, or when many wait: a view is
never behind what it should show, and a replay is not held up.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from replay.redshift_like.behaviour import Behaviour

_CATALOG = Path(__file__).with_name("catalog.sql")
_MANY = 2_000


def utc_now() -> datetime:
    """As in the views: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(slots=True, kw_only=True)
class Query:
    """A row of SYS_QUERY_HISTORY in the making, in the order of the table's columns.

    Durations are microseconds.
    """

    query_id: int
    transaction_id: int
    session_id: int
    label: str
    database: str
    user: str
    query_type: str
    status: str = "success"
    result_cache_query_id: int = 0
    start: datetime = field(default_factory=utc_now)
    end: datetime = datetime.min
    elapsed_us: int = 0
    queue_us: int = 0
    execution_us: int = 0
    compile_us: int = 0
    planning_us: int = 0
    error: str | None = None
    rows: int = 0
    row_bytes: int = 0
    text: str
    version: str
    slots: int = 0


@dataclass(slots=True, kw_only=True)
class Login:
    """A row of SYS_CONNECTION_LOG."""

    event: str
    at: datetime = field(default_factory=utc_now)
    session_id: int
    database: str
    user: str
    application: str
    tls: str


class History:
    """The tables behind the views, in the backend's database."""

    def __init__(self, backend: str, behaviour: Behaviour) -> None:
        self._backend = backend
        self._behaviour = behaviour
        self._queries: list[Query] = []
        self._logins: list[Login] = []
        self._writing = asyncio.Lock()
        self.next_query = count(1).__next__
        self.next_transaction = count(1_000).__next__

    async def open(self) -> None:
        """Make tables and views anew; raises psycopg.Error."""
        chosen = self._behaviour
        self._connection = await psycopg.AsyncConnection.connect(self._backend, autocommit=True)
        await self._connection.execute(_CATALOG.read_bytes())
        await self._connection.execute(
            "INSERT INTO redshift_like.cluster VALUES (%s, %s, %s, %s * interval '1 s')",
            [chosen.version, chosen.slots, chosen.rpu, chosen.view_delay_s],
        )
        for view in filter(None, chosen.hidden_views.split(",")):
            revoke = sql.SQL("REVOKE ALL ON pg_catalog.{} FROM PUBLIC")
            await self._connection.execute(revoke.format(sql.Identifier(view.strip().lower())))

    async def set(self, *, version: str, slots: int) -> None:
        """Show another version and number of slots."""
        await self._connection.execute(
            "UPDATE redshift_like.cluster SET version = %s, slots = %s", [version, slots]
        )

    async def add(self, row: Query | Login) -> None:
        """Have a row appear after its delay."""
        (self._queries if isinstance(row, Query) else self._logins).append(row)  # type: ignore[arg-type]
        if len(self._queries) > _MANY:
            await self.show()

    async def show(self) -> None:
        """Write every row whose time has come."""
        async with self._writing:
            limit = time.time() - self._behaviour.view_delay_s
            until = datetime.fromtimestamp(limit, UTC).replace(tzinfo=None)
            queries = [row for row in self._queries if row.end <= until]
            self._queries = [row for row in self._queries if row.end > until]
            logins, self._logins = self._logins, []
            for table, rows in (("query", queries), ("connection", logins)):
                if rows:
                    copy_in = f"COPY redshift_like.{table} FROM STDIN".encode()
                    cursor = self._connection.cursor()
                    async with cursor, cursor.copy(copy_in) as copy:
                        for row in rows:
                            await copy.write_row(astuple(row))
