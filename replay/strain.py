"""How near a worker's process is to its own limits, and what keeps it off them."""

from __future__ import annotations

import gc
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import numpy as np
import psutil
from gevent.event import Event

_PROBE_S = 0.05
_GIVE_WAY_S = 0.0005
_YOUNG = 20_000
"""Objects made before the collector looks at them; Python's own 700 cost a twentieth of a run."""


class Strain:
    """CPU of this process, and how late its event loop comes round to whoever wants to run."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()
        # Half the size of their usual types: a night's are megabytes.
        self._cpu_percent = array("f")
        self._starved_us = array("i")

    def note_cpu(self) -> None:
        """The share of one core since the last call."""
        self._cpu_percent.append(self._process.cpu_percent())

    def probe(self, until: Event) -> None:
        """Ask to be woken, again and again, and see how late that happens; a greenlet's work."""
        while not until.is_set():
            wake_ns = time.monotonic_ns() + round(_PROBE_S * 1e9)
            gevent.sleep(_PROBE_S)
            self._starved_us.append(max(0, time.monotonic_ns() - wake_ns) // 1_000)

    @property
    def cpu_p95(self) -> float | None:
        """The process's share of one core, 95th percentile over half seconds."""
        shares = self._cpu_percent
        return round(float(np.percentile(shares, 95)) / 100, 4) if shares else None

    @property
    def starved_p99_us(self) -> int | None:
        """How late the event loop was, 99th percentile over probes, 20 of them a second."""
        return int(np.percentile(self._starved_us, 99)) if self._starved_us else None

    @property
    def starved_max_us(self) -> int:
        """The same at its worst: for so long nothing of this worker ran."""
        return max(self._starved_us, default=0)


def own_memory() -> int:
    """Bytes of this process's memory, without pages of files that it maps, where that is told."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the interpreter's own housekeeping from stopping all sessions for milliseconds.

    The garbage collector leaves alone what is there, and looks at the rest more rarely; threads
    that write samples give way sooner than after Python's 5 ms.
    """
    before, switch_s = gc.get_threshold(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 50, 100)
    sys.setswitchinterval(_GIVE_WAY_S)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*before)
        gc.unfreeze()
