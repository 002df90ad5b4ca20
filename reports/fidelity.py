"""How faithfully the run was replayed: the numbers the validity gates look at.

Apart from the comparison because these speak about fourstep itself: its lag, its coverage, its
CPU. What a slow target causes (backlog) is kept out of them on purpose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from replay.run import Ledger
from reports.load import MISSING, Evidence
from reports.stats.estimate import Int64s
from reports.stats.quantiles import nearest_rank

DEFAULT_LAG_BUDGET_US = 250_000
"""Used when neither the gates nor the run state a budget."""

_SLICE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """None where a figure could not be measured; shares run from 0 to 1."""

    finished: bool
    ended_by: str
    lag_p50_us: int | None
    lag_p99_us: int | None
    lag_max_us: int | None
    lag_budget_us: int
    backlog_p99_us: int | None
    backlogged_share: float | None
    offered_over_target: float | None
    replayed_share: float | None
    skipped_share: float | None
    client_cpu_p95: float | None
    workers: int
    workers_lost: int

    def as_json(self) -> dict[str, Any]:
        """The `fidelity` object of verdict.json."""
        return asdict(self)


def measure_fidelity(evidence: Evidence, ledger: Ledger) -> Fidelity:
    """Read the run's own quality from its samples, its ledger and its workers."""
    document = evidence.document
    lag = evidence.lag_us[evidence.lag_us != MISSING]
    backlog = evidence.backlog_us[evidence.lag_us != MISSING]
    workers = document.get("workers") or []
    cpus = [w["cpu_p95"] for w in workers if w.get("cpu_p95") is not None]
    budget_ms = (document.get("dials") or {}).get("lag_budget_ms")
    budget_us = DEFAULT_LAG_BUDGET_US if budget_ms is None else round(float(budget_ms) * 1000)
    to_replay = ledger.planned - ledger.skipped.total()
    replayed = ledger.ok + ledger.error + ledger.timeout
    return Fidelity(
        finished=evidence.run.finished,
        ended_by=str(document.get("ended_by") or "unknown"),
        lag_p50_us=_quantile(lag, 0.50),
        lag_p99_us=_quantile(lag, 0.99),
        lag_max_us=int(lag.max()) if len(lag) else None,
        lag_budget_us=budget_us,
        backlog_p99_us=_quantile(backlog, 0.99),
        backlogged_share=float((backlog > budget_us).mean()) if len(backlog) else None,
        offered_over_target=_offered(evidence, budget_us),
        replayed_share=replayed / to_replay if to_replay > 0 else None,
        skipped_share=ledger.skipped.total() / ledger.planned if ledger.planned else None,
        # One worker at its limit is enough to distort the samples it took.
        client_cpu_p95=max(cpus) if len(cpus) == len(workers) and cpus else None,
        workers=len(workers),
        workers_lost=sum(bool(w.get("lost")) for w in workers),
    )


def _quantile(values: Int64s, p: float) -> int | None:
    if len(values) == 0:
        return None
    at = nearest_rank(len(values), p) - 1
    return int(np.partition(values, at)[at])


def _offered(evidence: Evidence, budget_us: int) -> float | None:
    """Share of the statements the tool could send by the timetable's end that it had sent.

    A statement could be sent once it was due and its session ready; one lag budget is allowed
    after the last due time. What waits behind a slow answer is the target's doing and not counted.
    """
    planned = ~evidence.is_status("skipped") & (evidence.due_us != MISSING)
    if not planned.any():
        return None
    end = int(evidence.due_us.max(where=planned, initial=0))
    offerable = sent = 0
    # Through slices, so that the sums need no column of their own.
    for start in range(0, len(evidence), _SLICE):
        part = slice(start, start + _SLICE)
        could = evidence.due_us[part] + np.maximum(evidence.backlog_us[part], 0)
        lag = evidence.lag_us[part]
        inside = planned[part] & (could <= end)
        offerable += int(inside.sum())
        sent += int((inside & (lag != MISSING) & (could + lag <= end + budget_us)).sum())
    return sent / offerable if offerable else None
