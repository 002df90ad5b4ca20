"""Puts every gate to the case, validity first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reports.case import Case
from reports.gates import Gate, Gates, Metric
from reports.judge.counts import (
    judge_cost,
    judge_new_error_share,
    judge_new_errors,
    judge_throughput,
    judge_unknown,
)
from reports.judge.family import judge_templates
from reports.judge.latency import judge_latency
from reports.judge.result import GateResult, Outcome
from reports.judge.validity import judge_validity

_JUDGES: dict[Metric, Callable[[Case, Gate], GateResult]] = {
    Metric.LATENCY_RESPONSE: judge_latency,
    Metric.LATENCY_SERVICE: judge_latency,
    Metric.LATENCY_FIRST_ROW: judge_latency,
    Metric.THROUGHPUT: judge_throughput,
    Metric.ERRORS_NEW: judge_new_errors,
    Metric.ERRORS_NEW_SHARE: judge_new_error_share,
    Metric.LEDGER_UNKNOWN: judge_unknown,
    Metric.COST_MONTHLY: judge_cost,
    Metric.COST_PER_1000: judge_cost,
}


def judge(case: Case, gates: Gates) -> tuple[GateResult, ...]:
    """Results in the order of the file, after those of validity.

    On a run that breaks a validity check every timing gate is invalid: it can neither pass nor
    fail. Errors, the ledger and cost still count.
    """
    validity = judge_validity(case, gates)
    broken = [result for result in validity if result.verdict is Outcome.INVALID]
    results = list(validity)
    for gate in gates.gates:
        waivers = [waiver for waiver in gates.waivers if waiver.gate == gate.id]
        if gate.for_each is not None:
            result = judge_templates(case, gate, waivers)
        else:
            result = _JUDGES[gate.metric](case, gate)
        if broken and gate.metric.timing:
            why = f"not judged, the run is not valid: {broken[0].reason}"
            result = dataclasses.replace(result, verdict=Outcome.INVALID, reason=why)
        whole = [w for w in waivers if w.template is None or gate.for_each is None]
        if whole:
            said = f"{whole[0].reason} (until {whole[0].until})"
            result = dataclasses.replace(result, waived=said)
        results.append(result)
    return tuple(results)
