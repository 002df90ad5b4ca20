"""A target that answers at once: what is left is the tool itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from replay.target.wire import Answer, WaiterFactory

_BETWEEN_PAUSES = 64


class NullConnection:
    """Every statement succeeds with one row the moment it is sent."""

    backend_pid = -1

    def __init__(self, wait: WaiterFactory) -> None:
        # There is no socket, and nothing is ever waited for; only now and then is it others' turn.
        self._waiter = wait(0)
        self._asked = 0

    def execute(self, sql: bytes, params: Sequence[bytes | None] | None) -> Answer:
        """Answer without waiting."""
        self._asked += 1
        if self._asked % _BETWEEN_PAUSES == 0:
            self._waiter.pause()
        now_ns = time.monotonic_ns()
        return Answer(now_ns, now_ns, 1)

    def cancel(self) -> None:
        """Nothing is ever in flight."""

    def sever(self) -> None:
        """Nothing is ever in flight."""

    def close(self) -> None:
        """Nothing is held."""
        self._waiter.close()
