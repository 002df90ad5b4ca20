"""Validity: can this run be trusted? A breach makes every timing gate invalid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reports import format as fmt
from reports.case import Case, Side
from reports.gates import VALIDITY, Gates
from reports.judge.result import GateResult, Outcome
from reports.samples import MISSING

_WORDS = {
    "lag_p99": "the tool's own lag, p99",
    "starved_p99": "how late the event loop of a worker was, p99",
    "offered_over_target": "statements offered on time",
    "replayed_share": "statements replayed",
    "skipped_share": "statements skipped",
    "client_cpu_p95": "CPU of the busiest worker, p95",
}

_ENDS = {
    "run-time": "the run ended early, at the time given with -t",
    "stopped": "the run was stopped early",
    "interrupted": "the run was interrupted by Ctrl-C or SIGTERM",
    "disk-full": "samples could not be written: a worker's disk was full or gone",
    "not-begun": "the run never began",
    "abandoned": "fourstep abandoned the run for an error of its own",
}


def judge_validity(case: Case, gates: Gates) -> list[GateResult]:
    """One result per check: the run ended, its ledger balances, each limit of `[validity]`.

    A baseline run must meet the same checks, and so must each further run of a side.
    """
    results = []
    for side, prefix in zip(case.sides, ("validity", "validity.baseline"), strict=False):
        for number, run in enumerate(side.runs, start=1):
            told = f"run `{run.evidence.run.run_id}`: " if side.parts else ""
            name = prefix if number == 1 else f"{prefix}.{number}"
            results += [
                replace(result, reason=told + result.reason)
                for result in _judge_run(run, gates, name)
            ]
    return results


def _judge_run(side: Side, gates: Gates, prefix: str) -> list[GateResult]:
    limits = {"lag_p99": float(side.fidelity.lag_budget_us)}
    if side.fidelity.starved_p99_us is not None:
        limits["starved_p99"] = limits["lag_p99"]
    limits |= gates.validity
    return [
        _judge_end(side, f"{prefix}.finished"),
        _judge_ledger(side, f"{prefix}.ledger"),
        *(_judge_limit(side, name, limit, prefix) for name, limit in limits.items()),
        *_judge_server(side, f"{prefix}.same_server"),
        *_judge_clock(side, f"{prefix}.clock"),
    ]


def _judge_clock(side: Side, name: str) -> Iterator[GateResult]:
    """Only where statements were answered before they were sent, which would look fast."""
    service_us = side.evidence.service_us
    backwards = int(((service_us < 0) & (service_us != MISSING)).sum())
    if backwards:
        said = f"a clock went backwards: {fmt.plural(backwards, 'statement')} ended before sent"
        yield GateResult(
            id=name, verdict=Outcome.INVALID, metric=name, unit="count", n=side.ledger.planned,
            reason=said, observed=backwards, limit=0,
        )  # fmt: skip


def _judge_server(side: Side, name: str) -> Iterator[GateResult]:
    """Whether version, nodes and RPU stayed what they were; only where the server was asked."""
    told = side.evidence.document.get("server")
    if told is None:
        return
    pairs = {what: (told["before"][what], told["after"][what]) for what in told["before"]}
    known = {what: pair for what, pair in pairs.items() if None not in pair}
    moved = [f"{what} was {one}, then {two}" for what, (one, two) in known.items() if one != two]
    if len(told["versions"]) > 1:
        moved.append(f"statements ran on versions {', '.join(told['versions'])}")
    said = f"{', '.join(known)} did not change" if known else "nobody says that it changed"
    yield GateResult(
        id=name, verdict=Outcome.INVALID if told["changed"] else Outcome.PASS, metric=name,
        unit="count", n=side.ledger.planned, reason="; ".join(moved) if told["changed"] else said,
    )  # fmt: skip


def _judge_end(side: Side, name: str) -> GateResult:
    fidelity, run = side.fidelity, f"run `{side.evidence.run.run_id}`"
    outcome = Outcome.INVALID
    if not fidelity.finished:
        said = f"{run} never ended: it was cut off or is still running"
    elif fidelity.ended_by == "worker-lost":
        said = f"{_lost(side)}, and the run ended for it"
    elif fidelity.ended_by == "aborted":
        outcome, said = Outcome.INCONCLUSIVE, f"aborted by {side.evidence.document['aborted']}"
    elif fidelity.ended_by in ("disk-full", "not-begun", "abandoned"):
        said = _ENDS[fidelity.ended_by]
    else:
        outcome, said = Outcome.PASS, f"{run} ended ({fidelity.ended_by})"
    return GateResult(
        id=name, verdict=outcome, metric=name, unit="count", n=side.ledger.planned, reason=said
    )


def _judge_ledger(side: Side, name: str) -> GateResult:
    ledger = side.ledger
    outcome = Outcome.INVALID
    if ledger.planned == 0:
        said = "no statement was planned"
    elif not ledger.balanced:
        said = f"{ledger.ended + ledger.unknown:,} ends for {ledger.planned:,} planned statements"
    elif side.fidelity.continued:
        outcome = Outcome.INCONCLUSIVE
        gone = ledger.unknown + ledger.cancelled
        said = (
            f"{_lost(side)}, and {fmt.plural(gone, 'statement')} of {ledger.planned:,} "
            "with it; the rest was replayed to the end, which is too little for a GO"
        )
    elif ledger.unknown and len(side.evidence.document.get("legs") or []) > 1:
        outcome = Outcome.INCONCLUSIVE
        said = (
            f"{fmt.plural(ledger.unknown, 'statement')} of {ledger.planned:,} left no trace when "
            "the run was cut off; it was gone on with, which is too little for a GO"
        )
    elif ledger.unknown:
        said = f"{fmt.plural(ledger.unknown, 'statement')} of {ledger.planned:,} left no trace"
    else:
        outcome = Outcome.PASS
        said = f"all {fmt.plural(ledger.planned, 'planned statement')} accounted for"
    return GateResult(
        id=name, verdict=outcome, metric=name, unit="count", n=ledger.planned, reason=said,
        observed=ledger.unknown, limit=0,
    )  # fmt: skip


def _judge_limit(side: Side, name: str, limit: float, prefix: str) -> GateResult:
    unit = "us" if name.endswith("_p99") else "share"
    observed = getattr(side.fidelity, f"{name}_us" if unit == "us" else name)
    if observed is None:
        outcome, said = Outcome.INCONCLUSIVE, f"{_WORDS[name]}: not measured"
    else:
        most = VALIDITY[name] == "max"
        met = observed <= limit if most else observed >= limit
        outcome = Outcome.PASS if met else Outcome.INVALID
        said = (
            f"{_WORDS[name]}: {fmt.amount(observed, unit)}, must be "
            f"{'at most' if most else 'at least'} {fmt.amount(limit, unit)}"
        )
        if not met and not most and side.fidelity.ended_by in _ENDS:
            said += f"; {_ENDS[side.fidelity.ended_by]}"
    full = f"{prefix}.{name}"
    return GateResult(
        id=full, verdict=outcome, metric=full, unit=unit, n=side.ledger.planned, reason=said,
        observed=observed, limit=limit, side=VALIDITY[name],
    )  # fmt: skip


def _lost(side: Side) -> str:
    return f"{side.fidelity.workers_lost} of {fmt.plural(side.fidelity.workers, 'worker')} lost"
