"""Gates on answers that differ: a count of this run, or a share with its interval."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate, Metric
from reports.judge.result import GateResult, Outcome, decide, result_of

_OTHER_DATA = "1.0's log tells of its data at another time"


def judge_answers(case: Case, gate: Gate) -> GateResult:
    """At most `max` answers, or a share of them, differ.

    Numbers of rows alone never pass, and those in 1.0's log do not fail either. Where more than
    `max_unevaluated_share` of the answers could not be compared the gate cannot pass.
    """
    found = case.correctness
    if not found.compared:
        said = found.reason or f"no answer could be compared{_left_out(case)}"
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=0)
    count = gate.metric is Metric.RESULTS_MISMATCHES
    what = "numbers of rows" if found.checked == "rows" else "answers"
    reason = f"{found.different:,} of {found.compared:,} {what} differ"
    if count:
        outcome = Outcome.PASS if found.different <= gate.limit else Outcome.FAIL
        reason += f", limit {fmt.count(gate.limit)}"
    else:
        outcome = decide(found.interval, most=gate.limit)
        reason += (
            f", {fmt.share(found.share)} {fmt.interval(found.interval, 'share')}, "
            f"limit {fmt.share(gate.limit)}"
        )
    if found.templates:
        worst = found.templates[0]
        reason += (
            f": most in template {worst.template_id}, such as statement {worst.statement_ids[0]}"
        )
    cap = None
    if outcome is Outcome.PASS and found.open_share > gate.max_unevaluated_share:
        allowed = fmt.share(gate.max_unevaluated_share)
        cap = f"{fmt.share(found.open_share)} could not be compared, at most {allowed} allowed"
        cap += _left_out(case)
    if found.checked == "rows":
        cap = found.reason if outcome is Outcome.PASS else _OTHER_DATA if found.captured else cap
    if cap and outcome is not Outcome.INCONCLUSIVE:
        outcome, reason = Outcome.INCONCLUSIVE, f"{reason}; would {outcome}, but {cap}"
    return result_of(
        gate, outcome, reason, n=found.compared,
        observed=found.different if count else found.share,
        interval=None if count else found.interval,
        templates=tuple(t.template_id for t in found.templates),
    )  # fmt: skip


def _left_out(case: Case) -> str:
    """How many were not compared, and why, most first."""
    found = case.correctness
    parts = {"unstable on 1.0": found.unstable, **found.skipped}
    said = ", ".join(f"{number:,} {reason}" for reason, number in parts.items() if number)
    return f" ({said})" if said else ""
