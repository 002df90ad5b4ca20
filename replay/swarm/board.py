"""What the workers of a run have told of it so far, for Locust's page and the line of progress."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from replay import live
from replay.offsets import Ints
from replay.swarm.statistics import Label

RECENT_S = 10.0
_NOTHING = live.figures(0)
_LATE = {live.LAG: "the tool is late", live.BACKLOG: "2.0 is behind"}

Columns = Mapping[str, tuple[str, int, float]]
"""Of a table of times in ms: title, row of figures, share; by key."""
DELAYS: Columns = {
    f"{key}_{name}_ms": (f"{title} {name} (ms)", row, share)
    for row, key, title in ((live.LAG, "lag", "Tool lag"), (live.BACKLOG, "backlog", "2.0 backlog"))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
}
_TIMED = ("captured", "1.0"), ("response", "2.0"), ("service", "2.0 service")
BESIDE: Columns = {
    f"{key}_p{p}_ms": (f"{title} p{p} (ms)", row, p / 100)
    for p in (50, 95, 99)
    for row, (key, title) in enumerate(_TIMED)
}


@dataclass(slots=True, kw_only=True)
class _Worker:
    due: int = 0
    in_flight: int = 0
    open_sessions: int = 0
    counts: Ints = field(default_factory=_NOTHING.copy)
    lately: deque[tuple[float, Ints]] = field(default_factory=deque)

    def recent(self) -> Ints:
        while self.lately and time.monotonic() - self.lately[0][0] > RECENT_S:
            self.lately.popleft()
        return sum((counts for _, counts in self.lately), _NOTHING)


class Board:
    """Figures of a run, by worker and by group of statements."""

    def __init__(self, groups: Sequence[Label], *, lag_budget_us: float) -> None:
        self._groups = groups
        self._budget_us = lag_budget_us
        self._workers: dict[int, _Worker] = {}
        self._beside = live.figures(len(groups))[live.GROUPS :].reshape(-1, 3, live.BUCKETS)

    def take(self, shard: int, told: Mapping[str, Any]) -> None:
        """Add what a worker counted since it last told; what makes no sense is ignored."""
        try:
            counts = live.unpack(told["counts"], groups=len(self._groups))
        except (ValueError, TypeError, OverflowError):
            return
        worker = self._workers.setdefault(shard, _Worker())
        for name in ("due", "in_flight", "open_sessions"):
            setattr(worker, name, told[name])
        ours = counts[: live.GROUPS].copy()
        worker.counts += ours
        worker.lately.append((time.monotonic(), ours))
        worker.recent()
        self._beside += counts[live.GROUPS :].reshape(self._beside.shape)

    def delays(self) -> list[dict[str, Any]]:
        """All workers and, if they are several, each: over the run so far and lately."""
        shards = sorted(self._workers) if len(self._workers) > 1 else []
        rows = self._rows(" all workers", self._workers.values())
        return rows + [row for n in shards for row in self._rows(f"w{n}", [self._workers[n]])]

    def _rows(self, name: str, workers: Iterable[_Worker]) -> list[dict[str, Any]]:
        workers = list(workers)
        whole = self._row(name, sum((worker.counts for worker in workers), _NOTHING))
        whole["sent"] += sum(worker.in_flight for worker in workers)
        for gauge in ("due", "open_sessions"):
            whole[gauge] = sum(getattr(worker, gauge) for worker in workers)
        recent = sum((worker.recent() for worker in workers), _NOTHING)
        return [whole, self._row(f"{name}, last {RECENT_S:.0f} s", recent)]

    def _row(self, name: str, counts: Ints) -> dict[str, Any]:
        sent = int(counts[live.LAG].sum())
        ended, *failed = counts[live.ENDS, : len(live.CAUSES) + 1].tolist()
        causes = zip(failed, live.CAUSES.values(), strict=True)
        p99_us = live.percentiles_us(counts, 0.99)
        late = [words for row, words in _LATE.items() if p99_us[row] > self._budget_us]
        return {
            "name": name,
            "sent": sent,
            "ended": ended,
            "errors": sum(failed),
            "causes": ", ".join(f"{n:,} {cause}" for n, cause in causes if n),
            "in_words": ", ".join(late) or ("on time" if sent else "nothing sent"),
            **_times(counts[None], DELAYS)[0],
        }

    def beside(self) -> list[dict[str, Any]]:
        """Statements that ended ok and that 1.0 timed: all, and by group."""
        some = np.flatnonzero(self._beside.any(axis=(1, 2)))
        names = [" ".join(self._groups[n]) for n in some.tolist()]
        return [self._all(), *_beside(names, self._beside[some])]

    def _all(self) -> dict[str, Any]:
        # A space stands before every letter where the page sorts by name.
        return _beside([" all statements"], self._beside.sum(axis=0)[None])[0]

    def line(self, share: float) -> str:
        """The same in a line of 120 characters, when `share` of the run's time has passed."""
        told = self._rows("", self._workers.values())[0] | self._all()
        ms = {key: "–" if told[key] is None else f"{told[key]:,g}" for key in (*DELAYS, *BESIDE)}
        return (
            f"{share:.0%} {told['sent']:,}/{told['due']:,} sent, {told['open_sessions']:,} open, "
            f"p99 lag {ms['lag_p99_ms']} backlog {ms['backlog_p99_ms']} ms, "
            f"{told['errors']:,} errors, "
            f"p95 2.0/1.0 {ms['response_p95_ms']}/{ms['captured_p95_ms']} ms"
        )[:120]


def _beside(names: Sequence[str], counts: Ints) -> list[dict[str, Any]]:
    ended = counts[:, live.CAPTURED].sum(axis=-1).tolist()
    times = _times(counts, BESIDE)
    return [
        {"name": name, "statements": n, **row}
        for name, n, row in zip(names, ended, times, strict=True)
    ]


def _times(counts: Ints, columns: Columns) -> list[dict[str, float | None]]:
    told = {
        key: live.percentiles_us(counts[:, row], share).tolist()
        for key, (_, row, share) in columns.items()
    }
    return [{key: _ms(us[n]) for key, us in told.items()} for n in range(len(counts))]


def _ms(time_us: float) -> float | None:
    return None if math.isnan(time_us) else float(f"{time_us / 1e3:.3g}")
