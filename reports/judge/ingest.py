"""Gates on the background writer: how late its loads were, how many failed."""

from __future__ import annotations

from typing import Any

from reports import format as fmt
from reports.case import Case
from reports.compare import QUANTILES
from reports.gates import Gate
from reports.ingest import load_times
from reports.judge.latency import floor_of
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.stats.quantiles import estimate_quantile


def judge_load_time(case: Case, gate: Gate) -> GateResult:
    """A quantile of the loads' response times by its interval, or the longest as it was."""
    times = load_times(*(run.run for run in case.candidate.evidence.runs))
    n, longest = len(times), gate.stat == "max"
    floor = max(gate.min_samples, 1) if longest else floor_of(gate)
    gone = _why_unknown(case.ingest)
    if gone or n < floor:
        said = gone or f"{gate.stat}: {fmt.plural(n, 'load')}, needs {floor:,}"
        needed = None if gone else floor
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=n, floor=floor, needed_n=needed)
    if longest:
        value, bounds = float(times[-1]), None
        outcome = Outcome.PASS if value <= gate.limit else Outcome.FAIL
    else:
        confidence = case.decision.two_sided
        estimate = estimate_quantile(times, QUANTILES[gate.stat or "p50"], confidence=confidence)
        value, bounds = estimate.value or 0.0, estimate.interval
        outcome = decide(bounds, most=gate.limit)
    reason = (
        f"{gate.stat} of loads is {fmt.duration(value)} {fmt.interval(bounds, 'us')}".rstrip()
        + f", limit {fmt.duration(gate.limit)} (n={n:,})"
    )
    return result_of(
        gate, outcome, reason, n=n, observed=value, interval=bounds, floor=floor,
        confidence=None if longest else case.decision.two_sided,
        method="the longest of this run, without an interval" if longest else "order statistics",
    )  # fmt: skip


def judge_load_errors(case: Case, gate: Gate) -> GateResult:
    """Loads that 2.0 refused, as a count of this run."""
    figures = case.ingest
    n, failed = (figures["ok"] + figures["error"], figures["error"]) if figures else (0, 0)
    gone = _why_unknown(figures)
    if figures is None or n == 0 or (gone and failed <= gate.limit):
        return result_of(gate, Outcome.INCONCLUSIVE, gone or "no load ended", n=n)
    reason = f"{failed:,} of {fmt.plural(n, 'load')} failed, limit {fmt.count(gate.limit)}"
    if failed:
        causes = sorted(figures["errors"].items(), key=lambda each: -each[1])[:3]
        reason += f": {', '.join(f'{number:,} × SQLSTATE {state}' for state, number in causes)}"
    return result_of(
        gate, Outcome.FAIL if failed > gate.limit else Outcome.PASS, reason, n=n, observed=failed,
        method="a count of this run, which has no interval",
    )  # fmt: skip


def _why_unknown(figures: dict[str, Any] | None) -> str | None:
    if figures is None:
        return "nothing was written during the run: replay with --ingest FILE"
    if figures["failure"]:
        return f"the background writer failed: {figures['failure']}"
    return None
