"""Puts every gate to the case, validity first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate, Gates
from reports.judge.answers import judge_answers
from reports.judge.drift import judge_drift
from reports.judge.errors import judge_errors
from reports.judge.family import judge_templates
from reports.judge.ingest import judge_load_errors, judge_load_time
from reports.judge.latency import judge_latency
from reports.judge.result import GateResult, Outcome, result_of
from reports.judge.throughput import judge_throughput
from reports.judge.validity import judge_validity
from reports.metrics import METRICS, Metric
from reports.scope import in_words


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
            result = JUDGES[gate.metric](case, gate)
        if gate.where and result.n:
            said = f"{in_words(gate.where)}: {result.reason}"
            result = dataclasses.replace(result, reason=said)
        if broken and METRICS[gate.metric].timing:
            why, would = f"not judged, the run is not valid: {broken[0].reason}", result.verdict
            result = dataclasses.replace(result, verdict=Outcome.INVALID, reason=why, would=would)
        whole = [w for w in waivers if w.template is None or not gate.for_each]
        if whole:
            said = f"{whole[0].reason} (until {whole[0].until})"
            result = dataclasses.replace(result, waived=said)
        results.append(result)
    return tuple(results)


def _judge_cost(case: Case, gate: Gate) -> GateResult:
    """The cost of 2.0 a month, absolute or against 1.0; it carries no interval."""
    cost = case.cost
    one, two = cost.monthly("baseline"), cost.monthly("candidate")
    observed, unit, against = two, "usd", ""
    if gate.relative:
        observed, unit = cost.ratio, "ratio"
        against = f" against {fmt.money(one)} on 1.0, {fmt.ratio(cost.ratio)}"
    if observed is None:
        return result_of(gate, Outcome.INCONCLUSIVE, f"cost a month: {cost.reason}", n=0)
    outcome = Outcome.PASS if observed <= gate.limit else Outcome.FAIL
    reason = f"2.0 costs {fmt.money(two)} a month{against}, limit {fmt.amount(gate.limit, unit)}"
    reason = "; ".join((reason, *cost.warnings))
    return result_of(gate, outcome, reason, n=0, observed=observed, method="prices and volume")


JUDGES: dict[Metric, Callable[[Case, Gate], GateResult]] = {
    Metric.LATENCY_RESPONSE: judge_latency,
    Metric.LATENCY_SERVICE: judge_latency,
    Metric.THROUGHPUT: judge_throughput,
    Metric.ERRORS_NEW: judge_errors,
    Metric.ERRORS_NEW_SHARE: judge_errors,
    Metric.ERRORS_ALL: judge_errors,
    Metric.ERRORS_ALL_SHARE: judge_errors,
    Metric.INGEST_LATENCY: judge_load_time,
    Metric.INGEST_ERRORS: judge_load_errors,
    Metric.RESULTS_MISMATCHES: judge_answers,
    Metric.RESULTS_MISMATCH_SHARE: judge_answers,
    Metric.COST_MONTHLY: _judge_cost,
    Metric.DRIFT_RESPONSE: judge_drift,
    Metric.DRIFT_STEP: judge_drift,
}
"""Who judges each of `METRICS`."""
