"""How long work shows that it goes on: a changing line on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_TERMINAL_EVERY_S = 0.2
_PLAIN_EVERY_S = 60.0


class Progress:
    """Progress of one verb on standard error. Use as `progress("captured 1,200 records")`."""

    def __init__(self, *, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._every_s = _TERMINAL_EVERY_S if self._terminal else _PLAIN_EVERY_S
        self._last_s = time.monotonic()
        self._shown = False

    def __call__(self, text: str) -> None:
        """Show `text` if it is time to."""
        now_s = time.monotonic()
        if now_s - self._last_s < self._every_s:
            return
        self._last_s = now_s
        if self._terminal:
            print(f"\r\033[K{text}", end="", file=self._stream, flush=True)
            self._shown = True
        else:
            print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Leave the line free for what comes next."""
        if self._shown:
            print("\r\033[K", end="", file=self._stream, flush=True)
            self._shown = False
