"""Gates on errors: those that 2.0 alone has, or all, counted or as a share."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.errors import Errors, split_errors
from reports.gates import Gate, Metric
from reports.judge.result import GateResult, Outcome, decide, result_of
from reports.scope import why_empty
from reports.stats.quantiles import share_interval

_SHARES = (Metric.ERRORS_NEW_SHARE, Metric.ERRORS_ALL_SHARE)
_NEW = (Metric.ERRORS_NEW, Metric.ERRORS_NEW_SHARE)


def judge_errors(case: Case, gate: Gate) -> GateResult:
    """A count of this run, without an interval, or a share with its exact interval.

    `errors.new` is of the statements that 1.0 answered, `errors.all` of all that 2.0 was asked.
    """
    evidence, errors = case.candidate.evidence, case.errors
    if gate.where:
        gone = why_empty(evidence, gate.where)
        if gone:
            return result_of(gate, Outcome.INCONCLUSIVE, gone, n=0)
        known = errors.baseline_known
        errors = split_errors(evidence, with_baseline_run=known, where=gate.where)
    new, share = gate.metric in _NEW, gate.metric in _SHARES
    k, n = (errors.new, errors.answerable) if new else (errors.failed, errors.tried)
    if n == 0:
        said = "2.0 was not asked anything" + (" 1.0 had answered" if new else "")
        return result_of(gate, Outcome.INCONCLUSIVE, said, n=0)
    return _judge_share(case, gate, k, n) if share else _judge_count(gate, k, n, errors)


def _judge_count(gate: Gate, k: int, n: int, errors: Errors) -> GateResult:
    new = gate.metric in _NEW
    outcome = Outcome.FAIL if k > gate.limit else Outcome.PASS
    reason = (
        f"{fmt.count(k)} of {fmt.plural(n, 'statement')}{' that 1.0 answered' if new else ''} "
        f"failed on 2.0, limit {fmt.count(gate.limit)}"
    )
    if outcome is Outcome.FAIL:
        reason += f": {errors.causes(new=new)}{_failing_templates(errors, new=new)}"
    if new and not errors.baseline_known:
        reason += "; 1.0's own errors are not known, the workload is gone"
    return result_of(
        gate, outcome, reason, n=n, observed=k, method="a count of this run, which has no interval"
    )


def _judge_share(case: Case, gate: Gate, k: int, n: int) -> GateResult:
    confidence = case.decision.two_sided
    bounds = share_interval(k, n, confidence=confidence)
    reason = (
        f"{fmt.share(k / n)} {fmt.interval(bounds, 'share')} failed on 2.0"
        f"{' only' if gate.metric in _NEW else ''}, limit {fmt.share(gate.limit)} (n={n:,})"
    )
    return result_of(
        gate, decide(bounds, most=gate.limit), reason, n=n, observed=k / n, interval=bounds,
        confidence=confidence, method=f"{k:,} of {n:,}; Clopper-Pearson",
    )  # fmt: skip


def _failing_templates(errors: Errors, *, new: bool) -> str:
    groups = [g.template_id for g in errors.groups if g.divergence == "new" or not new]
    distinct = list(dict.fromkeys(groups))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return f" ({'template' if len(distinct) == 1 else 'templates'} {', '.join(distinct[:3])}{more})"
