"""WLM: slots that statements wait for, first come, first served, and the compile cache."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from replay.redshift_like.history import Query


class WorkloadManagement:
    """So many slots at once; a statement that asks for several waits for all of them."""

    def __init__(self, *, slots: int, compile_ms: int) -> None:
        self.slots = slots
        self.compiled: set[str] = set()
        """Shapes that were seen since the start or a change of version."""
        self._compile_s = compile_ms / 1e3
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def admit(self, query: Query, shape: str, *, slots: int) -> None:
        """Wait for slots, then compile what is new.

        `query.slots` says how many to give back, also when this is cancelled.
        """
        began_ns = time.perf_counter_ns()
        wanted = max(1, min(slots, self.slots))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        self._admit()
        try:
            await turn
        finally:
            query.queue_us = (time.perf_counter_ns() - began_ns) // 1_000
            if not turn.cancelled():
                query.slots = wanted
        if shape not in self.compiled:
            self.compiled.add(shape)
            await asyncio.sleep(self._compile_s)
            query.compile_us = (time.perf_counter_ns() - began_ns) // 1_000 - query.queue_us

    def give_back(self, slots: int) -> None:
        """End of a statement that was admitted."""
        self._taken -= slots
        self._admit()

    def resize(self, slots: int) -> None:
        """Have another number from now on; who runs, runs on."""
        self.slots = slots
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.cancelled():
                if self._taken and self._taken + wanted > self.slots:
                    return
                self._taken += wanted
                turn.set_result(None)
            self._waiting.popleft()
