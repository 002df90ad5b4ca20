"""Asks the target for the plan of one statement of each template: does it know what we name?

Apart from the translation because it is the only part of prepare that needs a server. Nothing is
run: EXPLAIN without ANALYZE, in read-only sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import conninfo

from replay.errors import Unreachable
from replay.template import normalise

_EXPLAINED = frozenset({"select", "insert", "update", "delete", "merge"})
_NAMING_ONLY = frozenset({"42P01", "42703", "42883", "3F000"})
"""Undefined table, column, function, schema: their messages quote names and types alone."""
_GENERIC_PLAN_SINCE = 160_000
_CONNECT_TIMEOUT_S = 10

NOT_EXPLAINED = "not explained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One statement to stand for its template."""

    template_id: str
    kind: str
    sql: str
    params: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the target said: a reason it refuses, or a note where it was not asked."""

    refused: str | None = None
    note: str | None = None


def check_examples(
    url: str, examples: Iterable[Example], *, statement_timeout_s: float = 30.0
) -> dict[str, Checked]:
    """EXPLAIN each example on the target, by template id.

    Raises:
        Unreachable: no connection, or it broke; the message holds no password.
    """
    results: dict[str, Checked] = {}
    with _connect(url) as connection:
        try:
            connection.execute("SET default_transaction_read_only = on")
        except psycopg.errors.Error as error:
            # Redshift has no such setting; EXPLAIN runs nothing there either.
            _raise_if_broken(connection, error)
        connection.execute(f"SET statement_timeout = {int(statement_timeout_s * 1_000)}".encode())
        for example in examples:
            results[example.template_id] = _check(connection, example)
    return results


def _check(connection: psycopg.Connection, example: Example) -> Checked:
    if example.kind not in _EXPLAINED or ";" in normalise(example.sql).text:
        # Of several statements in one text EXPLAIN would take the first and run the others.
        return Checked(note=NOT_EXPLAINED)
    text = example.sql.strip().rstrip(";")
    try:
        with psycopg.RawCursor(connection) as cursor:
            if connection.info.server_version >= _GENERIC_PLAN_SINCE:
                cursor.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode())
            else:
                cursor.execute(f"EXPLAIN {text}".encode(), example.params or None)
    except psycopg.errors.Error as error:
        _raise_if_broken(connection, error)
        return Checked(refused=_reason(error))
    return Checked()


def _reason(error: psycopg.errors.Error) -> str:
    reason = f"{error.sqlstate or 'no SQLSTATE'} {type(error).__name__}"
    if error.sqlstate in _NAMING_ONLY and error.diag.message_primary:
        reason += f": {error.diag.message_primary[:160]}"
    return reason


def _raise_if_broken(connection: psycopg.Connection, error: psycopg.errors.Error) -> None:
    if connection.broken or connection.closed:
        raise Unreachable(
            "the connection to the target was lost during the check",
            hint="look at the server's log, then check again",
        ) from error


def _connect(url: str) -> psycopg.Connection:
    if url.startswith("redshift://"):
        url = "postgresql://" + url.removeprefix("redshift://")
    hint = "postgresql://USER@HOST:PORT/DATABASE; the password comes from PGPASSWORD or ~/.pgpass"
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Its message quotes the text, which may hold a password.
        raise Unreachable("the target's URL is not understood", hint=hint) from None
    host = str(parts.get("host") or "local socket")
    if not all(port.isdecimal() for port in str(parts.get("port") or "5432").split(",")):
        raise Unreachable("the target's URL is not understood: its port", hint=hint)
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            prepare_threshold=None,
            client_encoding="utf8",
            application_name="fourstep prepare",
        )
    except psycopg.Error as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if parts.get("password"):
            said = said.replace(str(parts["password"]), "***")
        raise Unreachable(f"cannot connect to `{host}`: {said}", hint=hint) from None
