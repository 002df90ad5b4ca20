"""Signals during a run, and as Locust has them at any other time."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent


class Interrupts:
    """Calls `interrupted` in a greenlet for each of these signals until released.

    Python's own handler would raise KeyboardInterrupt in whatever greenlet happens to run.
    """

    def __init__(self, interrupted: Callable[[], None], *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._handlers = [gevent.signal_handler(number, interrupted) for number in numbers]

    def release(self) -> None:
        """Give the signals back."""
        for handler in self._handlers:
            handler.cancel()
        self._handlers = []
        if signal.SIGINT in self._numbers:
            # libev leaves the system's default, which would kill without a word.
            signal.signal(signal.SIGINT, signal.default_int_handler)
