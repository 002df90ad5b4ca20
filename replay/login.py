"""Logins of a worker's sessions: bounded in number at once, tried again, and timed fairly."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.lock import BoundedSemaphore

from replay.target.wire import Connection, LoginFailed, WaiterFactory
from replay.waiter import SocketWaiter

Connect = Callable[[WaiterFactory], Connection]
"""Opens a session; raises LoginFailed."""

AT_ONCE = 64
TIMEOUT_S = 30.0
RETRY_AFTER_S = (0.0, 0.2, 1.0)


class Logins:
    """Opens connections for the sessions of one worker."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._gate = BoundedSemaphore(AT_ONCE)

    def open(self, *, goes_on: Callable[[], bool]) -> tuple[Connection, int] | None:
        """A connection and the nanoseconds spent waiting for our own bound on logins.

        That wait is the tool's lag; the rest is the target's. None when `goes_on` said no.

        Raises:
            LoginFailed: the target refused every time, or will refuse every time.
        """
        failure: LoginFailed | None = None
        for wait_s in RETRY_AFTER_S:
            gevent.sleep(wait_s)
            if not goes_on():
                return None
            asked_ns = time.monotonic_ns()
            with self._gate:
                gate_ns = time.monotonic_ns() - asked_ns
                try:
                    with gevent.Timeout(TIMEOUT_S):
                        return self._connect(SocketWaiter), gate_ns
                except LoginFailed as error:
                    failure = error
                except gevent.Timeout:
                    failure = LoginFailed("no answer to the login", sqlstate="08001")
            if failure.sqlstate.startswith("28"):
                break
        assert failure is not None
        raise failure
