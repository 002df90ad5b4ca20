"""Validity: can this run be trusted? A breach makes every timing gate invalid."""

from __future__ import annotations

from reports import format as fmt
from reports.case import Case
from reports.fidelity import Fidelity
from reports.gates import Gates, Limit, Severity
from reports.judge.result import GateResult, Outcome

_WORDS = {
    "lag_p99": "the tool's own lag, p99",
    "offered_over_target": "statements offered on time",
    "replayed_share": "statements replayed",
    "skipped_share": "statements skipped",
    "client_cpu_p95": "CPU of the busiest worker, p95",
}


def judge_validity(case: Case, gates: Gates) -> list[GateResult]:
    """One result per check: the run ended, its ledger balances, each limit of `[validity]`.

    A baseline run must meet the same checks.
    """
    results = _judge_run(case, gates, case.fidelity, prefix="validity")
    if case.baseline is not None and case.baseline_fidelity is not None:
        results += _judge_run(case, gates, case.baseline_fidelity, prefix="validity.baseline")
    return results


def _judge_run(case: Case, gates: Gates, fidelity: Fidelity, *, prefix: str) -> list[GateResult]:
    ours = prefix == "validity"
    evidence = case.candidate if ours or case.baseline is None else case.baseline
    ledger = case.ledger if ours else evidence.ledger()
    results = [
        _check(
            f"{prefix}.finished",
            Outcome.PASS if fidelity.finished else Outcome.INVALID,
            f"run `{evidence.run.run_id}` ended ({fidelity.ended_by})"
            if fidelity.finished
            else f"run `{evidence.run.run_id}` never ended: it was cut off or is still running",
            n=ledger.planned,
        )
    ]
    sound = ledger.balanced and ledger.unknown == 0 and ledger.planned > 0
    if ledger.planned == 0:
        said = "no statement was planned"
    elif not ledger.balanced:
        said = f"{ledger.ended + ledger.unknown:,} ends for {ledger.planned:,} planned statements"
    elif ledger.unknown:
        said = f"{fmt.plural(ledger.unknown, 'statement')} of {ledger.planned:,} left no trace"
    else:
        said = f"all {fmt.plural(ledger.planned, 'planned statement')} accounted for"
    results.append(
        _check(
            f"{prefix}.ledger",
            Outcome.PASS if sound else Outcome.INVALID,
            said,
            n=ledger.planned,
            observed=ledger.unknown,
            limit=0,
            unit="count",
        )
    )
    limits = list(gates.validity)
    if not any(limit.name == "lag_p99" for limit in limits):
        limits.insert(0, Limit(name="lag_p99", max=float(fidelity.lag_budget_us)))
    results += [_judge_limit(limit, fidelity, prefix, ledger.planned) for limit in limits]
    return results


def _judge_limit(limit: Limit, fidelity: Fidelity, prefix: str, n: int) -> GateResult:
    lag = limit.name == "lag_p99"
    observed = fidelity.lag_p99_us if lag else getattr(fidelity, limit.name)
    bound = limit.max if limit.max is not None else limit.min
    assert bound is not None
    show = fmt.duration if lag else fmt.share
    side = "at most" if limit.max is not None else "at least"
    words = _WORDS[limit.name]
    if observed is None:
        outcome, said = Outcome.INCONCLUSIVE, f"{words}: not measured"
    else:
        met = observed <= bound if limit.max is not None else observed >= bound
        outcome = Outcome.PASS if met else Outcome.INVALID
        said = f"{words}: {show(observed)}, must be {side} {show(bound)}"
    return _check(
        f"{prefix}.{limit.name}",
        outcome,
        said,
        n=n,
        observed=observed,
        limit=bound,
        unit="us" if lag else "share",
    )


def _check(
    name: str,
    outcome: Outcome,
    reason: str,
    *,
    n: int,
    observed: float | None = None,
    limit: float | None = None,
    unit: str = "count",
) -> GateResult:
    return GateResult(
        id=name,
        verdict=outcome,
        severity=Severity.BLOCK,
        metric=name,
        unit=unit,
        observed=observed,
        interval=None,
        limit=limit,
        n=n,
        needed_n=None,
        reason=reason,
    )
