"""What became of one gate, and the three-way rule every gate on an interval follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from reports.gates import Gate, Severity
from reports.metrics import METRICS
from reports.stats.estimate import Interval


class Outcome(StrEnum):
    """What a gate says."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate's result, an entry of `gates` in verdict.json.

    `unit` is us, ratio, count, share, change, usd or per_s; `side` says whether the limit is the
    most (`max`) or the least (`min`) allowed. `waived` carries the reason of a waiver that lifts
    the gate out of the decision. `method` says where observed and interval come from, `confidence`
    is that of the interval, two-sided. `floor` is the least n that the gate decides by, and
    `would` what it says but for a cap: production timings or a run that is not valid.
    """

    id: str
    verdict: Outcome
    severity: Severity = Severity.BLOCK
    metric: str
    unit: str
    observed: float | None = None
    interval: Interval | None = None
    limit: float | None = None
    side: str = "max"
    n: int
    needed_n: int | None = None
    reason: str
    why: str = ""
    stat: str | None = None
    waived: str | None = None
    templates: tuple[str, ...] = ()
    where: dict[str, list[str]] = field(default_factory=dict)
    method: str = ""
    confidence: float | None = None
    floor: int | None = None
    would: Outcome | None = None

    @property
    def blocking(self) -> bool:
        """True where the result takes part in the decision."""
        return self.severity is Severity.BLOCK and self.waived is None


def decide(interval: Interval | None, *, most: float) -> Outcome:
    """Pass when all of the interval is at or below `most`, fail when all is above it.

    Without an interval nothing passes.
    """
    low, high = interval or (None, None)
    if high is not None and high <= most:
        return Outcome.PASS
    if low is not None and low > most:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE


def decide_least(interval: Interval | None, *, least: float) -> Outcome:
    """Pass when all of the interval is at or above `least`, fail when all is below it."""
    low, high = interval or (None, None)
    mirrored = (None if high is None else -high, None if low is None else -low)
    return decide(mirrored, most=-least)


def capped(result: GateResult, why: str) -> GateResult:
    """Inconclusive for a cap, whatever it `would` be."""
    reason = f"{result.reason}; would {result.verdict}, but {why}"
    return replace(result, verdict=Outcome.INCONCLUSIVE, would=result.verdict, reason=reason)


def result_of(gate: Gate, outcome: Outcome, reason: str, **figures: Any) -> GateResult:  # noqa: ANN401
    """A result that carries the gate's own id, severity, limit and reason of being.

    A gate over templates counts those that are slower, of which none is allowed.
    """
    unit, limit = METRICS[gate.metric].unit, gate.limit
    if gate.relative:
        unit, limit = ("count", 0.0) if gate.for_each else ("ratio", limit)
    return GateResult(
        id=gate.id,
        verdict=outcome,
        severity=gate.severity,
        metric=str(gate.metric),
        unit=unit,
        limit=limit,
        side=gate.side,
        stat=gate.stat,
        why=gate.why,
        reason=reason,
        where={label: list(names) for label, names in gate.where.items()},
        **figures,
    )
