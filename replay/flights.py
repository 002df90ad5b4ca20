"""Statements on their way, and what becomes of those that take too long.

A statement beyond its time is cancelled by the target's own means; one that does not end even then
has its connection cut under it, so that no session waits for ever.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from replay.samples import CANCELLED, TIMEOUT
from replay.target.wire import Connection

_WATCH_S = 0.05
_SEVER_AFTER_S = 5.0


@dataclass(slots=True, eq=False)
class Flight:
    """A session's statement between sending and its answer; the same object for each in turn."""

    connection: Connection
    deadline_ns: int = 0
    stopped: int | None = None
    """TIMEOUT or CANCELLED once the target was asked to stop it."""
    sever_ns: int = 0
    canceller: Any = None
    """The greenlet that asks."""


class Flights:
    """All statements in flight on one worker."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_ns = round(timeout_s * 1e9)
        self.aloft: set[Flight] = set()
        self._recalled = False

    def start(self, flight: Flight, sent_ns: int) -> None:
        """A statement was sent; `end` must follow."""
        flight.deadline_ns = sent_ns + self._timeout_ns
        flight.stopped = None
        self.aloft.add(flight)

    def end(self, flight: Flight) -> None:
        """Its answer is in, or its connection is gone.

        A cancellation still on its way must not meet the session's next statement.
        """
        self.aloft.discard(flight)
        if flight.canceller is not None:
            flight.canceller.join(timeout=_SEVER_AFTER_S)
            flight.canceller.kill(block=False)
            flight.canceller = None

    def recall(self, *, grace_s: float) -> None:
        """Cancel what has not ended after `grace_s`."""
        self._recalled = True
        deadline_ns = time.monotonic_ns() + round(grace_s * 1e9)
        for flight in self.aloft:
            flight.deadline_ns = min(flight.deadline_ns, deadline_ns)

    def watch(self, until: Event) -> None:
        """Stop statements whose time is up, until told to end; for a greenlet of its own."""
        while not until.wait(_WATCH_S):
            now_ns = time.monotonic_ns()
            for flight in list(self.aloft):
                if now_ns < flight.deadline_ns:
                    continue
                if flight.stopped is None:
                    flight.stopped = CANCELLED if self._recalled else TIMEOUT
                    flight.sever_ns = now_ns + round(_SEVER_AFTER_S * 1e9)
                    flight.canceller = gevent.spawn(flight.connection.cancel)
                elif now_ns >= flight.sever_ns:
                    # On a dead network the cancellation has no end of its own either.
                    flight.canceller.kill(block=False)
                    flight.connection.sever()
