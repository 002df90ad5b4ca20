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
from dataclasses import dataclass, field
from typing import Any

import gevent
import numpy as np
import psutil
import pyarrow as pa
from gevent.event import Event

from replay.flights import Flights
from replay.kind import READING
from replay.login import Connect, Logins
from replay.samples import CANCELLED, ERROR, NONE, OK, SKIPPED, SampleStream
from replay.target.wire import Answer, Connection, LoginFailed
from replay.timetable import Dials, Timetable
from replay.variation import Variation
from replay.waiter import Naps, in_thread

logger = logging.getLogger(__name__)

LOGIN_LEAD_US = 200_000
"""A session logs in this much before its first statement is due, as its client on 1.0 had."""
_FLUSH_S = 0.5

OnSample = Callable[[int, int, Answer], None]
"""`(planned index, service time in ns, answer)`, for live statistics."""


@dataclass(kw_only=True)
class Tally:
    """Where a worker is; figures for the live view and the done message."""

    planned: int = 0
    max_lag_us: int = 0
    cpu_percent: list[float] = field(default_factory=list)

    @property
    def cpu_p95(self) -> float | None:
        """The process's share of one core, 95th percentile over half seconds."""
        shares = self.cpu_percent
        return round(float(np.percentile(shares, 95)) / 100, 4) if shares else None


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
        on_sample: OnSample = lambda index, service_ns, answer: None,
    ) -> None:
        self.started = False
        self.finished = Event()
        self.tally = Tally(planned=timetable.statements)
        self.variation = variation
        self.failure: str | None = None
        """Why samples could not be recorded, if they could not."""
        self.closing: dict[str, Any] = {}
        self._timetable = timetable
        self._logins = Logins(connect, timeout_s=dials.statement_timeout_s)
        self._flights = Flights(timeout_s=dials.statement_timeout_s)
        self._stream = stream
        self._on_sample = on_sample
        self._skip_reason = _skip_reasons(statements, dials, unsupported)
        self._flat = array("q")
        self._errors: dict[int, tuple[str | None, str]] = {}
        self._zero_ns = 0
        self._draining = False
        self._naps = Naps()
        self._ended = Event()
        self._sessions: set[gevent.Greenlet] = set()

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
        housekeeping = [gevent.spawn(self._flush), gevent.spawn(self._flights.watch, self._ended)]
        try:
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
        ready_us = NONE
        refused_us = NONE
        refusal: tuple[str | None, str] = (None, "")
        index = first
        try:
            for index in range(first, stop):
                reason = self._skip_reason[self._timetable.row[index]]
                if reason:
                    self._record(index, status=SKIPPED, error=(None, reason))
                    continue
                due_us = int(self._timetable.due_us[index])
                if connection is None and due_us > refused_us:
                    try:
                        connection, ready_us = self._log_in(due_us)
                    except LoginFailed as failure:
                        refusal = (failure.sqlstate, str(failure))
                        refused_us = max(due_us, self._since_zero(time.monotonic_ns()))
                if due_us <= refused_us:
                    # Also what was due meanwhile: a wait for each would outlast the timetable.
                    self._record(index, status=ERROR, error=refusal)
                    continue
                if connection is None or not self._is_due(due_us):
                    self._record(index, ready_us=ready_us, status=CANCELLED)
                    continue
                answer = self._send(index, connection, ready_us)
                ready_us = self._since_zero(answer.done_ns)
                if answer.lost:
                    connection.close()
                    connection = None
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

    def _is_due(self, due_us: int) -> bool:
        """Wait for the statement's due time; False when the run is being drained."""
        self._sleep_until(due_us)
        return not self._draining

    def _sleep_until(self, due_us: int) -> None:
        due_ns = self._zero_ns + due_us * 1_000
        # A timer of libev can fire early, by the age of its loop's cached time.
        while not self._draining and (left_ns := due_ns - time.monotonic_ns()) > 0:
            self._naps.nap(left_ns / 1e9)

    def _send(self, index: int, connection: Connection, ready_us: int) -> Answer:
        sql, params = self.variation.text(index)
        sent_ns = time.monotonic_ns()
        flight = self._flights.start(connection, sent_ns)
        try:
            answer = connection.execute(sql, params)
        finally:
            self._flights.end(flight)
        sent_us = self._since_zero(sent_ns)
        status = OK if answer.sqlstate is None else (flight.stopped or ERROR)
        self._record(
            index,
            ready_us=ready_us,
            sent_us=sent_us,
            answer=answer,
            status=status,
            error=None if answer.sqlstate is None else (answer.sqlstate, answer.error or ""),
        )
        due_us = int(self._timetable.due_us[index])
        self.tally.max_lag_us = max(self.tally.max_lag_us, sent_us - max(due_us, ready_us))
        self._on_sample(index, answer.done_ns - sent_ns, answer)
        return answer

    def _record(
        self,
        index: int,
        *,
        status: int,
        ready_us: int = NONE,
        sent_us: int = NONE,
        answer: Answer | None = None,
        error: tuple[str | None, str] | None = None,
    ) -> None:
        first_us = done_us = rows = NONE
        if answer is not None:
            done_us = self._since_zero(answer.done_ns)
            if answer.first_row_ns is not None:
                first_us = self._since_zero(answer.first_row_ns)
            if answer.rows is not None:
                rows = answer.rows
        if error is not None:
            self._errors[index] = error
        self._flat.extend((index, ready_us, sent_us, first_us, done_us, status, rows))

    def _since_zero(self, now_ns: int) -> int:
        # Logins begin before zero; NONE would be taken for null.
        return max(0, (now_ns - self._zero_ns) // 1_000)

    def _flush(self) -> None:
        process = psutil.Process()
        process.cpu_percent()
        while not self._ended.wait(_FLUSH_S):
            self.tally.cpu_percent.append(process.cpu_percent())
            self._write_samples()

    def _write_samples(self) -> None:
        if not self._flat:
            return
        flat, self._flat = self._flat, array("q")
        errors, self._errors = self._errors, {}
        try:
            in_thread(lambda: self._stream.append(flat, errors))
        except Exception as error:
            # Kept for the next try, which on a full disk has the reserve to write into.
            self._flat = flat + self._flat
            self._errors = errors | self._errors
            if self.failure is None:
                logger.error("samples cannot be written (%s): ending the run", error)
                self.failure = f"samples cannot be written: {error}"
                self.drain(grace_s=0)

    def _close(self) -> None:
        for _ in range(2):
            self._write_samples()
        try:
            self.closing = in_thread(self._stream.finish)
        except OSError as error:
            self.failure = self.failure or f"samples cannot be closed: {error}"
        self.closing.setdefault("rows_written", self._stream.rows)
        self.closing.setdefault("sha256", "")


def _skip_reasons(
    statements: pa.Table, dials: Dials, unsupported: frozenset[str]
) -> list[str | None]:
    """Why each statement of the workload is not sent, if it is not."""
    kinds = statements["kind"].to_pylist()
    templates = statements["template_id"].to_pylist()
    return [
        "unsupported"
        if template in unsupported
        else f"may write: {kind}"
        if kind not in READING and not dials.writes
        else None
        for kind, template in zip(kinds, templates, strict=True)
    ]
