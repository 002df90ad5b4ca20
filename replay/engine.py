"""The engine: plays one worker's sessions by the timetable and records every statement.

Open loop. Each planned session is a greenlet with a connection of its own; a statement is sent
when it is due or, if the session's previous answer is still out, as soon as that is in. Nothing is
skipped to catch up. Two delays are kept apart: what the target caused (`ready - due`, backlog) and
what this process caused (`sent - max(due, ready)`, lag).

Locust knows nothing of sessions and the engine nothing of Locust: it is told when zero is, and
tells of each sample and of its end.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable
from typing import Any, cast

import gevent
import numpy as np
import pyarrow as pa
from gevent.event import Event

from replay.divergence import Divergence
from replay.flights import Flight, Flights
from replay.login import Connect, Logins
from replay.marks import SKIP, Marks
from replay.samples import (
    CANCELLED,
    DUE_US,
    ERROR,
    NONE,
    OK,
    READY_US,
    SENT_US,
    SKIPPED,
    Notes,
    Rows,
    SampleStream,
    rows_of,
)
from replay.strain import Strain, undisturbed
from replay.target.wire import Answer, Connection, LoginFailed
from replay.timetable import Dials, Timetable
from replay.variation import Variation
from replay.waiter import Naps, in_thread

logger = logging.getLogger(__name__)

LOGIN_LEAD_US = 200_000
"""A session logs in this much before its first statement is due, as its client on 1.0 had."""
_FLUSH_S = 0.5

OnRows = Callable[[Rows, Notes], None]
"""Told of what ended, twice a second, for live statistics; must be quick: sessions wait for it."""


class Engine:
    """Plays the sessions of one shard.

    `play` returns at once; `finished` is set when every statement has ended and every sample is
    on disk. `drain` ends early: nothing more is sent, what is in flight gets `grace_s`.
    """

    def __init__(
        self,
        timetable: Timetable,
        statements: pa.Table,
        *,
        connect: Connect,
        dials: Dials,
        unsupported: frozenset[str],
        stream: SampleStream,
        variation: Variation,
        on_rows: OnRows = lambda rows, notes: None,
    ) -> None:
        self.started = False
        self.finished = Event()
        self.planned = timetable.statements
        self.max_lag_us = 0
        self.strain = Strain()
        self.variation = variation
        self.failure: str | None = None
        """Why samples could not be recorded, if they could not."""
        self.closing: dict[str, Any] = {}
        self._timetable = timetable
        # Views of the arrays' memory give plain integers, and faster than numpy does.
        self._due_us = memoryview(cast(Any, timetable.due_us))
        self._logins = Logins(connect, timeout_s=dials.statement_timeout_s)
        self._flights = Flights(timeout_s=dials.statement_timeout_s)
        self._stream = stream
        self._on_rows = on_rows
        self._marks = Marks(statements, timetable.row, writes=dials.writes, unsupported=unsupported)
        self._flat = array("q")
        self._notes: Notes = {}
        self._zero_ns = 0
        self._draining = False
        self._naps = Naps()
        self._ended = Event()
        self._sessions: set[gevent.Greenlet] = set()

    @property
    def open_sessions(self) -> int:
        """Sessions that have begun and not ended."""
        return len(self._sessions)

    def play(self, *, zero_ns: int) -> None:
        """Start; `zero_ns` is the run's zero on `time.monotonic_ns`, best in the near future."""
        self._zero_ns = zero_ns
        self.started = True
        gevent.spawn(self._run)

    def drain(self, *, grace_s: float) -> None:
        """Send nothing more; cancel what is still in flight after `grace_s`."""
        if self._draining:
            return
        self._draining = True
        self._naps.wake()
        self._logins.recall()
        self._flights.recall(grace_s=grace_s)

    def _run(self) -> None:
        keeping = [self._flush, lambda: self._flights.watch(self._ended)]
        keeping.append(lambda: self.strain.probe(self._ended))
        housekeeping = [gevent.spawn(keep) for keep in keeping]
        try:
            with undisturbed():
                self._dispatch()
                gevent.joinall(list(self._sessions))
        finally:
            self._ended.set()
            gevent.joinall(housekeeping)
            self._close()
            self.finished.set()

    def _dispatch(self) -> None:
        starts = self._timetable.starts
        for session in range(self._timetable.sessions):
            first, stop = int(starts[session]), int(starts[session + 1])
            self._sleep_until(int(self._timetable.due_us[first]) - LOGIN_LEAD_US)
            greenlet = gevent.spawn(self._play_session, first, stop)
            self._sessions.add(greenlet)
            greenlet.link(self._sessions.discard)

    def _play_session(self, first: int, stop: int) -> None:
        connection: Connection | None = None
        flight: Flight | None = None
        ready_us = NONE
        session = Divergence()
        refused_us, refusal = NONE, ("", "")
        index = first
        try:
            for index in range(first, stop):
                due_us = self._due_us[index]
                mark = self._marks.of[index]
                if mark & SKIP:
                    told = (None, self._marks.reason(index))
                    self._record(index, due_us, SKIPPED, session.mark, told)
                    continue
                if connection is None or flight is None:
                    if due_us > refused_us:
                        try:
                            connection, ready_us = self._log_in(due_us)
                        except LoginFailed as failure:
                            refusal = (failure.sqlstate, str(failure))
                            refused_us = max(due_us, self._since_zero(time.monotonic_ns()))
                    if due_us <= refused_us:
                        # Also what was due meanwhile: a wait for each would outlast the timetable.
                        self._record(index, due_us, ERROR, session.mark, refusal)
                        session.lose()
                        continue
                    if connection is None:
                        self._record(index, due_us, CANCELLED, session.mark)
                        continue
                    flight = Flight(connection)
                if self._zero_ns + due_us * 1_000 > time.monotonic_ns():
                    self._sleep_until(due_us)
                if self._draining:
                    self._record(index, due_us, CANCELLED, session.mark, ready_us=ready_us)
                    continue
                answer = self._send(index, due_us, ready_us, flight, session)
                if mark or answer.sqlstate is not None:
                    session.follow(mark, failed=answer.sqlstate is not None)
                ready_us = (answer.done_ns - self._zero_ns) // 1_000
                if answer.lost:
                    connection.close()
                    connection = None
                    session.lose()
        except Exception:
            # A defect of ours must not take other sessions with it; the ledger shows `unknown`.
            logger.exception("a session failed at planned statement %d", index)
        finally:
            if connection is not None:
                connection.close()

    def _log_in(self, due_us: int) -> tuple[Connection | None, int]:
        """A connection and when the session was ready; no connection when the run is drained."""
        self._sleep_until(due_us - LOGIN_LEAD_US)
        opened = self._logins.open()
        if opened is None:
            return None, NONE
        connection, gate_ns = opened
        return connection, self._since_zero(time.monotonic_ns() - gate_ns)

    def _sleep_until(self, due_us: int) -> None:
        due_ns = self._zero_ns + due_us * 1_000
        # A timer of libev can fire early, by the age of its loop's cached time.
        while not self._draining and (left_ns := due_ns - time.monotonic_ns()) > 0:
            self._naps.nap(left_ns / 1e9)

    def _send(
        self, index: int, due_us: int, ready_us: int, flight: Flight, session: Divergence
    ) -> Answer:
        # The path of every statement: a microsecond here is a tenth of what a statement costs us.
        sql, params = self.variation.text(index)
        sent_ns = time.monotonic_ns()
        self._flights.start(flight, sent_ns)
        try:
            answer = flight.connection.execute(sql, params)
        finally:
            self._flights.end(flight)
        first_row_ns, done_ns, rows, sqlstate, text, _, digest = answer
        status = OK | session.mark
        if sqlstate is not None:
            status = (flight.stopped or ERROR) | session.mark
        if sqlstate is not None or digest is not None:
            self._notes[index] = (sqlstate, text, digest)
        zero_ns = self._zero_ns
        self._flat.extend(
            (
                index,
                due_us,
                ready_us,
                (sent_ns - zero_ns) // 1_000,
                NONE if first_row_ns is None else (first_row_ns - zero_ns) // 1_000,
                (done_ns - zero_ns) // 1_000,
                status,
                NONE if rows is None else rows,
            )
        )
        return answer

    def _record(
        self,
        index: int,
        due_us: int,
        status: int,
        mark: int,
        told: tuple[str | None, str] | None = None,
        *,
        ready_us: int = NONE,
    ) -> None:
        """A statement that was not sent; `told` is SQLSTATE and text, or nothing and a reason."""
        if told is not None:
            self._notes[index] = (*told, None)
        self._flat.extend((index, due_us, ready_us, NONE, NONE, NONE, status | mark, NONE))

    def _since_zero(self, now_ns: int) -> int:
        # Logins begin before zero; NONE would be taken for null.
        return max(0, (now_ns - self._zero_ns) // 1_000)

    def _flush(self) -> None:
        while not self._ended.wait(_FLUSH_S):
            self.strain.note_cpu()
            self._write_samples()

    def _write_samples(self) -> None:
        if not self._flat:
            return
        flat, self._flat = self._flat, array("q")
        notes, self._notes = self._notes, {}
        rows = rows_of(flat)
        try:
            in_thread(lambda: self._stream.append(rows, notes))
        except Exception as error:
            # Kept for the next try, which on a full disk has the reserve to write into.
            self._flat = flat + self._flat
            self._notes = notes | self._notes
            if self.failure is None:
                logger.error("samples cannot be written (%s): ending the run", error)
                self.failure = f"samples cannot be written: {error}"
                self.drain(grace_s=0)
            return
        sent = rows[rows[:, SENT_US] != NONE]
        lag_us = sent[:, SENT_US] - np.maximum(sent[:, DUE_US], sent[:, READY_US])
        self.max_lag_us = max(self.max_lag_us, int(lag_us.max(initial=0)))
        self._on_rows(rows, notes)

    def _close(self) -> None:
        for _ in range(2):
            self._write_samples()
        try:
            self.closing = in_thread(self._stream.finish)
        except OSError as error:
            self.failure = self.failure or f"samples cannot be closed: {error}"
        self.closing.setdefault("rows_written", self._stream.rows)
        self.closing.setdefault("sha256", "")
