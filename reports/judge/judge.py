"""Puts every gate to the case, validity first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate, Gates, Metric
from reports.judge.answers import judge_answers
from reports.judge.family import judge_templates
from reports.judge.latency import judge_latency
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.judge.validity import judge_validity
from reports.stats.quantiles import share_interval


def judge(case: Case, gates: Gates) -> tuple[GateResult, ...]:
    """Results in the order of the file, after those of validity.

    On a run that breaks a validity check every timing gate is invalid: it can neither pass nor
    fail. Errors, answers, the ledger and cost still count.
    """
    results = judge_validity(case, gates)
    broken = [result for result in results if result.verdict is Outcome.INVALID]
    for gate in gates.gates:
        waivers = [waiver for waiver in gates.waivers if waiver.gate == gate.id]
        if gate.for_each:
            result = judge_templates(case, gate, waivers)
        else:
            result = _JUDGES[gate.metric](case, gate)
        if broken and gate.metric is Metric.LATENCY_RESPONSE:
            why = f"not judged, the run is not valid: {broken[0].reason}"
            result = dataclasses.replace(result, verdict=Outcome.INVALID, reason=why)
        whole = [w for w in waivers if w.template is None or not gate.for_each]
        if whole:
            said = f"{whole[0].reason} (until {whole[0].until})"
            result = dataclasses.replace(result, waived=said)
        results.append(result)
    return tuple(results)


def _judge_new_errors(case: Case, gate: Gate) -> GateResult:
    """Statements that 1.0 answered and 2.0 did not, as a count of this run."""
    errors = case.errors
    outcome = Outcome.FAIL if errors.new > gate.limit else Outcome.PASS
    reason = (
        f"{fmt.count(errors.new)} of {fmt.plural(errors.answerable, 'statement')} that 1.0 "
        f"answered failed on 2.0, limit {fmt.count(gate.limit)}"
    )
    if errors.answerable == 0:
        outcome, reason = Outcome.INCONCLUSIVE, "2.0 was not asked anything 1.0 had answered"
    elif outcome is Outcome.FAIL:
        reason += f": {errors.causes}{_failing_templates(case)}"
    if not errors.baseline_known:
        reason += "; 1.0's own errors are not known, the workload is gone"
    return result_of(gate, outcome, reason, n=errors.answerable, observed=errors.new)


def _judge_new_error_share(case: Case, gate: Gate) -> GateResult:
    """The share of new errors with its exact interval."""
    k, n = case.errors.new, case.errors.answerable
    bounds = share_interval(k, n, confidence=case.decision.two_sided) if n else None
    observed = k / n if n else None
    reason = (
        f"{fmt.share(observed)} {fmt.interval(bounds, 'share') or '(no data)'} failed on 2.0 only, "
        f"limit {fmt.share(gate.limit)} (n={n:,})"
    )
    outcome = decide(bounds, most=gate.limit)
    return result_of(gate, outcome, reason, n=n, observed=observed, interval=bounds)


def _judge_cost(case: Case, gate: Gate) -> GateResult:
    """The cost of 2.0 a month, absolute or against 1.0; it carries no interval."""
    cost = case.cost
    one, two = cost.monthly("baseline"), cost.monthly("candidate")
    observed, unit, against = (two, "usd", "") if gate.max is not None else (
        cost.ratio, "ratio", f" against {fmt.money(one)} on 1.0, {fmt.ratio(cost.ratio)}"
    )  # fmt: skip
    if observed is None:
        return result_of(gate, Outcome.INCONCLUSIVE, f"cost a month: {cost.reason}", n=0)
    outcome = Outcome.PASS if observed <= gate.limit else Outcome.FAIL
    reason = f"2.0 costs {fmt.money(two)} a month{against}, limit {fmt.amount(gate.limit, unit)}"
    reason = "; ".join((reason, *cost.warnings))
    return result_of(gate, outcome, reason, n=0, observed=observed)


def _failing_templates(case: Case) -> str:
    new = [group.template_id for group in case.errors.groups if group.divergence == "new"]
    distinct = list(dict.fromkeys(new))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return f" ({'template' if len(distinct) == 1 else 'templates'} {', '.join(distinct[:3])}{more})"


_JUDGES: dict[Metric, Callable[[Case, Gate], GateResult]] = {
    Metric.LATENCY_RESPONSE: judge_latency,
    Metric.ERRORS_NEW: _judge_new_errors,
    Metric.ERRORS_NEW_SHARE: _judge_new_error_share,
    Metric.RESULTS_MISMATCHES: judge_answers,
    Metric.RESULTS_MISMATCH_SHARE: judge_answers,
    Metric.COST_MONTHLY: _judge_cost,
}
