"""A month: the statements it holds, what 1.0 costs in it, and the bill while both places run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from reports.cost import terms
from reports.cost.bill import kept_bill
from reports.cost.model import Figures, Part
from reports.cost.place import Place
from reports.cost.prices import Prices
from reports.cost.section import Baseline, Section
from reports.cost.usage import Usage
from reports.load import Evidence


def volume(evidence: Evidence, section: Section) -> tuple[float | None, str]:
    """Statements of the month that is priced, and how that was reckoned."""
    monthly, hours = section.statements_per_month, terms.HOURS_PER_MONTH
    formula = f"{monthly:,.0f} statements a month, as stated"
    if not monthly:
        statements, seconds = _captured(evidence)
        if statements == 0 or seconds <= 0:
            return None, "the captured rate is not known"
        monthly = statements / seconds * 3600 * hours
        formula = (
            f"{statements:,} statements captured in {seconds:,.0f} s × {hours} h a month"
            f" = {monthly:,.0f} statements a month"
        )
    for factor, what in ((section.scale, "scale"), (1 + section.growth, "growth")):
        formula += f" × {factor:g} ({what})" if factor != 1 else ""
        monthly *= factor
    return monthly, formula


def monthly_usage(
    usage: Usage, place: Place, evidence: Evidence, statements: float | None
) -> Usage:
    """A month's use: RPU-hours as stated, else the run's use in proportion to `statements`."""
    ended = int((~evidence.is_status("skipped", "cancelled", "unknown")).sum())
    month = usage.times(statements / ended) if statements and ended else Usage()
    if place.rpu_hours_per_month is not None:
        stated_s = place.rpu_hours_per_month * 3600
        return replace(month, rpu_seconds=stated_s, basis="as stated")
    if month.reckoned and month.rpu_seconds:
        # Reckoned use is of the base capacity, which is not there longer than the month.
        most = place.rpu * terms.HOURS_PER_MONTH * 3600
        return replace(month, rpu_seconds=min(month.rpu_seconds, most))
    return month


def price_baseline(baseline: Baseline, prices: Prices) -> Figures:
    """1.0's month: as stated, by the list price of its machines, or by its bill.

    Raises:
        UsageError: an instance type has no known price.
    """
    if baseline.monthly is not None:
        part = Part(name="as stated", usd=baseline.monthly, formula=baseline.note)
        return Figures(parts=(part,))
    if baseline.bill is not None:
        return kept_bill(baseline.bill)
    note, hours = "Linux, on demand; without disks and traffic", (terms.HOURS_PER_MONTH, "h")
    parts = []
    for kind, count in baseline.instances.items():
        price, many = prices.find("ec2_hour", kind), (count, "instances")
        parts.append(terms.priced(f"{kind} instances", price, many, hours, note=note))
    return Figures(parts=tuple(parts), reason=None if parts else "the cost of 1.0")


def stages(baseline: Figures, candidate: Figures) -> list[dict[str, Any]]:
    """Next month's bill in the three stages of a move; none unless both are known."""
    one, two = baseline.usd, candidate.usd
    if one is None or two is None:
        return []
    rows = ("1.0 alone", one, 0.0), ("both", one, two), ("2.0 alone", 0.0, two)
    return [
        {"stage": name, "baseline": old, "candidate": new, "usd": old + new}
        for name, old, new in rows
    ]


def _captured(evidence: Evidence) -> tuple[int, float]:
    """Statements of the capture and its seconds, whatever part or multiple of it was replayed."""
    if evidence.workload is not None:
        window = evidence.workload.manifest.get("window") or {}
        if window.get("from") and window.get("to"):
            first, last = (datetime.fromisoformat(window[end]) for end in ("from", "to"))
            return len(evidence.workload), (last - first).total_seconds()
    statements = int(evidence.original.sum()) / min(1.0, evidence.dial("scale", 1))
    return round(statements), evidence.length_us / 1e6 * evidence.dial("speed", 1)
