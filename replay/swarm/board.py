"""What the workers of a run have told of it so far, for Locust's page and the line of progress."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from replay import live
from replay.offsets import Ints
from replay.swarm.labels import Label

RECENT = 10  # latest messages of a worker, one a second, that are summed up apart

_NOTHING = live.figures(1)
_LATE = {live.LAG: "the tool is late", live.BACKLOG: "2.0 is behind"}
Columns = dict[str, tuple[str, int, float]]


def _columns(names: str, rows: Mapping[str, tuple[str, int]]) -> Columns:
    """Times in a table of the page: title, row of figures and share, by key."""
    return {
        f"{key}_{name}_ms": (f"{title} {name} (ms)", row, _SHARES[name])
        for name in names.split()
        for key, (title, row) in rows.items()
    }


_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_DELAYS = {"lag": ("Tool lag", live.LAG), "backlog": ("2.0 backlog", live.BACKLOG)}
_TIMES = {"captured": ("1.0", live.CAPTURED), "response": ("2.0", live.RESPONSE)}
_TOTALS = {key: (title, live.GROUPS + row) for key, (title, row) in _TIMES.items()}
DELAYS = _columns("p50 p99 max", _DELAYS) | _columns("p95", _TOTALS)
BESIDE = _columns("p50 p95 p99", _TIMES | {"service": ("2.0 service", live.SERVICE)})


@dataclass(slots=True, kw_only=True)
class _Worker:
    gauges: Mapping[str, int] = field(default_factory=dict)
    counts: Ints = field(default_factory=_NOTHING.copy)
    recent: deque[Ints] = field(default_factory=lambda: deque(maxlen=RECENT))


class Board:
    """Figures of a run, by worker and by group of statements."""

    def __init__(self, groups: Sequence[Label], *, length_s: float, lag_budget_ms: float) -> None:
        """`length_s` is the run's, zero if nobody knows it."""
        self.zero_s = math.inf  # the run's zero, on `time.monotonic`
        self._groups = groups
        self._length_s = length_s
        self._budget_us = lag_budget_ms * 1e3
        self._workers: dict[int, _Worker] = {}
        self._beside = live.figures(len(groups))[live.GROUPS :].reshape(-1, 3, live.BUCKETS)

    @property
    def passed(self) -> str:
        """How much of the run's length has passed, or how long it has run where that is unknown."""
        passed_s = max(0.0, time.monotonic() - self.zero_s)
        known = self._length_s > 0
        return f"{min(1.0, passed_s / self._length_s):.0%}" if known else f"{passed_s:.0f} s"

    def take(self, shard: int, told: Mapping[str, Any]) -> None:
        """Add what a worker counted since it last told; what makes no sense is ignored."""
        try:
            counts = live.unpack(told["counts"], groups=len(self._groups))
        except (ValueError, TypeError, OverflowError, IndexError):
            return
        beside = counts[live.GROUPS :].reshape(self._beside.shape)
        whole = np.concatenate([counts[: live.GROUPS], beside.sum(axis=0)])
        worker = self._workers.setdefault(shard, _Worker())
        worker.gauges = {name: told[name] for name in live.GAUGES}
        worker.counts += whole
        worker.recent.append(whole)
        self._beside += beside

    def counts(self) -> Ints:
        """All that was counted so far, groups summed up."""
        return sum((worker.counts for worker in self._workers.values()), _NOTHING)

    def gauges(self) -> list[tuple[int, Mapping[str, int]]]:
        """By shard, what each worker told last of what it takes."""
        return [(shard, self._workers[shard].gauges) for shard in sorted(self._workers)]

    def delays(self) -> list[dict[str, Any]]:
        """All workers and, if they are several, each: over the run so far and lately."""
        # The page sorts by name, and a space stands before every letter.
        rows = self._pair(" all workers", list(self._workers.values()))
        for shard in sorted(self._workers) if len(self._workers) > 1 else ():
            rows += self._pair(f"w{shard}", [self._workers[shard]])
        return rows

    def _pair(self, name: str, workers: Sequence[_Worker]) -> list[dict[str, Any]]:
        whole = self._row(name, [worker.counts for worker in workers])
        whole |= {gauge: sum(worker.gauges[gauge] for worker in workers) for gauge in live.GAUGES}
        whole["sent"] += whole["in_flight"]
        recent = [counts for worker in workers for counts in worker.recent]
        return [whole, self._row(f"{name}, last {RECENT} s", recent)]

    def _row(self, name: str, parts: Sequence[Ints]) -> dict[str, Any]:
        counts: Ints = sum(parts, _NOTHING)
        sent = int(counts[live.LAG].sum())
        ended, *failed = counts[live.ENDS, : len(live.CAUSES) + 1].tolist()
        told = zip(failed, live.CAUSES.values(), strict=True)
        causes = [f"{n:,} {cause} errors" for n, cause in told if n]
        p99_us = live.percentiles_us(counts, 0.99)
        late = [words for row, words in _LATE.items() if p99_us[row] > self._budget_us]
        row = {"name": name, "sent": sent, "ended": ended, "errors": sum(failed)}
        row["in_words"] = ", ".join((late or ["on time" if sent else "nothing sent"]) + causes)
        return row | _times(counts[None], DELAYS)[0]

    def beside(self) -> list[dict[str, Any]]:
        """Statements that ended ok and that 1.0 timed: all, and by group."""
        some = np.flatnonzero(self._beside.any(axis=(1, 2))).tolist()
        names = [" all statements", *(" ".join(self._groups[n]) for n in some)]
        counts = np.concatenate([self._beside.sum(axis=0)[None], self._beside[some]])
        ended = counts[:, live.CAPTURED].sum(axis=-1).tolist()
        rows = zip(names, ended, _times(counts, BESIDE), strict=True)
        return [{"name": name, "statements": n, **times} for name, n, times in rows]

    def line(self) -> str:
        """What matters most, in at most 120 characters."""
        told = self.delays()[0]
        ms = {key: "–" if told[key] is None else f"{told[key]:,g}" for key in DELAYS}
        # A pool has no times at which statements are due.
        due = f"/{told['due']:,}" if told["due"] else ""
        return (
            f"{self.passed} {told['sent']:,}{due} sent, "
            f"{told['open_sessions']:,} open, {told['errors']:,} errors, "
            f"p99 lag {ms['lag_p99_ms']} backlog {ms['backlog_p99_ms']} ms, "
            f"p95 2.0/1.0 {ms['response_p95_ms']}/{ms['captured_p95_ms']} ms"
        )[:120]


def _times(counts: Ints, columns: Columns) -> list[dict[str, float | None]]:
    ms = {share: live.percentiles_us(counts, share) / 1e3 for share in _SHARES.values()}
    rows: list[dict[str, float | None]] = [{} for _ in counts]
    for key, (_, which, share) in columns.items():
        for row, time_ms in zip(rows, ms[share][:, which].tolist(), strict=True):
            row[key] = None if math.isnan(time_ms) else float(f"{time_ms:.3g}")
    return rows
