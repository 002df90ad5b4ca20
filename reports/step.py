"""One step of a ramp: what a run at one scale, judged by its gates, says of that load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.gates import Gate
from reports.judge.latency import floor_of
from reports.judge.result import GateResult, Outcome
from reports.judge.throughput import FLOOR
from reports.metrics import METRICS, Metric
from reports.stats.knee import Level, log_over
from reports.verdict import Answer, Verdict

_OUTCOMES = {Answer.GO: "pass", Answer.NO_GO: "fail"}


def step_of(verdict: Verdict, run: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `steps` in ramp.json, from the verdict and the run's document.

    A run that breaks a validity check is `invalid` whatever its gates say: what failed may have
    failed for this tool's own lag.
    """
    document = verdict.document
    broken = [r for r in verdict.gates if r.id.startswith("validity.") and _invalid(r)]
    gates = [r for r in verdict.gates if r.blocking and not r.id.startswith("validity.")]
    known = [(over, r) for r in gates if (over := _over(r)) is not None]
    over, worst = max(known, key=lambda pair: pair[0], default=(None, None))
    ledger, cost = document["ledger"], document["cost"]
    length_s = run["timetable"]["length_us"] / 1e6
    headline = {line["stat"]: line for line in document["headline"]}
    asked = ledger["planned"] - sum(ledger["skipped"].values())
    return {
        "outcome": "invalid" if broken else _OUTCOMES.get(verdict.verdict, "undecided"),
        "reason": broken[0].reason if broken else verdict.reason,
        "verdict": str(verdict.verdict),
        "asked_per_s": asked / length_s if length_s else None,
        "answered_per_s": headline["throughput"]["candidate"],
        "p95_us": headline["p95"]["candidate"],
        "pressure": over,
        "gate": None
        if worst is None
        else {
            "id": worst.id, "unit": worst.unit, "observed": worst.observed, "limit": worst.limit,
            "interval": None if worst.interval is None else list(worst.interval),
        },
        "cost": {
            "run": cost["run"].get("usd"),
            "per_1000": cost["run"].get("per_1000"),
            "monthly": cost["monthly"]["candidate"],
        },
        "needed": needed(gates, asked=asked),
        "near_ceiling": (run.get("calibration") or {}).get("warnings", []),
    }  # fmt: skip


def level_of(step: Mapping[str, Any]) -> Level:
    """What the search for the knee looks at."""
    return Level(scale=step["scale"], outcome=step["outcome"], pressure=step["pressure"])


def needed(results: Sequence[GateResult], *, asked: int) -> int:
    """Statements to ask so that each gate decides, reckoned from this step's own `asked`."""
    wanted = [
        max(r.needed_n or 0, r.floor or 0) * asked / r.n
        for r in results
        if r.n and (r.needed_n or r.floor)
    ]
    return round(max(wanted, default=0))


def floor_of_gates(gates: Sequence[Gate]) -> int:
    """Statements below which one of the gates cannot decide; before anything was measured.

    Of a share, 3.7 / limit: with one-sided 95 % no failure at all in 3 / limit would just pass.
    """
    floors = [0]
    for gate in gates:
        if gate.metric in (Metric.LATENCY_RESPONSE, Metric.LATENCY_SERVICE):
            floors.append(floor_of(gate))
        elif gate.metric is Metric.THROUGHPUT:
            floors.append(gate.min_samples or FLOOR)
        elif METRICS[gate.metric].unit == "share" and gate.limit > 0:
            floors.append(round(3.7 / gate.limit))
    return max(floors)


def _invalid(result: GateResult) -> bool:
    return result.verdict is Outcome.INVALID


def _over(result: GateResult) -> float | None:
    """ln(observed / limit), the other way round where the limit is the least allowed."""
    if result.observed is None or result.limit is None:
        return None
    pair = (result.observed, result.limit)
    return log_over(*(pair if result.side == "max" else pair[::-1]))
