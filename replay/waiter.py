"""How greenlets wait: for a socket, for a time that can be cut short, for work in a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent import getcurrent
from gevent.hub import Waiter

_READ, _WRITE = 1, 2

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> Result:
    """Do blocking work in a real thread while other greenlets run; raises what it raises.

    gevent's own `apply` would also print the exception, as if nobody handled it.
    """

    def attempt() -> tuple[Result | None, Exception | None]:
        try:
            return work(), None
        except Exception as error:
            return None, error

    result, error = gevent.get_hub().threadpool.apply(attempt)
    if error is not None:
        raise error
    done: Result = result
    return done


class SocketWaiter:
    """Waits on a file descriptor through gevent's hub, with no timer and no polling."""

    __slots__ = ("_hub", "_read", "_write")

    def __init__(self, fd: int) -> None:
        self._hub: Any = gevent.get_hub()
        self._read = self._hub.loop.io(fd, _READ)
        self._write: Any = None

    def readable(self) -> None:
        """Return when there is something to read, or the other side is gone."""
        self._await(self._read)

    def writable(self) -> None:
        """Return when there is room to write or something to read.

        Both, because a server that waits for us to read does not read what we write.
        """
        if self._write is None:
            self._write = self._hub.loop.io(self._read.fd, _READ | _WRITE)
        self._await(self._write)

    def _await(self, watcher: Any) -> None:  # noqa: ANN401  gevent's
        # What hub.wait does, without an object of its own for each wait.
        watcher.start(getcurrent().switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()

    def pause(self) -> None:
        """Let every other greenlet that is ready run."""
        gevent.sleep(0)

    def close(self) -> None:
        """Free the watchers; the descriptor stays the connection's."""
        self._read.close()
        if self._write is not None:
            self._write.close()


class Naps:
    """Sleeps that can all be ended at once, without raising anything in the sleepers."""

    def __init__(self) -> None:
        self._asleep: set[Any] = set()

    def nap(self, seconds: float) -> None:
        """Sleep for about `seconds`, or until `wake`."""
        hub: Any = gevent.get_hub()
        sleeper = Waiter(hub)
        timer = hub.loop.timer(seconds)
        self._asleep.add(sleeper)
        timer.start(sleeper.switch, None)
        try:
            sleeper.get()
        finally:
            timer.close()
            self._asleep.discard(sleeper)

    def wake(self) -> None:
        """End every sleep that is under way."""
        hub: Any = gevent.get_hub()
        for sleeper in self._asleep:
            # Waiters may be switched to from the hub only.
            hub.loop.run_callback(sleeper.switch, None)
