"""Targets made for tests: connections that take as long as they are told."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gevent import sleep
from gevent.event import Event

from replay.target.wire import Answer, LoginFailed, WaiterFactory


class ScriptedConnection:
    """Answers each statement as its text says: `sleep 0.1`, `fail 42P01`, `hang`, or at once."""

    def __init__(self, log: list[tuple[int, str]], *, cancel_s: float) -> None:
        self.backend_pid = 4242
        self._log = log
        self._cancel_s = cancel_s
        self._stopped = Event()
        self.closed = False

    def execute(self, sql: bytes, params: Sequence[bytes | None] | None) -> Answer:
        self._log.append((time.monotonic_ns(), sql.decode()))
        word, _, rest = sql.decode().partition(" ")
        if word == "sleep":
            sleep(float(rest))
        elif word == "fail":
            return Answer(None, time.monotonic_ns(), None, rest, "as told")
        elif word == "lose":
            return Answer(None, time.monotonic_ns(), None, "08006", "gone", lost=True)
        elif word == "hang" and self._stopped.wait(20):
            return Answer(None, time.monotonic_ns(), None, "57014", "canceled")
        now_ns = time.monotonic_ns()
        return Answer(now_ns, now_ns, 1)

    def cancel(self) -> None:
        sleep(self._cancel_s)
        self._log.append((time.monotonic_ns(), "cancelled"))
        self._stopped.set()

    def sever(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.closed = True


class ScriptedTarget:
    """Opens scripted connections whose cancellations take `cancel_s`.

    The first `refuse` logins fail with `sqlstate`, the first `silent` ones get no answer for
    `silence_s`.
    """

    def __init__(
        self,
        *,
        refuse: int = 0,
        sqlstate: str = "53300",
        silent: int = 0,
        silence_s: float = 60,
        cancel_s: float = 0,
    ) -> None:
        self.sent: list[tuple[int, str]] = []
        self.logins = 0
        self.logged_in_ns: list[int] = []
        self.connections: list[ScriptedConnection] = []
        self._refuse = refuse
        self._sqlstate = sqlstate
        self._silent, self._silence_s = silent, silence_s
        self._cancel_s = cancel_s

    def connect(self, wait: WaiterFactory, *, user: str | None = None) -> ScriptedConnection:
        self.logins += 1
        self.logged_in_ns.append(time.monotonic_ns())
        if self.logins <= self._refuse:
            raise LoginFailed("no", sqlstate=self._sqlstate)
        if self.logins <= self._silent:
            sleep(self._silence_s)
        connection = ScriptedConnection(self.sent, cancel_s=self._cancel_s)
        self.connections.append(connection)
        return connection
