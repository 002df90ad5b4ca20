"""Asks the target for the plan of one statement of each template: does it know what we name?

Apart from the translation because it is the only part of prepare that needs a server. Nothing is
run: EXPLAIN without ANALYZE, or no more than parsing, in read-only sessions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

import psycopg
import sqlglot
from psycopg import pq
from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.errors import Unreachable
from replay.kind import tables_and_kind
from replay.prepare.examples import Example
from replay.target.target import log_in, parse_target
from replay.template import scan

_EXPLAINED = frozenset({"select", "insert", "update", "delete", "merge"})
_MISSING = {"42P01": "table", "42703": "column", "42883": "function", "3F000": "schema"}
"""SQLSTATEs whose messages quote names and types alone."""
_UNTYPED = frozenset({"42P18", "42P08", "42725", "42883", "42804", "42846", "42601", "22P02"})
"""SQLSTATEs that a bind of no known type can lead to."""
_NAMED = re.compile(r"""["«„](.+?)["»“]|\b(?:column|function) ([\w.]+)""")
_GENERIC_PLAN_SINCE = 160_000
_STATEMENT_TIMEOUT_S = 30.0
_MOST_COLUMNS = 20
"""Of one statement that are looked for when one is missing."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that 1.0's questions name and the target does not have."""

    what: str
    """`table`, `column`, `function` or `schema`."""
    name: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the target would not run a statement; the text holds no literal of a user."""

    sqlstate: str
    text: str
    missing: tuple[Missing, ...] = ()

    @property
    def may_lack_types(self) -> bool:
        """True where types for the bind values could help."""
        return self.sqlstate in _UNTYPED


class Check:
    """A session on the target that plans and never runs; a context manager.

    Raises:
        UsageError: not a URL of a target.
        Unreachable: no connection, or it broke.
    """

    def __init__(self, url: str, *, dialect: str) -> None:
        self._dialect = dialect
        self._session = log_in(parse_target(url, statement_timeout_s=_STATEMENT_TIMEOUT_S))

    def __enter__(self) -> Check:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def refusal(self, example: Example) -> Refusal | None:
        """Why the target refuses the example, or None."""
        # Of several statements in one text EXPLAIN would take the first and run the others.
        for text in _statements(example.sql, self._dialect):
            kind = tables_and_kind(text, self._dialect)[0]
            refused = (
                self._planned(text, example.params) if kind in _EXPLAINED else self._parsed(text)
            )
            if refused is not None:
                return refused
        return None

    def _planned(self, text: str, params: list[str | None] | None) -> Refusal | None:
        error = self._explained(text, params)
        if error is None:
            return None
        code = error.sqlstate or ""
        said = f"{code or 'no SQLSTATE'} {type(error).__name__}"
        if code not in _MISSING or not error.diag.message_primary:
            return Refusal(code, said)
        missing = tuple(dict.fromkeys(self._missing(text, params, error)))
        return Refusal(code, f"{said}: {error.diag.message_primary[:160]}", missing)

    def _explained(self, text: str, params: list[str | None] | None) -> psycopg.errors.Error | None:
        try:
            with psycopg.RawCursor(self._session) as cursor:
                if self._session.info.server_version >= _GENERIC_PLAN_SINCE:
                    cursor.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode())
                else:
                    cursor.execute(f"EXPLAIN {text}".encode(), params or None)
        except psycopg.errors.Error as error:
            self._raise_if_broken(error)
            return error
        return None

    def _parsed(self, text: str) -> Refusal | None:
        """Put a command to the server's parser, which EXPLAIN does not take."""
        result = self._session.pgconn.prepare(b"", text.encode())
        if result.status == pq.ExecStatus.COMMAND_OK:
            return None
        self._raise_if_broken(None)
        code = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        return Refusal(code, f"{code} {psycopg.errors.lookup(code).__name__}")

    def _missing(
        self, text: str, params: list[str | None] | None, error: psycopg.errors.Error
    ) -> Iterable[Missing]:
        """All that the statement lacks, of which the server names only the first."""
        what, name = _MISSING[error.sqlstate or ""], _name_in(error)
        if what == "table":
            for table in tables_and_kind(text, self._dialect)[1]:
                quoted = ".".join(f'"{part}"' for part in table.split("."))
                found = self._explained(f"SELECT 1 FROM {quoted}", None)
                if found is not None and found.sqlstate in ("42P01", "3F000"):
                    yield Missing("table", table)
        for _ in range(_MOST_COLUMNS):
            if not name or what == "table":
                return
            yield Missing(what, name)
            without = _without_column(text, name, self._dialect) if what == "column" else None
            further = self._explained(without, params) if without else None
            if further is None or further.sqlstate != "42703":
                return
            name = _name_in(further)

    def _raise_if_broken(self, error: psycopg.errors.Error | None) -> None:
        if self._session.broken or self._session.closed:
            raise Unreachable(
                "the connection to the target was lost during the check",
                hint="look at the server's log, then check again",
            ) from error


def _statements(sql: str, dialect: str) -> list[str]:
    ends = [token.start for token in scan(sql, dialect) if token.text == ";"]
    texts = [sql[start:end] for start, end in pairwise([0, *(end + 1 for end in ends), len(sql)])]
    return [text for text in (each.strip().rstrip(";") for each in texts) if text.strip()]


def _name_in(error: psycopg.errors.Error) -> str:
    found = _NAMED.search(error.diag.message_primary or "")
    return (found[1] or found[2]) if found else ""


def _without_column(text: str, name: str, dialect: str) -> str | None:
    """The statement with NULL for one column, to see what else is missing."""
    table, _, column = name.rpartition(".")
    try:
        tree = sqlglot.parse_one(text, read=dialect)
    except SqlglotError:
        return None
    found = [
        node
        for node in tree.find_all(exp.Column)
        if node.name == column and (not table or node.table == table)
    ]
    for node in found:
        node.replace(exp.Null())
    return tree.sql(dialect=dialect) if found else None
