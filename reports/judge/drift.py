"""Gates on a long run: how much slower it gets over its length, how high its highest step is."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.metrics import Metric


def judge_drift(case: Case, gate: Gate) -> GateResult:
    """The drift of `stat` over the run by its interval, or its highest step as it was found."""
    found = case.drift or {"reason": "not a long run: replay with `fourstep soak`", "windows": 0}
    n, series = found["windows"], found.get("series", {}).get(gate.stat)
    if series is None:
        said = found["reason"] or "too few windows hold enough samples"
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=n)
    limit, over = f"limit {fmt.share(gate.limit)}", f"over {fmt.duration(series['length_us'])}"
    if gate.metric is Metric.DRIFT_STEP:
        steps = [step["change"] for step in series["steps"]]
        highest = max(steps, default=0.0)
        said = f"{fmt.plural(len(steps), 'step')} of {gate.stat} {over}, {limit}"
        if highest > 0:
            said = f"a step of {gate.stat} by {fmt.change(highest)}, {limit}"
        outcome = Outcome.PASS if max(highest, 0) <= gate.limit else Outcome.FAIL
        return result_of(
            gate, outcome, said, n=n, observed=highest,
            method=f"energy distance over {n} windows, then a line with steps; no interval",
        )  # fmt: skip
    bounds = series["interval"]
    said = f"{gate.stat} {series['word']}: {fmt.change(series['drift'])} {over} "
    said += f"{fmt.interval(bounds, 'change') or '(no interval)'}, {limit} ({n} windows)"
    return result_of(
        gate, decide(bounds, most=gate.limit), said, n=n, observed=series["drift"],
        interval=bounds, confidence=case.decision.two_sided,
        method=f"Theil-Sen slope of latencies adjusted for the mix, {n} windows, between steps",
    )  # fmt: skip
