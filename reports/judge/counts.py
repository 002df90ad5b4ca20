"""Gates on counts, shares, cost and throughput."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate, Metric
from reports.judge.latency import cap_captured
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.stats.interval import share_interval


def judge_new_errors(case: Case, gate: Gate) -> GateResult:
    """Statements that 1.0 answered and 2.0 did not, as a count."""
    errors, limit = case.errors, gate.max or 0.0
    said = (
        f"{fmt.count(errors.new)} of {fmt.plural(errors.answerable, 'statement')} that 1.0 "
        f"answered failed on 2.0, limit {fmt.count(limit)}"
    )
    if errors.answerable == 0:
        outcome, reason = Outcome.INCONCLUSIVE, "2.0 was not asked anything 1.0 had answered"
    elif errors.new > limit:
        outcome, reason = Outcome.FAIL, said + _worst_templates(case)
    else:
        outcome, reason = Outcome.PASS, said
    if not errors.known:
        reason += "; 1.0's own errors are not known, the workload is gone"
    return result_of(
        gate, outcome, reason,
        unit="count", limit=limit, n=errors.answerable, observed=errors.new,
    )  # fmt: skip


def judge_new_error_share(case: Case, gate: Gate) -> GateResult:
    """The share of new errors with its exact interval."""
    errors, limit = case.errors, gate.max or 0.0
    n = errors.answerable
    bounds = share_interval(errors.new, n, confidence=case.decision.two_sided) if n else None
    outcome = decide(bounds, most=limit)
    observed = errors.new / n if n else None
    ends = " to ".join(fmt.share(end) for end in bounds) if bounds else "no data"
    reason = f"{fmt.share(observed)} ({ends}) failed on 2.0 only, limit {fmt.share(limit)}"
    return result_of(
        gate, outcome, f"{reason} (n={n:,})",
        unit="share", limit=limit, n=n, observed=observed, interval=bounds,
    )  # fmt: skip


def judge_unknown(case: Case, gate: Gate) -> GateResult:
    """Planned statements that left no trace."""
    ledger, limit = case.ledger, gate.max or 0.0
    reason = (
        f"{fmt.count(ledger.unknown)} of {fmt.plural(ledger.planned, 'planned statement')} "
        f"left no trace, limit {fmt.count(limit)}"
    )
    outcome = Outcome.INCONCLUSIVE if ledger.planned == 0 else (
        Outcome.PASS if ledger.unknown <= limit else Outcome.FAIL
    )  # fmt: skip
    return result_of(
        gate, outcome, reason,
        unit="count", limit=limit, n=ledger.planned, observed=ledger.unknown,
    )  # fmt: skip


def judge_cost(case: Case, gate: Gate) -> GateResult:
    """List-price cost of 2.0, absolute or against 1.0; it carries no interval."""
    cost = case.cost
    monthly = gate.metric is Metric.COST_MONTHLY
    one = cost.baseline_monthly if monthly else cost.baseline_per_1000
    two = cost.candidate_monthly if monthly else cost.candidate_per_1000
    what = "a month" if monthly else "per 1,000 statements"
    by_ratio = gate.max_ratio is not None
    limit = gate.max_ratio if by_ratio else gate.max
    assert limit is not None
    observed = two if not by_ratio else (two / one if two is not None and one else None)
    unit = "ratio" if by_ratio else "usd"
    if observed is None:
        reason = f"cost {what}: {cost.reason or 'the captured rate is not known'}"
        return result_of(gate, Outcome.INCONCLUSIVE, reason, unit=unit, limit=limit, n=0)
    outcome = Outcome.PASS if observed <= limit else Outcome.FAIL
    show = fmt.ratio if by_ratio else fmt.money
    against = f" against {fmt.money(one)} on 1.0, {fmt.ratio(observed)}" if by_ratio else ""
    reason = f"2.0 costs {fmt.money(two)} {what}{against}, limit {show(limit)}"
    if cost.warnings:
        reason += f"; {'; '.join(cost.warnings)}"
    return result_of(
        gate, outcome, reason,
        unit=unit, limit=limit, n=0, observed=observed, warnings=cost.warnings,
    )  # fmt: skip


def judge_throughput(case: Case, gate: Gate) -> GateResult:
    """Answers per second: at least `min`, or at least `min_ratio` of the baseline's."""
    line = case.throughput
    by_ratio = gate.min_ratio is not None
    limit = gate.min_ratio if by_ratio else gate.min
    assert limit is not None
    unit = "ratio" if by_ratio else "per_s"
    estimate = line.ratio if by_ratio else line.candidate
    value, bounds = estimate.value, estimate.interval
    if value is None or (by_ratio and bounds is None):
        reason = "throughput: not enough answers or time blocks to compare"
        return result_of(gate, Outcome.INCONCLUSIVE, reason, unit=unit, limit=limit, n=estimate.n)
    if by_ratio and bounds is not None and bounds[0] is not None and bounds[1] is not None:
        # "At least" is "at most" seen from below.
        outcome = decide((-bounds[1], -bounds[0]), most=-limit)
    else:
        outcome = Outcome.PASS if value >= limit else Outcome.FAIL
    show = fmt.ratio if by_ratio else fmt.rate
    reason = f"2.0 answered {fmt.rate(line.candidate.value)}"
    if by_ratio:
        reason += f", {fmt.ratio(value)} {fmt.interval(bounds)} of 1.0"
    reason += f", must be at least {show(limit)}"
    captured = by_ratio and case.baseline is None
    outcome, reason = cap_captured(gate, outcome, reason, captured=captured)
    return result_of(
        gate, outcome, reason,
        unit=unit, limit=limit, n=estimate.n, observed=value, interval=bounds,
    )  # fmt: skip


def _worst_templates(case: Case) -> str:
    new = [group.template_id for group in case.errors.groups if group.divergence == "new"]
    distinct = list(dict.fromkeys(new))
    shown = ", ".join(distinct[:3])
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return f" (templates {shown}{more})" if len(distinct) > 1 else f" (template {shown})"
