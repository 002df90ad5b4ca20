"""How faithfully the run was replayed: the numbers the validity gates look at.

Apart from the comparison because these speak about fourstep itself: its lag, its coverage, its
CPU. What a slow target causes (backlog) is kept out of them on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.run import Ledger
from reports.load import Evidence
from reports.samples import MISSING
from reports.stats.estimate import Bools
from reports.stats.quantiles import nearest_rank
from reports.stats.slices import slices

DEFAULT_LAG_BUDGET_MS = 250.0
"""Used when neither the gates nor the run state a budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """The `fidelity` object of verdict.json; None where a figure could not be measured.

    `continued`: workers were lost and the run was finished without them; the shares are then
    those of what the others were given. Of an aborted run they are those of what was asked.
    """

    finished: bool
    ended_by: str
    lag_p50_us: int | None
    lag_p99_us: int | None
    starved_p99_us: int | None
    lag_budget_us: int
    backlogged_share: float | None
    offered_over_target: float | None
    replayed_share: float | None
    skipped_share: float | None
    client_cpu_p95: float | None
    workers: int
    workers_lost: int
    continued: bool


def measure_fidelity(evidence: Evidence, ledger: Ledger) -> Fidelity:
    """Read the run's own quality from its samples, its ledger and its workers."""
    sent = evidence.lag_us != MISSING
    lag = evidence.lag_us[sent]
    workers = evidence.document.get("workers") or []
    cpus = [w["cpu_p95"] for w in workers if w.get("cpu_p95") is not None]
    starved = [w["starved_p99_us"] for w in workers if w.get("starved_p99_us") is not None]
    budget_us = round(evidence.dial("lag_budget_ms", DEFAULT_LAG_BUDGET_MS) * 1000)
    ended_by = str(evidence.document.get("ended_by") or "unknown")
    lost = sum(bool(w.get("lost")) for w in workers)
    continued = ended_by == "done" and lost > 0
    skipped = ledger.skipped.total()
    # What was not asked for a reason that the verdict names is no fault of the replay.
    early = continued or ended_by == "aborted"
    gone = ledger.unknown + ledger.cancelled if early else 0
    to_replay = ledger.planned - skipped - gone
    replayed = ledger.ok + ledger.error + ledger.timeout
    return Fidelity(
        finished=evidence.run.finished,
        ended_by=ended_by,
        lag_p50_us=_quantile(lag, 0.50),
        lag_p99_us=_quantile(lag, 0.99),
        starved_p99_us=max(starved, default=None),
        lag_budget_us=budget_us,
        backlogged_share=_share(evidence.backlog_us > budget_us, sent),
        offered_over_target=_offered(evidence, budget_us, early=early),
        replayed_share=replayed / to_replay if to_replay > 0 else None,
        skipped_share=skipped / ledger.planned if ledger.planned else None,
        # One worker at its limit is enough to distort the samples it took.
        client_cpu_p95=max(cpus) if len(cpus) == len(workers) and cpus else None,
        workers=len(workers),
        workers_lost=lost,
        continued=continued,
    )


def _share(chosen: Bools, among: Bools) -> float | None:
    n = int(among.sum())
    return int((chosen & among).sum()) / n if n else None


def _quantile(values: npt.NDArray[np.int64], p: float) -> int | None:
    rank = nearest_rank(len(values), p) - 1
    return int(np.partition(values, rank)[rank]) if len(values) else None


def _offered(evidence: Evidence, budget_us: int, *, early: bool) -> float | None:
    """Share of the statements the tool could send by the timetable's end that it had sent.

    A statement could be sent once it was due and its session ready; one lag budget is allowed
    after the last due time. What waits behind a slow answer is the target's doing and not counted.
    """
    apart = ("skipped", "unknown", "cancelled") if early else ("skipped",)
    planned = ~evidence.is_status(*apart) & (evidence.due_us != MISSING)
    if not planned.any():
        return None
    end = int(evidence.due_us.max(where=planned, initial=0))
    offerable = sent = 0
    for part in slices(len(evidence)):
        could = evidence.due_us[part] + evidence.backlog_us[part]
        lag = evidence.lag_us[part]
        inside = planned[part] & (could <= end)
        offerable += int(inside.sum())
        sent += int((inside & (lag != MISSING) & (could + lag <= end + budget_us)).sum())
    return sent / offerable if offerable else None
