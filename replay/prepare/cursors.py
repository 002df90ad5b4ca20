"""Cursors folded into what they read: 2.0 is asked the query once, whole.

A client that declares a cursor and fetches in portions asks one question. What its portions took
on 1.0 is summed into the statement that declared it; FETCH, MOVE and CLOSE are skipped and counted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

import duckdb

from replay.workload import Workload

_NAME = r"""(\w+|"(?:[^"]|"")*")"""
_DECLARE = re.compile(
    rf"\s*declare\s+{_NAME}\s+(?:(?:binary|asensitive|insensitive|no|scroll)\s+)*cursor\s+"
    r"(?:with(?:out)?\s+hold\s+)?for\s+",
    re.IGNORECASE,
)
_USE = re.compile(
    rf"\s*(fetch|move|close)\s+(?:[\w\s+-]*?\b(?:from|in)\s+)?(?:[\w+-]+\s+){{0,2}}{_NAME}[\s;]*\Z",
    re.IGNORECASE,
)
_LEADING = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)

FOLDED = "folded into its cursor's query"
UNDECLARED = "cursor declared outside this workload"
NEVER_FETCHED = "cursor never fetched"


@dataclass(slots=True)
class Cursor:
    """One declared cursor with what its portions came to."""

    statement_id: int
    duration_us: int | None
    rows: int | None = None
    error: str | None = None
    portions: int = 0

    def add(self, duration_us: int | None, rows: int | None, error: str | None) -> None:
        """One FETCH or MOVE."""
        self.portions += 1
        if duration_us is not None:
            self.duration_us = (self.duration_us or 0) + duration_us
        if rows is not None:
            self.rows = (self.rows or 0) + rows
        self.error = self.error or error


@dataclass(frozen=True, slots=True)
class Cursors:
    """By statement_id: the cursors that become queries, and why other statements are skipped."""

    folded: dict[int, Cursor] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)


def query_of(declare: str) -> str | None:
    """The query of a DECLARE, or None where the text is none."""
    found = _DECLARE.match(declare, _start(declare))
    return declare[found.end() :] if found else None


def find_cursors(workload: Workload) -> Cursors:
    """Follow every session's cursors; memory grows with the statements about cursors alone."""
    found = Cursors()
    open_cursors: dict[tuple[str, str], Cursor] = {}
    with duckdb.connect() as database:
        rows = database.execute(
            """
            SELECT statement_id, session_id, sql, duration_us, rows, error
            FROM read_parquet(?)
            WHERE kind = 'utility' AND regexp_matches(sql, '(?i)(declare|fetch|move|close)\\s')
            ORDER BY session_id, seq
            """,
            [os.fspath(workload.statements_path)],
        )
        while portion := rows.fetchmany(10_000):
            for statement_id, session, sql, duration_us, count, error in portion:
                at = _start(sql)
                if declared := _DECLARE.match(sql, at):
                    cursor = Cursor(statement_id, duration_us, error=error)
                    open_cursors[session, _folded(declared[1])] = cursor
                    found.folded[statement_id] = cursor
                elif use := _USE.match(sql, at):
                    known = open_cursors.get((session, _folded(use[2])))
                    closing = use[1].lower() == "close"
                    if known is not None and not closing:
                        known.add(duration_us, count, error)
                    closes = closing and (known is not None or use[2].lower() == "all")
                    found.skipped[statement_id] = FOLDED if known or closes else UNDECLARED
    for statement_id, cursor in list(found.folded.items()):
        if not cursor.portions and cursor.error is None:
            del found.folded[statement_id]
            found.skipped[statement_id] = NEVER_FETCHED
    return found


def _folded(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _start(sql: str) -> int:
    found = _LEADING.match(sql)
    return found.end() if found else 0
