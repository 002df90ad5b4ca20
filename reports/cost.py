"""What each place costs: per month and per 1,000 statements at the captured rate.

From list prices in `prices.toml` and the `[cost]` section of a fourstep.toml. What nobody stated
is `not stated`; nothing is guessed from the run.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from replay.problems import Table, read_toml, settle
from reports.load import Evidence

HOURS_PER_MONTH = 730
"""A twelfth of a year of 8,760 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPart:
    """One addend of a month: its formula in words and numbers, and the price's source."""

    arm: str
    name: str
    monthly: float
    formula: str
    source: str = "configuration"
    date: str = ""
    unverified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Monthly cost in USD of both arms, in parts; an arm without parts was not stated."""

    parts: tuple[CostPart, ...] = ()
    statements_per_month: float | None = None
    volume_formula: str = ""
    price_date: str = ""
    region: str = ""
    reason: str | None = None
    """Why a comparison is missing."""

    def monthly(self, arm: str) -> float | None:
        """USD a month of `baseline` or `candidate`."""
        parts = [part.monthly for part in self.parts if part.arm == arm]
        return sum(parts) if parts else None

    @property
    def ratio(self) -> float | None:
        """Candidate over baseline; the same per month and per 1,000 statements."""
        one, two = self.monthly("baseline"), self.monthly("candidate")
        return two / one if two is not None and one else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """One for each price that could not be checked."""
        return tuple(f"the price of {p.name} is unverified" for p in self.parts if p.unverified)

    def as_json(self) -> dict[str, Any]:
        """The `cost` object of verdict.json."""
        monthly = {arm: self.monthly(arm) for arm in ("baseline", "candidate")}
        thousands = (self.statements_per_month or 0) / 1000
        return {
            "stated": bool(self.parts),
            "currency": "USD",
            "monthly": monthly,
            "per_1000": {
                arm: usd / thousands if usd is not None and thousands else None
                for arm, usd in monthly.items()
            },
            "ratio": self.ratio,
            "warnings": list(self.warnings),
            **asdict(self),
        }


def estimate_cost(evidence: Evidence, config: Path | None) -> Cost:
    """Read `[cost]` of `config` and price it.

    Raises:
        UsageError: the file is not TOML, or its `[cost]` section has problems; lists all.
    """
    problems: list[str] = []
    document = Table({} if config is None else read_toml(config), "", problems)
    if not document.has("cost"):
        return Cost(reason="not stated: no [cost] section in the configuration")
    section = document.table("cost")
    prices = load_prices()
    baseline, candidate = _baseline_parts(section), _candidate_parts(section, prices)
    volume, formula = _volume(evidence, section)
    section.close()
    settle(str(config), problems, hint="see the section on cost in docs/gates.md")
    missing = [] if baseline else ["the cost of 1.0"]
    missing += [] if candidate else ["the size of 2.0"]
    return Cost(
        parts=(*baseline, *candidate),
        statements_per_month=volume,
        volume_formula=formula,
        price_date=str(prices["date"]),
        region=str(prices["region"]),
        reason=f"not stated: {' and '.join(missing)}" if missing else None,
    )


def load_prices() -> dict[str, Any]:
    """The price table that ships with the package."""
    return tomllib.loads((importlib.resources.files("reports") / "prices.toml").read_text("utf-8"))


def _baseline_parts(section: Table) -> list[CostPart]:
    note = str(section.value("baseline_note", "no note given"))
    if not section.has("baseline_monthly"):
        return []
    monthly = section.number("baseline_monthly")
    return [CostPart(arm="baseline", name="as stated", monthly=monthly, formula=note)]


def _candidate_parts(section: Table, prices: dict[str, Any]) -> list[CostPart]:
    """Nodes or RPU-hours, and storage."""
    provisioned = section.has("node_type") | section.has("nodes")
    serverless = section.has("rpu_hours_per_month")
    hours = section.number("hours_per_month", HOURS_PER_MONTH)
    storage_gb = section.number("storage_gb")
    parts = []
    if provisioned and serverless:
        section.add("states both nodes and RPU-hours: a place is one or the other")
    elif provisioned:
        table = prices["redshift_node_hour"]
        kind = section.choose("node_type", table)
        if not section.has("nodes"):
            section.add("`node_type` needs `nodes`")
        entry = table.get(kind, {"usd": 0})
        factors = (section.number("nodes"), "nodes"), (hours, "h")
        parts.append(_part(f"{kind} nodes", entry, "h", *factors))
    elif serverless:
        entry = prices["redshift_rpu_hour"]["serverless"]
        factor = section.number("rpu_hours_per_month"), "RPU-hours"
        parts.append(_part("serverless compute", entry, "RPU-hour", factor))
    if storage_gb and parts:
        entry = prices["redshift_storage_gb_month"]["managed"]
        parts.append(_part("managed storage", entry, "GB-month", (storage_gb, "GB")))
    return parts


def _part(name: str, entry: dict[str, Any], unit: str, *factors: tuple[float, str]) -> CostPart:
    monthly = float(entry["usd"])
    for value, _ in factors:
        monthly *= value
    words = " × ".join(f"{value:g} {what}" for value, what in factors)
    return CostPart(
        arm="candidate",
        name=name,
        monthly=monthly,
        formula=f"{words} × USD {entry['usd']:g} per {unit}",
        source=str(entry.get("source")),
        date=str(entry.get("date")),
        unverified=bool(entry.get("unverified", False)),
    )


def _volume(evidence: Evidence, section: Table) -> tuple[float | None, str]:
    """Statements of a month at the captured rate, and how that was reckoned."""
    stated = section.number("statements_per_month")
    if stated:
        return stated, f"{stated:,.0f} statements a month, as stated"
    statements, seconds = _captured(evidence)
    if statements == 0 or seconds <= 0:
        return None, "the captured rate is not known"
    monthly = statements / seconds * 3600 * HOURS_PER_MONTH
    formula = (
        f"{statements:,} statements captured in {seconds:,.0f} s × {HOURS_PER_MONTH} h a month"
        f" = {monthly:,.0f} statements a month"
    )
    return monthly, formula


def _captured(evidence: Evidence) -> tuple[int, float]:
    """Statements of the capture and its seconds, whatever part or multiple of it was replayed."""
    if evidence.workload is not None:
        window = evidence.workload.manifest.get("window") or {}
        if window.get("from") and window.get("to"):
            first, last = (datetime.fromisoformat(window[end]) for end in ("from", "to"))
            return len(evidence.workload), (last - first).total_seconds()
    statements = int(evidence.original.sum()) / min(1.0, evidence.dial("scale", 1))
    return round(statements), evidence.length_us / 1e6 * evidence.dial("speed", 1)
