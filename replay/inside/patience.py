"""Waiting for figures that arrive late, until they stand still, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from replay.errors import UndecidedRun

WAIT_S = 60.0
_AGAIN_S = 2.0
_STILL, _STILL_SHORT = 3, 8
"""So many equal counts in turn mean that no more is coming: where all is there, where it is not."""


class Patience:
    """How long to wait for each thing; `skip` ends all waiting from another thread.

    By a plain flag: events of a patched standard library do not cross threads for certain.
    """

    def __init__(self, tell: Callable[[str], None], *, wait_s: float = WAIT_S) -> None:
        self.tell = tell
        self.cancel: Callable[[], None] | None = None
        """Ends the question under way, if there is one."""
        self._wait_s = wait_s
        self._skipped = False

    def skip(self) -> None:
        """Let whoever waits, and whoever is about to ask, give up."""
        self._skipped = True
        if self.cancel is not None:
            self.cancel()

    def check(self) -> None:
        """Raises UndecidedRun once skipped."""
        if self._skipped:
            raise UndecidedRun("skipped", hint="`fourstep inside RUN --host URL` reads it later")

    def until_still(self, count: Callable[[], float], *, expected: float) -> bool:
        """Count again and again until nothing changes; False when the time was up before.

        Nothing never stands still: the first may be the latest.
        """
        until_s = time.monotonic() + self._wait_s
        last, seen = -1.0, 0
        while True:
            self.check()
            counted = count()
            last, seen = counted, seen + 1 if counted == last else 1
            if counted and seen >= (_STILL if counted >= expected else _STILL_SHORT):
                return True
            if time.monotonic() >= until_s:
                return False
            again_s = time.monotonic() + _AGAIN_S
            while time.monotonic() < again_s:
                self.check()
                time.sleep(0.05)
