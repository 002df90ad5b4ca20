"""Gates on throughput: statements answered a second, within the timetable."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.gates import Gate
from reports.judge.latency import cap_captured
from reports.judge.result import GateResult, Outcome, decide_least, result_of

FLOOR = 1_000
"""Answers of each side below which a share of them says little: all of 1,000 is above 99.7 %."""


def judge_throughput(case: Case, gate: Gate) -> GateResult:
    """`min_ratio` by the interval of the answered shares' ratio, `min` by what this run reached."""
    line, floor = case.throughput, gate.min_samples or FLOOR
    n = line.ratio.n if gate.relative else line.candidate.n
    if n < floor:
        said = f"{fmt.plural(n, 'answer')} within the timetable, needs {floor:,}"
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=n, needed_n=floor, floor=floor)
    if not gate.relative:
        return _judge_rate(case, gate, n, floor)
    value, bounds = line.ratio.value, line.ratio.interval
    reason = (
        f"2.0 answered {fmt.ratio(value)} the share of what it was asked that 1.0 did "
        f"{fmt.interval(bounds) or '(no interval)'}, limit {gate.limit:.2f} (n={n:,})"
    )
    result = result_of(
        gate, decide_least(bounds, least=gate.limit), reason, n=n, observed=value, interval=bounds,
        confidence=case.decision.two_sided, floor=floor,
        method=f"paired bootstrap over {case.arms.blocks.number} time blocks",
    )  # fmt: skip
    return cap_captured(case, gate, result)


def _judge_rate(case: Case, gate: Gate, n: int, floor: int) -> GateResult:
    """A run that was asked for less than the limit cannot show whether 2.0 reaches it."""
    evidence, ledger = case.candidate.evidence, case.candidate.ledger
    rate = case.throughput.candidate.value or 0.0
    seconds = evidence.length_us / 1e6 * len(evidence.runs)
    asked = (ledger.planned - ledger.skipped.total()) / seconds
    reason = f"2.0 answered {fmt.rate(rate)}, limit {fmt.rate(gate.limit)} (n={n:,})"
    outcome = Outcome.PASS if rate >= gate.limit else Outcome.FAIL
    pool = (evidence.document.get("dials") or {}).get("mode") == "pool"
    if outcome is Outcome.FAIL and asked < gate.limit and not pool:
        outcome = Outcome.INCONCLUSIVE
        reason += f"; it was asked for {fmt.rate(asked)} only: replay with more --scale or --speed"
    return result_of(
        gate, outcome, reason, n=n, observed=rate, floor=floor,
        method="answers of this run by its length, without an interval",
    )  # fmt: skip
