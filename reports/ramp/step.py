"""One step of a ramp: what a run at one scale, judged by its gates, says of that load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.gates import Gate
from reports.judge.latency import floor_of
from reports.judge.result import GateResult, Outcome
from reports.judge.throughput import FLOOR
from reports.metrics import Metric
from reports.stats.knee import Level, log_over
from reports.verdict import Answer, Verdict

_OUTCOMES = {Answer.GO: "pass", Answer.NO_GO: "fail"}


def step_of(verdict: Verdict, run: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `steps` in ramp.json, from the verdict and the run's document.

    A run that breaks a validity check is `invalid` whatever its gates say: what failed may have
    failed for this tool's own lag.
    """
    document = verdict.document
    checks = [r for r in verdict.gates if r.id.startswith("validity.")]
    broken = [r for r in checks if r.verdict is Outcome.INVALID]
    gates = [r for r in verdict.gates if r.blocking and r not in checks]
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
        "gate": worst and {
            "id": worst.id, "unit": worst.unit, "observed": worst.observed, "limit": worst.limit,
            "interval": worst.interval and list(worst.interval),
        },
        "cost": {
            "run": cost["run"].get("usd"),
            "per_1000": cost["run"].get("per_1000"),
            "monthly": cost["monthly"]["candidate"],
        },
        "needed": _needed(gates, asked),
        "near_ceiling": (run.get("calibration") or {}).get("warnings", []),
    }  # fmt: skip


def level_of(step: Mapping[str, Any]) -> Level:
    """What the search for the knee looks at."""
    return Level(scale=step["scale"], outcome=step["outcome"], pressure=step["pressure"])


def floor_of_gates(gates: Sequence[Gate]) -> int:
    """Statements below which one of the gates cannot decide, before anything was measured."""
    timed = (Metric.LATENCY_RESPONSE, Metric.LATENCY_SERVICE)
    return max(floor_of(g) if g.metric in timed else g.min_samples or FLOOR for g in gates)


def _needed(results: Sequence[GateResult], asked: int) -> int:
    """Statements to ask so that each gate decides, reckoned from this step's `asked`."""
    wanted = (max(r.needed_n or 0, r.floor or 0) * asked / r.n for r in results if r.n)
    return round(max(wanted, default=0))


def _over(result: GateResult) -> float | None:
    """ln(observed / limit), the other way round where the limit is the least allowed."""
    if result.observed is None or result.limit is None:
        return None
    pair = (result.observed, result.limit)
    return log_over(*(pair if result.side == "max" else pair[::-1]))
