"""WLM's slots: a statement beyond them waits, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """So many statements at once; one that asks for several slots waits for all of them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def resize(self, number: int) -> None:
        """Have another number from now on; who runs, runs on."""
        self.number = number
        self._admit()

    async def take(self, wanted: int) -> int:
        """Wait for slots; returns how many to give back. Cancelled, it has taken none."""
        wanted = max(1, min(wanted, self.number))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(wanted)
            raise
        return wanted

    def give(self, number: int) -> None:
        """Give back what `take` returned."""
        self._taken -= number
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.cancelled():
                if self._taken and self._taken + wanted > self.number:
                    return
                self._taken += wanted
                turn.set_result(None)
            self._waiting.popleft()
