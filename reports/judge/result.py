"""What became of one gate, and the three-way rule every gate on an interval follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from reports.gates import Gate, Severity
from reports.stats.estimate import Interval


class Outcome(StrEnum):
    """What a gate says."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate's result; `unit` is us, ratio, count, share, usd or per_s.

    `waived` carries the reason of a waiver that lifts the gate out of the decision.
    """

    id: str
    verdict: Outcome
    severity: Severity
    metric: str
    unit: str
    observed: float | None
    interval: Interval | None
    limit: float | None
    n: int
    needed_n: int | None
    reason: str
    why: str = ""
    stat: str | None = None
    waived: str | None = None
    warnings: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()

    @property
    def blocking(self) -> bool:
        """True where the result takes part in the decision."""
        return self.severity is Severity.BLOCK and self.waived is None

    def as_json(self) -> dict[str, Any]:
        """One entry of `gates` in verdict.json."""
        document = asdict(self)
        document["interval"] = None if self.interval is None else list(self.interval)
        for key in ("warnings", "templates"):
            document[key] = list(document[key])
        return document


def decide(interval: Interval | None, *, most: float) -> Outcome:
    """Pass when all of the interval is at or below `most`, fail when all is above it.

    Without an interval nothing passes.
    """
    if interval is None:
        return Outcome.INCONCLUSIVE
    low, high = interval
    if high is not None and high <= most:
        return Outcome.PASS
    if low is not None and low > most:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE


def result_of(
    gate: Gate,
    outcome: Outcome,
    reason: str,
    *,
    unit: str,
    limit: float | None,
    n: int,
    observed: float | None = None,
    interval: Interval | None = None,
    needed_n: int | None = None,
    warnings: tuple[str, ...] = (),
    templates: tuple[str, ...] = (),
) -> GateResult:
    """A result that carries the gate's own id, severity, metric and reason of being."""
    return GateResult(
        id=gate.id,
        verdict=outcome,
        severity=gate.severity,
        metric=str(gate.metric),
        stat=gate.stat,
        why=gate.why,
        unit=unit,
        observed=observed,
        interval=interval,
        limit=limit,
        n=n,
        needed_n=needed_n,
        reason=reason,
        warnings=warnings,
        templates=templates,
    )
