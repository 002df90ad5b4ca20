"""RUN/client.jsonl: what the processes of a run take, noted now and then while it is on.

A line for each worker: `worker`, `at_us` since the run's zero, `memory_bytes` of its own,
`open_sessions`, `in_flight`; a master beside its workers has one too. Appended at once, so that a
run that was killed has them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replay.run import CLIENT
from replay.strain import own_memory

logger = logging.getLogger(__name__)

_EVERY_S = 60.0
_LEAST_LINES = 120
"""Of a run whose length is known: a short one is looked at more often."""


class ClientNotes:
    """Of one run."""

    def __init__(self, run: Path, *, length_s: float) -> None:
        """`length_s` is the run's, zero if nobody knows it."""
        self._path = run / CLIENT
        self._every_s = max(1.0, min(_EVERY_S, length_s / _LEAST_LINES)) if length_s else _EVERY_S
        self._next_s = 0.0

    def add(
        self, gauges: Iterable[tuple[int, Mapping[str, int]]], *, zero_s: float, master: bool
    ) -> bool:
        """Note what workers told last, if it is time; `zero_s` is on `time.monotonic`."""
        now_s = time.monotonic()
        if now_s < max(zero_s, self._next_s):
            return False
        self._next_s = now_s + self._every_s
        rows: list[dict[str, Any]] = [
            {"worker": f"w{shard}", "memory_bytes": told["memory_bytes"]}
            | {name: told[name] for name in ("open_sessions", "in_flight")}
            for shard, told in gauges
        ]
        if master:
            rows.append({"worker": "master", "memory_bytes": own_memory()})
        at_us = round((now_s - zero_s) * 1e6)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"at_us": at_us} | row) + "\n" for row in rows)
        except OSError as error:
            # Nothing that a run should end for; a full disk ends it by its samples.
            logger.warning("what the processes take is not noted: %s", error)
        return True
