"""From events to statements in their sessions: outcomes joined, order kept, times derived.

A log that is written as statements start tells their duration or error in a later record of the
same session, with other sessions in between. A statement is therefore held until its session
says something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from replay.capture.record import Outcome, Statement, Step
from replay.template import normalise

_BIND_MARKER = re.compile(r"\$[1-9]")


class Placed(NamedTuple):
    """A statement with its place in time and in its session."""

    statement: Statement
    started_at_us: int
    seq: int


@dataclass(slots=True)
class _Session:
    held: Statement | None = None
    seq: int = 0
    last_started_at_us: int = 0
    steps_us: int = 0
    """Time of parsing and binding that belongs to the next execution."""
    bound: Step | None = None
    """The last binding: the values of an execution that fails."""


class Sessions:
    """Joins outcomes to statements and numbers the statements of each session."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def add(self, event: Statement | Step | Outcome) -> tuple[list[Placed], str | None]:
        """Take the next event: the statements it completes, and why it is not one itself.

        A reason of None means the event became a statement of its own.
        """
        session = self._sessions.setdefault(event.session_id, _Session())
        if isinstance(event, Step):
            session.steps_us += event.duration_us
            if event.params is not None:
                session.bound = event
            return [], event.name
        held, session.held = session.held, None
        if isinstance(event, Outcome):
            reason = "error without statement" if event.error else "duration of earlier record"
            if held is None:
                return [], reason
            return [self._place(session, _ended(held, event))], reason
        if held is not None and event.error is not None and event.sql == held.sql:
            joined = replace(held, error=event.error)
            return [self._place(session, joined)], "error of earlier record"
        placed = [] if held is None else [self._place(session, held)]
        if event.error is not None and _lacks_values(event):
            bound = session.bound
            if bound is None or bound.sql != event.sql:
                return placed, "bind values not logged"
            event = replace(event, params=bound.params, extended=True)
        # Only a statement stamped at its start can be followed by its own outcome.
        if event.started_at_us is not None:
            session.held = event
        else:
            placed.append(self._place(session, event))
        return placed, None

    def rest(self) -> Iterator[Placed]:
        """What is still held when the log ends."""
        for session in self._sessions.values():
            if session.held is not None:
                yield self._place(session, session.held)
                session.held = None

    def _place(self, session: _Session, statement: Statement) -> Placed:
        if statement.extended:
            statement = _with_steps(statement, session.steps_us)
            session.steps_us = 0
        if statement.started_at_us is not None:
            started_at_us = statement.started_at_us
        else:
            assert statement.ended_at_us is not None
            started_at_us = statement.ended_at_us - (statement.duration_us or 0)
        # Stamps have milliseconds, durations microseconds: neighbours may seem to change places.
        started_at_us = max(started_at_us, session.last_started_at_us)
        session.last_started_at_us = started_at_us
        session.seq += 1
        return Placed(statement, started_at_us, session.seq - 1)


def _ended(held: Statement, outcome: Outcome) -> Statement:
    return replace(held, duration_us=outcome.duration_us, error=outcome.error)


def _with_steps(statement: Statement, steps_us: int) -> Statement:
    if not steps_us or statement.duration_us is None:
        return statement
    return replace(statement, duration_us=statement.duration_us + steps_us)


def _lacks_values(statement: Statement) -> bool:
    """True for a failed statement with bind markers: its record never tells their values."""
    if statement.params is not None or "$" not in statement.sql:
        return False
    return _BIND_MARKER.search(normalise(statement.sql).text) is not None
