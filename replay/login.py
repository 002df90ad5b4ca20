"""Logins of a worker's sessions: bounded in number at once, tried again, and timed fairly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from replay.errors import FourstepError
from replay.target.credentials import Credentials, Grant
from replay.target.wire import Connection, LoginFailed, WaiterFactory
from replay.waiter import SocketWaiter, in_thread


class Connect(Protocol):
    """Opens a session, perhaps as another user; raises LoginFailed."""

    def __call__(self, wait: WaiterFactory, /, *, user: str | None = None) -> Connection:
        """See replay.target.target.Target.connect."""


AT_ONCE = 64
SLOT_S = 0.25
"""For how long a login counts against the bound: one that takes longer only waits for the target,
and others that wait for it in turn would make the target's slowness our lag."""
TIMEOUT_S = 30.0
RETRY_AFTER_S = (0.0, 0.2, 1.0)


class Logins:
    """Opens connections for the sessions of one worker."""

    def __init__(
        self, connect: Connect, credentials: Credentials | None = None, *, timeout_s: float
    ) -> None:
        self._connect = connect
        self._credentials = credentials
        self._renewal = BoundedSemaphore(1)
        self._timeout_s = min(TIMEOUT_S, timeout_s)
        self._gate = BoundedSemaphore(AT_ONCE)
        self._under_way: set[Any] = set()
        self._recalled = False

    def open(self, user: str | None = None) -> tuple[Connection, int] | None:
        """A connection and the nanoseconds spent waiting for our own bound on logins.

        That wait, and one for credentials, is the tool's lag; the rest is the target's. None after
        `recall`. The session is another `user`'s where one is given.

        Raises:
            LoginFailed: the target refused every time, will refuse every time, or gave no answer.
        """
        failure: LoginFailed | None = None
        used: Grant | None = None
        refused: Grant | None = None
        for wait_s in RETRY_AFTER_S:
            gevent.sleep(wait_s)
            asked_ns = time.monotonic_ns()
            with self._slot():
                if self._recalled:
                    return None
                self._under_way.add(gevent.getcurrent())
                try:
                    with gevent.Timeout(self._timeout_s):
                        used = self._granted(refused)
                        gate_ns = time.monotonic_ns() - asked_ns
                        return self._connect(SocketWaiter, user=user), gate_ns
                except LoginFailed as error:
                    failure = error
                except gevent.Timeout:
                    if self._recalled:
                        return None
                    raise LoginFailed("no answer to the login", sqlstate="08001") from None
                finally:
                    self._under_way.discard(gevent.getcurrent())
            if failure.sqlstate.startswith("28"):
                if used is None or refused is not None:
                    break
                # It may have ended by the other's clock.
                refused = used
        assert failure is not None
        raise failure

    def _granted(self, refused: Grant | None) -> Grant | None:
        """What the login that follows uses; fetched by one session at a time where wanting.

        Raises:
            LoginFailed: AWS gives none.
        """
        credentials = self._credentials
        if credentials is None:
            return None
        if credentials.wanting(refused) and not (
            refused is None and credentials.valid and self._renewal.locked()
        ):
            try:
                with self._renewal:
                    in_thread(lambda: credentials.renew(refused))
            except FourstepError as error:
                raise LoginFailed(f"no credentials: {error}", sqlstate="28000") from error
        return credentials.grant

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
