"""Gates on answers that differ: a count of this run, or a share with its interval."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate
from reports.judge.result import GateResult, Outcome, capped, decide, result_of
from reports.metrics import Metric


def judge_answers(case: Case, gate: Gate) -> GateResult:
    """At most `max` answers, or a share of them, differ.

    Numbers of rows alone never pass, and those in 1.0's log do not fail either. Where more than
    `max_unevaluated_share` of the answers could not be compared the gate cannot pass.
    """
    found = case.correctness
    parts = {"unstable on 1.0": found.unstable, **found.skipped}
    left_out = ", ".join(f"{number:,} {reason}" for reason, number in parts.items() if number)
    if not found.compared:
        said = found.reason or f"no answer could be compared: {left_out or '2.0 gave none'}"
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=0)
    what = "numbers of rows" if found.checked == "rows" else "answers"
    reason = f"{found.different:,} of {found.compared:,} {what} differ"
    count = gate.metric is Metric.RESULTS_MISMATCHES
    if count:
        outcome = Outcome.PASS if found.different <= gate.limit else Outcome.FAIL
        reason += f", limit {fmt.count(gate.limit)}"
    else:
        outcome = decide(found.interval, most=gate.limit)
        bounds = fmt.interval(found.interval, "share")
        reason += f", {fmt.share(found.share)} {bounds}, limit {fmt.share(gate.limit)}"
    if found.templates:
        worst = found.templates[0]
        reason += f": most in template {worst.template_id}, as statement {worst.statement_ids[0]}"
    cap = None
    if outcome is Outcome.PASS and found.checked == "rows":
        cap = found.reason
    elif outcome is Outcome.PASS and found.open_share > gate.max_unevaluated_share:
        cap = f"{fmt.share(found.open_share)} could not be compared, at most "
        cap += f"{fmt.share(gate.max_unevaluated_share)} allowed: {left_out}"
    elif outcome is Outcome.FAIL and found.captured:
        cap = "1.0's log tells of its data at another time"
    result = result_of(
        gate, outcome, reason, n=found.compared,
        observed=found.different if count else found.share,
        interval=None if count else found.interval,
        confidence=None if count else case.decision.two_sided,
        method=f"{what} of the same statements; {'a count' if count else 'Clopper-Pearson'}",
        templates=tuple(t.template_id for t in found.templates),
    )  # fmt: skip
    return capped(result, cap) if cap else result
