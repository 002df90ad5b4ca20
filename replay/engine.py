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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, cast

import gevent
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from gevent.event import Event

from replay.dials import Dials
from replay.flights import Flight, Flights
from replay.login import Connect, Logins
from replay.marks import SKIP, Marks
from replay.recorder import OnRows, Recorder
from replay.samples import (
    CANCELLED,
    ERROR,
    NONE,
    OK,
    SKIPPED,
    SampleStream,
)
from replay.session import Session
from replay.strain import Strain, own_memory, undisturbed
from replay.target.credentials import Credentials
from replay.target.wire import LoginFailed
from replay.timetable import Timetable
from replay.variation import Variation
from replay.waiter import Naps

logger = logging.getLogger(__name__)

LOGIN_LEAD_US = 200_000
"""A session logs in this much before its first statement is due, as its client on 1.0 had."""
_FLUSH_S = 0.5
_CANCELLED_AT_ONCE = 500_000


class Engine:
    """Plays the sessions of one shard.

    `play` returns at once; `finished` is set when every statement has ended and every sample is
    on disk. `drain` ends early: nothing more is sent, what is in flight gets `grace_s`. `part` is
    the shard's number and how many there are, `begun` which sessions began before this run was
    gone on with: what they had set on the server is gone.
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
        credentials: Credentials | None = None,
        part: tuple[int, int] = (0, 1),
        begun: npt.NDArray[np.bool_] | None = None,
        on_rows: Sequence[OnRows] = (),
    ) -> None:
        self.started = False
        self.finished = Event()
        self.strain = Strain()
        self.variation = variation
        self.recorder = Recorder(stream, on_rows, on_failure=partial(self.drain, grace_s=0))
        self._timetable = timetable
        # Views of the arrays' memory give plain integers, and faster than numpy does.
        self._due_us = memoryview(cast(Any, timetable.due_us))
        self._think_us = memoryview(cast(Any, timetable.think_us))
        self._dials = dials
        self._part = part
        self._begun = begun
        self._logins = Logins(connect, credentials, timeout_s=dials.statement_timeout_s)
        self._users = statements["user"] if dials.act_as == "captured" else None
        self._flights = Flights(timeout_s=dials.statement_timeout_s)
        self._marks = Marks(
            statements,
            timetable.row,
            writes=dials.writes,
            unsupported=unsupported,
            alone=dials.mode == "pool" and dials.draw == "statements",
        )
        self._zero_ns = 0
        self._draining = False
        self._naps = Naps()
        self._ended = Event()
        self._sessions: set[gevent.Greenlet] = set()

    @property
    def planned(self) -> int:
        """Statements of the timetable; of a pool without end, those that were drawn."""
        return self.recorder.rows if self._dials.endless else self._timetable.statements

    @property
    def gauges(self) -> dict[str, int]:
        """Statements sent and not answered, sessions that have begun and not ended, memory."""
        return {
            "in_flight": len(self._flights.aloft),
            "open_sessions": len(self._sessions),
            "memory_bytes": own_memory(),
        }

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
            self.recorder.close()
            self.finished.set()

    def _dispatch(self) -> None:
        if self._dials.mode == "pool":
            draws = self._draws()
            for number in self._dials.users_of(*self._part):
                self._spawn(self._play_pool, number, draws)
            return
        starts, clone = self._timetable.starts, self._timetable.clone
        for number in range(self._timetable.sessions):
            first, stop = int(starts[number]), int(starts[number + 1])
            self._sleep_until(int(self._timetable.due_us[first]) - LOGIN_LEAD_US)
            if self._draining:
                self._cancel_from(first)
                break
            session = Session(clone=int(clone[number]))
            if self._begun is not None and self._begun[number]:
                session.lose()
            self._spawn(self._play, session, first, stop)

    def _cancel_from(self, first: int) -> None:
        """Statements of sessions that had not begun when the run was ended."""
        for start in range(first, self._timetable.statements, _CANCELLED_AT_ONCE):
            index = np.arange(start, min(start + _CANCELLED_AT_ONCE, self._timetable.statements))
            skipped = np.frombuffer(self._marks.of, np.uint8)[index] & SKIP > 0
            reasons = {at: self._marks.reason(at) for at in index[skipped].tolist()}
            status = np.where(skipped, SKIPPED, CANCELLED)
            clone, due_us = self._timetable.clone_of(index), self._timetable.due_us[index]
            self.recorder.unsent_rows(index, clone, due_us, status, reasons)
            self.recorder.write()

    def _spawn(self, play: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        greenlet = gevent.spawn(play, *arguments)
        self._sessions.add(greenlet)
        greenlet.link(self._sessions.discard)

    def _draws(self) -> Iterator[tuple[int, int, int]]:
        """Clone number and statements of what a pool plays next, one for all its connections."""
        starts, clone = self._timetable.starts, self._timetable.clone
        copies = int(clone.max(initial=0)) + 1
        for again in count() if self._dials.endless else (0,):
            for number in range(self._timetable.sessions):
                if self._cut_short:
                    return
                drawn = int(clone[number]) + again * copies
                yield drawn, int(starts[number]), int(starts[number + 1])

    def _play_pool(self, number: int, draws: Iterator[tuple[int, int, int]]) -> None:
        """One connection of a pool: it plays what is drawn, without a pause, until all is."""
        if self._dials.ramp_per_s:
            self._sleep_until(round(number / self._dials.ramp_per_s * 1e6))
        session = Session()
        for clone, first, stop in draws:
            session.clone = clone
            if session.flight is None:
                session.ended_us = self._now_us()
            self._play(session, first, stop, hangs_up=self._dials.draw == "sessions")
            if self._dials.draw == "sessions":
                session = Session()
            # A target that answers at once would leave nobody else their turn.
            gevent.sleep(0)
        session.hang_up()

    def _play(self, session: Session, first: int, stop: int, *, hangs_up: bool = True) -> None:
        index = first
        try:
            for index in range(first, stop):
                if self._cut_short:
                    break
                due_us = self._due_us[index]
                if self._think_us and session.ended_us != NONE:
                    due_us = session.ended_us + self._think_us[index]
                mark = self._marks.of[index]
                if mark & SKIP:
                    reason = (None, self._marks.reason(index))
                    self.recorder.unsent(session, index, due_us, SKIPPED, reason)
                    session.ended_us = due_us
                    continue
                if session.flight is None and not self._log_in(session, index, due_us):
                    continue
                if self._zero_ns + due_us * 1_000 > time.monotonic_ns():
                    self._sleep_until(due_us)
                if self._draining:
                    self.recorder.unsent(session, index, due_us, CANCELLED)
                    continue
                self._send(session, index, due_us, mark)
        except Exception:
            # A defect of ours must not take other sessions with it; the ledger shows `unknown`.
            logger.exception("a session failed at planned statement %d", index)
            session.hang_up()
        finally:
            if hangs_up:
                session.hang_up()

    def _log_in(self, session: Session, index: int, due_us: int) -> bool:
        """Open the session's connection; where that does not succeed the statement is recorded."""
        if due_us > session.refused_us:
            self._sleep_until(due_us - LOGIN_LEAD_US)
            try:
                opened = self._logins.open(self._user_of(index))
            except LoginFailed as failure:
                session.refusal = (failure.sqlstate, str(failure))
                session.refused_us = max(due_us, self._now_us())
            else:
                if opened is None:
                    self.recorder.unsent(session, index, due_us, CANCELLED)
                    return False
                connection, gate_ns = opened
                session.flight = Flight(connection)
                session.ready_us = max(0, self._now_us() - gate_ns // 1_000)
                return True
        # Also what was due meanwhile: a wait for each would outlast the timetable.
        self.recorder.unsent(session, index, due_us, ERROR, session.refusal)
        session.lose()
        session.ended_us = session.refused_us
        return False

    def _user_of(self, index: int) -> str | None:
        """Who asked this on 1.0, where we act as that user."""
        row = int(self._timetable.row[index])
        return None if self._users is None else self._users[row].as_py()

    def _sleep_until(self, due_us: int) -> None:
        due_ns = self._zero_ns + due_us * 1_000
        # A timer of libev can fire early, by the age of its loop's cached time.
        while not self._draining and (left_ns := due_ns - time.monotonic_ns()) > 0:
            self._naps.nap(left_ns / 1e9)

    def _send(self, session: Session, index: int, due_us: int, mark: int) -> None:
        # The path of every statement: a microsecond here is a twentieth of what one costs us.
        flight, clone = cast(Flight, session.flight), session.clone
        sql, params = self.variation.text(index, clone)
        sent_ns = time.monotonic_ns()
        self._flights.start(flight, sent_ns)
        try:
            answer = flight.connection.execute(sql, params)
        finally:
            self._flights.end(flight)
        first_row_ns, done_ns, rows, sqlstate, text, lost, digest = answer
        status = OK if sqlstate is None else (flight.stopped or ERROR)
        if sqlstate is not None or digest is not None:
            self.recorder.notes[index, clone] = (sqlstate, text, digest)
        zero_ns = self._zero_ns
        done_us = (done_ns - zero_ns) // 1_000
        self.recorder.flat.extend(
            (
                index,
                clone,
                due_us,
                session.ready_us,
                (sent_ns - zero_ns) // 1_000,
                NONE if first_row_ns is None else (first_row_ns - zero_ns) // 1_000,
                done_us,
                status | session.state.mark,
                NONE if rows is None else rows,
                flight.connection.backend_pid,
            )
        )
        session.ready_us = session.ended_us = done_us
        if mark or status != OK:
            session.state.follow(mark, failed=status != OK)
        if lost:
            session.lose()

    @property
    def _cut_short(self) -> bool:
        """Whether a pool that draws without end was told to end: what follows was never planned."""
        return self._draining and self._dials.endless

    def _now_us(self) -> int:
        # Logins begin before zero; NONE would be taken for null.
        return max(0, (time.monotonic_ns() - self._zero_ns) // 1_000)

    def _flush(self) -> None:
        while not self._ended.wait(_FLUSH_S):
            self.strain.note_cpu()
            self.recorder.write()
