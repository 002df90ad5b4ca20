"""System views, asked over an ordinary connection; see `data_api` for where HTTPS alone is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import psycopg
import pyarrow as pa
from psycopg.conninfo import conninfo_to_dict

from replay.errors import Unreadable
from replay.target.target import Target, log_in

_GRANT = "read it as a superuser, or ALTER USER … SYSLOG ACCESS UNRESTRICTED"


class Views(Protocol):
    """Where system views can be asked."""

    def rows(self, sql: str) -> pa.Table:
        """The answer, its columns named in lower case.

        Raises:
            Missing: there is no such view, or word of SQL, here.
            Unreadable: this user may not ask that, or the server is gone.
            Unreachable: AWS does not let us in.
        """

    def cancel(self) -> None:
        """Have the question under way end as an error; for another thread."""

    def close(self) -> None:
        """Hang up."""


class Missing(Unreadable):
    """A view, or a word of SQL, that this server does not have."""


class ConnectedViews:
    """Views over a session of the target's own kind; raises Unreachable as `log_in`."""

    def __init__(self, target: Target) -> None:
        # What is asked here is no part of the run.
        session = {name: value for name, value in target.session.items() if name != "query_group"}
        self._connection = log_in(replace(target, session=session))
        self.cancel, self.close = self._connection.cancel, self._connection.close

    def rows(self, sql: str) -> pa.Table:
        """See `Views`."""
        try:
            cursor = self._connection.execute(sql.encode())
            return table_of([column.name for column in cursor.description or ()], cursor.fetchall())
        except psycopg.Error as error:
            raise refusal(sql, str(error)) from None


def open_views(target: Target, facts: Mapping[str, Any], *, how: str) -> Views:
    """By a `connection` or by the `data-api`; `facts` are the `target` object of run.json."""
    if how == "data-api":
        from replay.inside.data_api import DataApiViews

        return DataApiViews(facts, user=str(conninfo_to_dict(target.conninfo).get("user") or ""))
    return ConnectedViews(target)


def table_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """A table of rows; a column without any value is of type null."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    lower = [name.lower() for name in names]
    return pa.Table.from_arrays([pa.array(list(column)) for column in columns], names=lower)


def refusal(sql: str, said: str) -> Unreadable:
    """What it means that a server refused a question of ours."""
    view = sql.partition(" FROM ")[2].split()[:1] or [sql]
    why = f"`{view[0]}`: {(said.strip().splitlines() or ['no reason given'])[0]}"
    if "does not exist" in why:
        return Missing(why)
    return Unreadable(why, hint=_GRANT if "denied" in why or "superuser" in why else None)
