"""Logins of a worker's sessions: bounded in number at once, tried again, and timed fairly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from replay.target.wire import Connection, LoginFailed, WaiterFactory
from replay.waiter import SocketWaiter

Connect = Callable[[WaiterFactory], Connection]
"""Opens a session; raises LoginFailed."""

AT_ONCE = 64
SLOT_S = 0.25
"""For how long a login counts against the bound: one that takes longer only waits for the target,
and others that wait for it in turn would make the target's slowness our lag."""
TIMEOUT_S = 30.0
RETRY_AFTER_S = (0.0, 0.2, 1.0)


class Logins:
    """Opens connections for the sessions of one worker."""

    def __init__(self, connect: Connect, *, timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = min(TIMEOUT_S, timeout_s)
        self._gate = BoundedSemaphore(AT_ONCE)
        self._under_way: set[Any] = set()
        self._recalled = False

    def open(self) -> tuple[Connection, int] | None:
        """A connection and the nanoseconds spent waiting for our own bound on logins.

        That wait is the tool's lag; the rest is the target's. None after `recall`.

        Raises:
            LoginFailed: the target refused every time, will refuse every time, or gave no answer.
        """
        failure: LoginFailed | None = None
        for wait_s in RETRY_AFTER_S:
            gevent.sleep(wait_s)
            asked_ns = time.monotonic_ns()
            with self._slot():
                if self._recalled:
                    return None
                gate_ns = time.monotonic_ns() - asked_ns
                self._under_way.add(gevent.getcurrent())
                try:
                    with gevent.Timeout(self._timeout_s):
                        return self._connect(SocketWaiter), gate_ns
                except LoginFailed as error:
                    failure = error
                except gevent.Timeout:
                    if self._recalled:
                        return None
                    raise LoginFailed("no answer to the login", sqlstate="08001") from None
                finally:
                    self._under_way.discard(gevent.getcurrent())
            if failure.sqlstate.startswith("28"):
                break
        assert failure is not None
        raise failure

    def recall(self) -> None:
        """End the logins under way and open nothing more: a silent target must not hold us."""
        self._recalled = True
        for session in self._under_way:
            # From the hub only, and only where the session still waits for its login then.
            gevent.get_hub().loop.run_callback(self._end, session)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        self._gate.acquire()
        until = gevent.get_hub().loop.timer(SLOT_S)
        until.start(self._gate.release)
        try:
            yield
        finally:
            if until.active or until.pending:
                self._gate.release()
            until.close()

    def _end(self, session: Any) -> None:  # noqa: ANN401  gevent's
        if session in self._under_way:
            session.throw(gevent.Timeout())
