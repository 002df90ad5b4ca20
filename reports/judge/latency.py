"""Gates on the response or service time of all statements, or of those in a scope."""

from __future__ import annotations

import math
from dataclasses import replace

from reports import format as fmt
from reports.arms import Arm
from reports.case import Case
from reports.compare import QUANTILES, compare_quantiles
from reports.gates import Gate
from reports.judge.result import GateResult, Outcome, capped, decide, result_of
from reports.metrics import Metric
from reports.scope import why_empty
from reports.stats.bootstrap import resample_quantile
from reports.stats.estimate import Estimate, Interval
from reports.stats.quantiles import (
    GATE_TAIL,
    PRINT_TAIL,
    estimate_quantile,
    needed_for_margin,
    samples_for,
)
from reports.stats.runs import widen

NO_DURATIONS = "1.0 left no durations to compare with"

_UNCONTROLLED = (
    "1.0's timings come from production, under another load and on other hardware: "
    'give a baseline run, or say `captured = "allow"` in the gate'
)


def floor_of(gate: Gate) -> int:
    """Samples the gate asks for: its `min_samples`, else 100 beyond the quantile.

    Never below what printing the quantile needs.
    """
    p = QUANTILES[gate.stat or "p50"]
    return max(gate.min_samples or samples_for(p, GATE_TAIL), samples_for(p, PRINT_TAIL))


def cap_captured(case: Case, gate: Gate, result: GateResult) -> GateResult:
    """Against production timings nothing passes or fails unless the gate allows it."""
    decided = result.verdict in (Outcome.PASS, Outcome.FAIL)
    if not case.arms.captured or gate.captured == "allow" or not decided:
        return result
    return capped(result, _UNCONTROLLED)


def judge_latency(case: Case, gate: Gate) -> GateResult:
    """A gate with `max` (absolute) or `max_ratio` (against the baseline), in its scope."""
    stat, floor = gate.stat or "p50", floor_of(gate)
    gone = [why for side in case.sides if (why := why_empty(side.evidence, gate.where))]
    if gone:
        return result_of(gate, Outcome.INCONCLUSIVE, f"{stat}: {gone[0]}", n=0, floor=floor)
    arms, ratio = case.arms, case.overall[stat].ratio
    service = gate.metric is Metric.LATENCY_SERVICE
    if service or gate.where:
        arms = case.build_arms(service=service, where=gate.where)
        chosen = {stat: QUANTILES[stat]}
        lines = compare_quantiles(arms.baseline, arms.candidate, case.resampler, chosen)
        ratio = lines[stat].ratio
    n = ratio.n if gate.relative else len(arms.candidate_all)
    if n < floor:
        said = f"{stat}: {fmt.plural(n, 'sample')}, needs {floor:,}"
        if gate.relative and len(arms.candidate_all) and not len(arms.baseline):
            said = f"{stat}: {NO_DURATIONS}"
        result = result_of(gate, Outcome.INCONCLUSIVE, said, n=n, needed_n=floor)
        if gate.relative:
            result = replace(result, observed=ratio.value, interval=ratio.interval)
    elif gate.relative:
        result = _judge_ratio(case, gate, ratio)
    else:
        result = _judge_absolute(case, gate, arms.candidate_all)
    about = f"{'service time' if service else 'response time'} of {len(arms.candidate_all):,}"
    return replace(
        result,
        floor=floor,
        confidence=case.decision.two_sided,
        method=f"{about} statements; {_paired(case) if gate.relative else _ABSOLUTE}",
    )


_ABSOLUTE = "the wider of order statistics and a bootstrap over time blocks"


def _paired(case: Case) -> str:
    return (
        f"paired bootstrap over {case.arms.blocks.number} time blocks, "
        f"{case.decision.resamples:,} resamples"
    )


def _judge_absolute(case: Case, gate: Gate, arm: Arm) -> GateResult:
    """Is the quantile at most `max`? By the wider of the exact and the block bootstrap interval."""
    p, confidence = QUANTILES[gate.stat or "p50"], case.decision.two_sided
    estimate = estimate_quantile(arm.ordered_us, p, confidence=confidence)
    drawn = resample_quantile(arm.counts, p, weights=case.resampler.weights, confidence=confidence)
    drawn = widen(drawn, arm.logs_by_run(p), confidence=confidence)
    bounds = _hull(estimate.interval, drawn.interval)
    outcome, value = decide(bounds, most=gate.limit), estimate.value or 0.0
    reason = (
        f"{gate.stat} is {fmt.duration(value)} {fmt.interval(bounds, 'us')}, "
        f"limit {fmt.duration(gate.limit)} (n={len(arm):,})"
    )
    return result_of(
        gate, outcome, reason, n=len(arm), observed=value, interval=bounds,
        needed_n=_needed(gate, outcome, len(arm), value, bounds),
    )  # fmt: skip


def _judge_ratio(case: Case, gate: Gate, ratio: Estimate) -> GateResult:
    n, value, bounds = ratio.n, ratio.value or 1.0, ratio.interval
    outcome = decide(bounds, most=gate.limit)
    reason = (
        f"{gate.stat} is {fmt.in_words(value)} {'as on' if fmt.is_same(value) else 'than'} 1.0, "
        f"ratio {value:.2f} {fmt.interval(bounds) or '(no interval)'}, limit {gate.limit:.2f} "
        f"(n={n:,})"
    )
    if bounds is None:
        reason += f"; {'; '.join(ratio.warnings)}"
    needed = _needed(gate, outcome, n, value, bounds)
    if needed:
        reason += f"; about {needed:,} statements would decide it"
        if any(side.parts for side in case.sides):
            fewest = min(len(side.runs) for side in case.sides)
            reason += f", in {math.ceil(fewest * needed / n)} runs a side"
    noise = next((entry["ratio"] for entry in case.noise if entry["stat"] == gate.stat), 1.0)
    if noise > max(gate.limit, 1 / gate.limit):
        reason += "; its margin is finer than what two replays of one system differ by, "
        reason += f"{fmt.ratio(noise)}: luck takes part"
    result = result_of(gate, outcome, reason, n=n, observed=value, interval=bounds, needed_n=needed)
    return cap_captured(case, gate, result)


def _hull(exact: Interval | None, drawn: tuple[float, float] | None) -> Interval | None:
    if exact is None or drawn is None:
        return exact
    low, high = exact
    return (
        None if low is None else min(low, drawn[0]),
        None if high is None else max(high, drawn[1]),
    )


def _needed(
    gate: Gate, outcome: Outcome, n: int, value: float, interval: Interval | None
) -> int | None:
    low, high = interval or (None, None)
    if outcome is not Outcome.INCONCLUSIVE or low is None or high is None:
        return None
    return needed_for_margin(n=n, ratio=value, interval=(low, high), margin=gate.limit)
