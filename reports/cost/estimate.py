"""From a run and its configuration to what both places cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from replay.errors import UsageError
from reports.cost.model import Cost, Figures
from reports.cost.month import price_baseline, stages, volume
from reports.cost.place import Place, place_of_target, price_place
from reports.cost.prices import Ask, Prices
from reports.cost.section import Section, read_section
from reports.cost.shares import shares
from reports.cost.terms import HOURS_PER_MONTH
from reports.cost.usage import NOT_READ, Usage, busy_seconds, read_usage
from reports.load import Evidence

ASSUMED = (
    "assumed: statements take as long there as in this run and nothing queues longer; "
    "only a run on that size can tell"
)


def estimate_cost(
    evidence: Evidence, config: Path | None, *, ask: Ask | None = None, as_run: bool = False
) -> Cost:
    """Read `[cost]` of `config` and price it; without `ask` from files alone.

    What to buy is what `[cost.candidate]` states, else the size in run.json's `target`; with
    `as_run` the other way round.

    Raises:
        UsageError: the configuration has problems, or states what has no known price.
        Unreachable: the Price List was asked and did not answer.
    """
    section = read_section(config)
    if section is None:
        return Cost(reason="not stated: no [cost] section in the configuration")
    prices = Prices(region=section.region, own=section.prices, ask=ask)
    pricing = _Pricing(evidence=evidence, section=section, prices=prices)
    baseline, candidate = price_baseline(section.baseline, prices), pricing.candidate(as_run)
    missing = [figures.reason for figures in (baseline, candidate) if figures.reason]
    statements, formula = pricing.volume
    return Cost(
        baseline=baseline,
        candidate=candidate,
        statements_per_month=statements,
        volume_formula=formula,
        region=section.region,
        reason=f"not stated: {' and '.join(missing)}" if missing else None,
        more={
            "run": pricing.run(),
            "stages": stages(baseline, candidate),
            "choices": pricing.choices(),
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Pricing:
    """One run and what it takes to price it in one size or another."""

    evidence: Evidence
    section: Section
    prices: Prices

    @cached_property
    def ran_on(self) -> Place:
        return place_of_target(self.evidence.document.get("target") or {})

    @cached_property
    def volume(self) -> tuple[float | None, str]:
        return volume(self.evidence, self.section)

    @cached_property
    def read(self) -> Usage:
        return read_usage(self.evidence.run)

    @cached_property
    def busy_s(self) -> float:
        return busy_seconds(self.evidence.run)

    def usage(self, place: Place) -> Usage:
        """What the run would have used of `place`, busy for as long as it was."""
        read, rpu, ran_rpu = self.read, place.rpu, self.ran_on.rpu
        charged, basis = read.rpu_seconds, read.basis
        if charged is None and rpu:
            busy = f"{self.busy_s:,.0f} s with a statement under way × {rpu:g} RPU"
            charged, basis = self.busy_s * rpu, f"reckoned: {busy}; {NOT_READ}"
        elif charged is not None and rpu and ran_rpu and rpu != ran_rpu:
            charged, basis = charged * rpu / ran_rpu, f"{basis} × {rpu:g}/{ran_rpu:g} RPU"
        return replace(read, rpu_seconds=charged, basis=basis)

    def candidate(self, as_run: bool) -> Figures:
        """2.0's month. The size of a run may lack a price without being a mistake."""
        stated = self.section.candidate
        if not self.ran_on.sized or (stated.sized and not as_run):
            return self.month(stated)
        try:
            return self.month(stated.sized_as(self.ran_on))
        except UsageError as error:
            return Figures(reason=f"{error}; {error.hint}")

    def month(self, place: Place) -> Figures:
        """A month of a place: use as stated, else the run's in proportion to statements."""
        ended = ~self.evidence.is_status("skipped", "cancelled", "unknown")
        monthly, statements = self.volume[0], int(ended.sum())
        used = Usage()
        if monthly and statements and place.sized:
            used = self.usage(place).times(monthly / statements)
        if self.read.rpu_seconds is None and used.rpu_seconds:
            # Reckoned use is of the base capacity, which is not there longer than the month.
            most = place.rpu * HOURS_PER_MONTH * 3600
            used = replace(used, rpu_seconds=min(used.rpu_seconds, most))
        if place.rpu_hours_per_month is not None:
            stated_s = place.rpu_hours_per_month * 3600
            used = replace(used, rpu_seconds=stated_s, basis="as stated")
        if not place.sized or (place.serverless and used.rpu_seconds is None):
            return Figures(reason=f"the {'RPU-hours' if place.sized else 'size'} of 2.0")
        return price_place(place, self.prices, used)

    def run(self) -> dict[str, Any]:
        """The run itself: its cost and shares, or why they are not known."""
        stated, ran_on = self.section.candidate, self.ran_on
        place = stated.sized_as(ran_on) if ran_on.sized else stated
        used, document, hours = self.usage(place), self.evidence.document, 0.0
        if not place.sized or (place.serverless and used.rpu_seconds is None):
            return {"usd": None, "reason": "not stated: what the run ran on"}
        if document.get("ended_at"):
            first, last = (datetime.fromisoformat(document[k]) for k in ("started_at", "ended_at"))
            hours = (last - first).total_seconds() / 3600
        hours = hours or self.evidence.length_us / 3600e6
        try:
            figures = price_place(place, self.prices, used, run_hours=hours)
        except UsageError as error:
            return {"usd": None, "reason": str(error)}
        as_if = f"the run's target states no size: priced as if it were {place.name}"
        warnings = [None if ran_on.sized else as_if, used.warning]
        return {
            "place": place.name,
            "warnings": [warning for warning in warnings if warning],
            **figures.as_json(),
            **shares(self.evidence.run, self.evidence.workload, usd=figures.usd or 0),
        }

    def choices(self) -> list[dict[str, Any]]:
        """The same run priced in other sizes, the cheapest first."""
        rows = []
        for size in self.section.choices:
            figures = self.month(self.section.candidate.sized_as(size))
            rows.append({"name": size.name, **figures.as_json(), "note": ASSUMED})
        return sorted(rows, key=lambda row: (row["usd"] is None, row["usd"]))
