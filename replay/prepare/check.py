"""Asks the target for the plan of one statement of each template: does it know what we name?

Apart from the translation because it is the only part of prepare that needs a server. Nothing is
run: EXPLAIN without ANALYZE, in read-only sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from replay.errors import Unreachable
from replay.target.target import log_in, parse_target
from replay.template import normalise

_EXPLAINED = frozenset({"select", "insert", "update", "delete", "merge"})
_NAMING_ONLY = frozenset({"42P01", "42703", "42883", "3F000"})
"""Undefined table, column, function, schema: their messages quote names and types alone."""
_GENERIC_PLAN_SINCE = 160_000
_STATEMENT_TIMEOUT_S = 30.0

NOT_EXPLAINED = "not explained"


class Example(NamedTuple):
    """One statement to stand for its template."""

    template_id: str
    kind: str
    sql: str
    params: list[str | None] | None


def check_examples(url: str, examples: Iterable[Example]) -> dict[str, str | None]:
    """EXPLAIN each example on the target: by template id, why it refuses, or None.

    `NOT_EXPLAINED` where it was not asked.

    Raises:
        UsageError: not a URL of a target.
        Unreachable: no connection, or it broke.
    """
    with log_in(parse_target(url, statement_timeout_s=_STATEMENT_TIMEOUT_S)) as connection:
        return {example.template_id: _refusal(connection, example) for example in examples}


def _refusal(connection: psycopg.Connection, example: Example) -> str | None:
    if example.kind not in _EXPLAINED or ";" in normalise(example.sql).text:
        # Of several statements in one text EXPLAIN would take the first and run the others.
        return NOT_EXPLAINED
    text = example.sql.strip().rstrip(";")
    try:
        with psycopg.RawCursor(connection) as cursor:
            if connection.info.server_version >= _GENERIC_PLAN_SINCE:
                cursor.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode())
            else:
                cursor.execute(f"EXPLAIN {text}".encode(), example.params or None)
    except psycopg.errors.Error as error:
        _raise_if_broken(connection, error)
        reason = f"{error.sqlstate or 'no SQLSTATE'} {type(error).__name__}"
        if error.sqlstate in _NAMING_ONLY and error.diag.message_primary:
            reason += f": {error.diag.message_primary[:160]}"
        return reason
    return None


def _raise_if_broken(connection: psycopg.Connection, error: psycopg.errors.Error) -> None:
    if connection.broken or connection.closed:
        raise Unreachable(
            "the connection to the target was lost during the check",
            hint="look at the server's log, then check again",
        ) from error
