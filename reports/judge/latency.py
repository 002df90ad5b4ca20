"""Gates on the response time of all statements."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.compare import QUANTILES
from reports.gates import Gate
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.stats.bootstrap import resample_quantile
from reports.stats.estimate import Interval
from reports.stats.quantiles import (
    GATE_TAIL,
    PRINT_TAIL,
    estimate_quantile,
    needed_for_margin,
    samples_for,
)

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


def cap_captured(case: Case, gate: Gate, outcome: Outcome, reason: str) -> tuple[Outcome, str]:
    """Against production timings nothing passes or fails unless the gate allows it."""
    decided = outcome in (Outcome.PASS, Outcome.FAIL)
    if not case.arms.captured or gate.captured == "allow" or not decided:
        return outcome, reason
    return Outcome.INCONCLUSIVE, f"{reason}; would {outcome}, but {_UNCONTROLLED}"


def judge_latency(case: Case, gate: Gate) -> GateResult:
    """A gate with `max` (absolute) or `max_ratio` (against the baseline)."""
    stat, floor = gate.stat or "p50", floor_of(gate)
    ratio = case.overall[stat].ratio
    n = ratio.n if gate.max is None else len(case.arms.candidate_all)
    if n >= floor:
        return (_judge_ratio if gate.max is None else _judge_absolute)(case, gate, stat)
    said = f"{stat}: {fmt.plural(n, 'sample')}, needs {floor:,}"
    if gate.max is None and not len(case.arms.baseline):
        said = f"{stat}: {NO_DURATIONS}"
    seen = {} if gate.max else {"observed": ratio.value, "interval": ratio.interval}
    return result_of(gate, Outcome.INCONCLUSIVE, said, n=n, needed_n=floor, **seen)


def _judge_absolute(case: Case, gate: Gate, stat: str) -> GateResult:
    """Is the quantile at most `max`? By the wider of the exact and the block bootstrap interval."""
    p, arm, confidence = QUANTILES[stat], case.arms.candidate_all, case.decision.two_sided
    estimate = estimate_quantile(arm.ordered_us, p, confidence=confidence)
    drawn = resample_quantile(arm.counts, p, weights=case.resampler.weights, confidence=confidence)
    bounds = _hull(estimate.interval, drawn)
    outcome, value = decide(bounds, most=gate.limit), estimate.value or 0.0
    reason = (
        f"{stat} is {fmt.duration(value)} {fmt.interval(bounds, 'us')}, "
        f"limit {fmt.duration(gate.limit)} (n={len(arm):,})"
    )
    return result_of(
        gate, outcome, reason, n=len(arm), observed=value, interval=bounds,
        needed_n=_needed(gate, outcome, len(arm), value, bounds),
    )  # fmt: skip


def _judge_ratio(case: Case, gate: Gate, stat: str) -> GateResult:
    ratio = case.overall[stat].ratio
    n, value, bounds = ratio.n, ratio.value or 1.0, ratio.interval
    outcome = decide(bounds, most=gate.limit)
    reason = (
        f"{stat} is {fmt.in_words(value)} {'as on' if fmt.is_same(value) else 'than'} 1.0, "
        f"ratio {value:.2f} {fmt.interval(bounds) or '(no interval)'}, limit {gate.limit:.2f} "
        f"(n={n:,})"
    )
    if bounds is None:
        reason += f"; {'; '.join(ratio.warnings)}"
    needed = _needed(gate, outcome, n, value, bounds)
    if needed:
        reason += f"; about {needed:,} statements would decide it"
    outcome, reason = cap_captured(case, gate, outcome, reason)
    return result_of(gate, outcome, reason, n=n, observed=value, interval=bounds, needed_n=needed)


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
