"""What a cost is made of: prices, parts with their formulas, the sum of a place over a span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD for one `unit`, where it was read and when."""

    usd: float
    unit: str
    source: str
    date: str = ""
    unverified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One addend in USD: its formula in words and numbers, and where its price is from."""

    name: str
    usd: float
    formula: str
    source: str = "configuration"
    date: str = ""
    unverified: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a place costs, in parts; without parts `reason` says what is not known."""

    parts: tuple[Part, ...] = ()
    reason: str | None = None

    @property
    def usd(self) -> float | None:
        """The sum."""
        return sum(part.usd for part in self.parts) if self.parts else None

    def as_json(self) -> dict[str, Any]:
        """Sum, parts and reason."""
        return {"usd": self.usd, "parts": [asdict(p) for p in self.parts], "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Both places over a month, and 2.0 over the run; the `cost` object of verdict.json.

    `more` holds what is reckoned from it: `run` with its shares, `stages`, `choices`.
    """

    baseline: Figures = field(default_factory=Figures)
    candidate: Figures = field(default_factory=Figures)
    statements_per_month: float | None = None
    volume_formula: str = ""
    region: str = ""
    reason: str | None = None
    more: Mapping[str, Any] = field(
        default_factory=lambda: {"run": {}, "stages": [], "choices": []}
    )

    def monthly(self, arm: str) -> float | None:
        """USD a month of `baseline` or `candidate`."""
        return self.baseline.usd if arm == "baseline" else self.candidate.usd

    @property
    def ratio(self) -> float | None:
        """Candidate over baseline; the same per month and per 1,000 statements."""
        one, two = self.baseline.usd, self.candidate.usd
        return two / one if two is not None and one else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """One for each price that could not be checked."""
        parts = (*self.baseline.parts, *self.candidate.parts)
        said = (f"the price of {part.name} is unverified" for part in parts if part.unverified)
        return tuple(dict.fromkeys(said))

    def as_json(self) -> dict[str, Any]:
        """The `cost` object of verdict.json; a part's USD are `monthly`."""
        arms = {"baseline": self.baseline, "candidate": self.candidate}
        parts = [
            {"arm": arm, "monthly": row.pop("usd"), **row}
            for arm, figures in arms.items()
            for row in map(asdict, figures.parts)
        ]
        thousands = (self.statements_per_month or 0) / 1000
        return {
            "stated": bool(parts),
            "currency": "USD",
            "monthly": {arm: figures.usd for arm, figures in arms.items()},
            "per_1000": {
                arm: figures.usd / thousands if figures.usd is not None and thousands else None
                for arm, figures in arms.items()
            },
            "ratio": self.ratio,
            "warnings": list(self.warnings),
            "parts": parts,
            "statements_per_month": self.statements_per_month,
            "volume_formula": self.volume_formula,
            "price_date": min((part["date"] for part in parts if part["date"]), default=""),
            "region": self.region,
            "reason": self.reason,
            **self.more,
        }
