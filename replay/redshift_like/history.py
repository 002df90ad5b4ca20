"""What was run, as rows behind the system views.

Rows wait in memory and are written when somebody is about to look, or when many wait: a view is
never behind what it should show, and a replay is not held up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

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
    """A row of SYS_QUERY_HISTORY in the making, in the order of the table's columns."""

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
    end: datetime = datetime.max
    elapsed_us: int = 0
    queue_us: int = 0
    execution_us: int = 0
    compile_us: int = 0
    planning_us: int = 0
    sqlstate: str = ""
    error: str | None = None
    rows: int = 0
    row_bytes: int = 0
    text: str
    version: str
    slots: int = 0


class History:
    """The tables behind the views, in the backend's database."""

    def __init__(self, backend: str, behaviour: Behaviour) -> None:
        self._backend = backend
        self._behaviour = behaviour
        self._delay = timedelta(seconds=behaviour.view_delay_s)
        self._queries: list[Query] = []
        self._events: list[Sequence[Any]] = []
        self._writing = asyncio.Lock()
        self.next_query = count(1).__next__
        self.next_transaction = count(1_000).__next__

    async def open(self) -> None:
        """Make tables and views anew; raises psycopg.Error."""
        self._connection = await psycopg.AsyncConnection.connect(self._backend, autocommit=True)
        await self._connection.execute(_CATALOG.read_bytes())
        await self._connection.execute(
            "INSERT INTO redshift_like.cluster VALUES ('', 0, %s, %s)",
            [self._behaviour.rpu, self._delay],
        )
        for view in filter(None, self._behaviour.hidden_views.lower().split(",")):
            revoke = sql.SQL("REVOKE ALL ON pg_catalog.{} FROM PUBLIC")
            await self._connection.execute(revoke.format(sql.Identifier(view.strip())))

    async def show_cluster(self, *, version: str, slots: int) -> None:
        """Show another version and number of slots."""
        await self._connection.execute(
            "UPDATE redshift_like.cluster SET version = %s, slots = %s", [version, slots]
        )

    def note_event(self, row: Sequence[Any]) -> None:
        """Show a row of SYS_CONNECTION_LOG."""
        self._events.append(row)

    async def add(self, query: Query) -> None:
        """Show a statement after the delay."""
        self._queries.append(query)
        if len(self._queries) > _MANY:
            await self.show()

    async def show(self) -> None:
        """Write every row whose time has come."""
        async with self._writing:
            until = utc_now() - self._delay
            due = [astuple(row) for row in self._queries if row.end <= until]
            self._queries = [row for row in self._queries if row.end > until]
            events, self._events = self._events, []
            await self._copy(b"COPY redshift_like.query FROM STDIN", due)
            await self._copy(b"COPY redshift_like.connection FROM STDIN", events)

    async def _copy(self, statement: bytes, rows: Iterable[Sequence[Any]]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row(row)
