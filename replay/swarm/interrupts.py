"""Signals during a run, and as Locust has them at any other time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

import gevent


class Interrupts:
    """Calls in a greenlet what each of these signals asks for, until released.

    Python's own handler would raise KeyboardInterrupt in whatever greenlet happens to run.
    """

    def __init__(self, asked: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._numbers = asked.keys()
        self._handlers = [gevent.signal_handler(number, call) for number, call in asked.items()]

    def release(self) -> None:
        """Give the signals back."""
        for handler in self._handlers:
            handler.cancel()
        self._handlers = []
        if signal.SIGINT in self._numbers:
            # libev leaves the system's default, which would kill without a word.
            signal.signal(signal.SIGINT, signal.default_int_handler)
