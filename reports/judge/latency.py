"""Gates on a latency over all statements, or over those a `where` chooses."""

from __future__ import annotations

import dataclasses

import numpy as np

from reports import format as fmt
from reports.arms import Arm, Arms
from reports.case import Case
from reports.compare import QUANTILES, Line, compare_quantiles
from reports.gates import Gate
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.stats.bootstrap import resample_quantile
from reports.stats.estimate import Interval
from reports.stats.needed import GATE_TAIL, PRINT_TAIL, needed_for_margin, samples_for
from reports.stats.quantiles import estimate_quantile

UNCONTROLLED = (
    "1.0's timings come from production, under another load and on other hardware: "
    'give a baseline run, or say `captured = "allow"` in the gate'
)


def floor_of(gate: Gate) -> int:
    """Samples the gate asks for: its `min_samples`, else 100 beyond the quantile.

    Never below what printing the quantile needs.
    """
    p = QUANTILES[gate.stat or "p50"]
    asked = gate.min_samples or samples_for(p, GATE_TAIL)
    return max(asked, samples_for(p, PRINT_TAIL))


def measure_of(gate: Gate) -> str:
    """The column a latency gate looks at: response, service or first_row."""
    return gate.metric.value.removeprefix("latency.")


def judge_latency(case: Case, gate: Gate) -> GateResult:
    """A gate with `max` (absolute) or `max_ratio` (against the baseline)."""
    arms = _chosen(case, gate)
    return _judge_absolute(case, gate, arms) if gate.max is not None else _judge_ratio(
        case, gate, arms
    )  # fmt: skip


def cap_captured(
    gate: Gate, outcome: Outcome, reason: str, *, captured: bool
) -> tuple[Outcome, str]:
    """Against production timings nothing passes or fails unless the gate allows it."""
    decided = outcome in (Outcome.PASS, Outcome.FAIL)
    if not captured or gate.captured == "allow" or not decided:
        return outcome, reason
    return Outcome.INCONCLUSIVE, f"{reason}; would {outcome}, but {UNCONTROLLED}"


def _chosen(case: Case, gate: Gate) -> Arms:
    arms = case.arms(measure_of(gate))
    if not gate.where:
        return arms
    wanted = np.array(
        [
            template.kind == gate.where.get("kind", template.kind)
            and template.template_id == gate.where.get("template", template.template_id)
            for template in case.candidate.templates
        ],
        dtype=bool,
    )

    def only(arm: Arm) -> Arm:
        # Templates only the baseline answered lie beyond the candidate's list.
        known = arm.template < len(wanted)
        return arm.only(known & wanted[np.where(known, arm.template, 0)])

    return dataclasses.replace(
        arms,
        baseline=None if arms.baseline is None else only(arms.baseline),
        candidate=only(arms.candidate),
        candidate_all=only(arms.candidate_all),
    )


def _judge_absolute(case: Case, gate: Gate, arms: Arms) -> GateResult:
    """Is the quantile at most `max`? By the wider of the exact and the block bootstrap interval."""
    stat, limit = gate.stat or "p50", gate.max or 0.0
    p, arm, floor = QUANTILES[stat], arms.candidate_all, floor_of(gate)
    estimate = estimate_quantile(arm.ordered_us, p, confidence=case.decision.two_sided)
    if len(arm) < floor or estimate.value is None:
        return _too_few(gate, len(arm), floor, unit="us", limit=limit)
    drawn = resample_quantile(
        arm.counts,
        p,
        weights=case.resampler.weights,
        confidence=case.decision.two_sided,
    )
    bounds = _hull(estimate.interval, drawn)
    outcome = decide(bounds, most=limit)
    low, high = (fmt.duration(end) if end is not None else "…" for end in bounds or (None, None))
    reason = (
        f"{stat} is {fmt.duration(estimate.value)} [{low}, {high}], "
        f"limit {fmt.duration(limit)} (n={len(arm):,})"
    )
    return result_of(
        gate, outcome, reason,
        unit="us", limit=limit, n=len(arm), observed=estimate.value, interval=bounds,
        needed_n=_needed(outcome, len(arm), estimate.value, bounds, limit),
        warnings=estimate.warnings,
    )  # fmt: skip


def _judge_ratio(case: Case, gate: Gate, arms: Arms) -> GateResult:
    stat, limit = gate.stat or "p50", gate.max_ratio or 1.0
    floor = floor_of(gate)
    if arms.baseline is None or len(arms.baseline) == 0:
        said = f"{stat}: 1.0 left no durations to compare with"
        return result_of(
            gate, Outcome.INCONCLUSIVE, said, unit="ratio", limit=limit, n=0, needed_n=floor
        )
    line = _line(case, gate, arms)
    n, value = line.ratio.n, line.ratio.value
    if n < floor or value is None:
        return _too_few(gate, n, floor, unit="ratio", limit=limit)
    outcome = decide(line.ratio.interval, most=limit)
    reason = (
        f"{stat} is {fmt.in_words(value)} than 1.0, ratio {value:.2f} "
        f"{fmt.interval(line.ratio.interval) or '(no interval)'}, limit {limit:.2f} (n={n:,})"
    ).replace("same than", "the same as on")
    if line.ratio.interval is None:
        reason += f"; {'; '.join(line.ratio.warnings)}"
    needed = _needed(outcome, n, value, line.ratio.interval, limit)
    if needed:
        reason += f"; about {needed:,} statements would decide it"
    outcome, reason = cap_captured(gate, outcome, reason, captured=arms.captured)
    return result_of(
        gate, outcome, reason,
        unit="ratio", limit=limit, n=n, observed=value, interval=line.ratio.interval,
        needed_n=needed, warnings=line.ratio.warnings,
    )  # fmt: skip


def _line(case: Case, gate: Gate, arms: Arms) -> Line:
    """The headline's own line where the gate looks at the same samples."""
    stat = gate.stat or "p50"
    if measure_of(gate) == "response" and not gate.where:
        return next(line for line in case.overall if line.stat == stat)
    return compare_quantiles(arms, case.resampler, {stat: QUANTILES[stat]})[stat]


def _too_few(gate: Gate, n: int, floor: int, *, unit: str, limit: float) -> GateResult:
    reason = f"{gate.stat}: {fmt.plural(n, 'sample')}, needs {floor:,}"
    return result_of(
        gate, Outcome.INCONCLUSIVE, reason, unit=unit, limit=limit, n=n, needed_n=floor
    )


def _hull(exact: Interval | None, drawn: tuple[float, float] | None) -> Interval | None:
    if exact is None or drawn is None:
        return exact
    low, high = exact
    return (
        None if low is None else min(low, drawn[0]),
        None if high is None else max(high, drawn[1]),
    )


def _needed(
    outcome: Outcome, n: int, value: float, interval: Interval | None, limit: float
) -> int | None:
    if outcome is not Outcome.INCONCLUSIVE or interval is None:
        return None
    low, high = interval
    if low is None or high is None:
        return None
    return needed_for_margin(n=n, ratio=value, interval=(low, high), margin=limit)
