"""From a run and its configuration to what both places cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from replay.errors import UsageError
from reports.cost.model import Cost, Figures
from reports.cost.month import monthly_usage, price_baseline, stages, volume
from reports.cost.place import Place, place_of_target, price_place
from reports.cost.prices import Ask, Prices
from reports.cost.section import read_section
from reports.cost.shares import shares
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

    Several runs are priced as the first, with the mean of what they used.

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
    stated, ran_on = section.candidate, place_of_target(evidence.document.get("target") or {})
    used = _use_of(evidence, ran_on)
    evidence = evidence.runs[0]
    statements, formula = volume(evidence, section)

    def month(place: Place) -> Figures:
        usage = monthly_usage(used(place), place, evidence, statements)
        if not place.sized or (place.serverless and usage.rpu_seconds is None):
            return Figures(reason=f"the {'RPU-hours' if place.sized else 'size'} of 2.0")
        return price_place(place, prices, usage)

    # The size of a run may lack a price without being a mistake of the configuration.
    by_run = ran_on.sized and (as_run or not stated.sized)
    kept = stated.sized_as(ran_on)
    candidate = _attempt(lambda: month(kept)) if by_run else month(stated)
    baseline = price_baseline(section.baseline, prices)
    missing = [figures.reason for figures in (baseline, candidate) if figures.reason]
    sizes = ((size.name, month(stated.sized_as(size))) for size in section.choices)
    choices = [{"name": name, **figures.as_json(), "note": ASSUMED} for name, figures in sizes]
    return Cost(
        baseline=baseline,
        candidate=candidate,
        statements_per_month=statements,
        volume_formula=formula,
        region=section.region,
        reason=f"not stated: {' and '.join(missing)}" if missing else None,
        more={
            "run": _run(evidence, kept, prices, used(kept)),
            "stages": stages(baseline, candidate),
            "choices": sorted(choices, key=lambda row: (row["usd"] is None, row["usd"])),
        },
    )


def _attempt(price: Callable[[], Figures]) -> Figures:
    try:
        return price()
    except UsageError as error:
        return Figures(reason=f"{error}; {error.hint}")


def _use_of(evidence: Evidence, ran_on: Place) -> Callable[[Place], Usage]:
    """What the run would have used of a place, busy for as long as it was."""
    runs = [each.run for each in evidence.runs]
    read = read_usage(*runs)
    busy = cache(lambda: sum(map(busy_seconds, runs)) / len(runs))

    def used(place: Place) -> Usage:
        charged, rpu = read.rpu_seconds, place.rpu
        if charged is None and rpu:
            words = f"{busy():,.0f} s with a statement under way × {rpu:g} RPU"
            basis = f"reckoned: {words}; {NOT_READ}"
            return replace(read, rpu_seconds=busy() * rpu, basis=basis, reckoned=True)
        if charged is not None and rpu and ran_on.rpu and rpu != ran_on.rpu:
            basis = f"{read.basis} × {rpu:g}/{ran_on.rpu:g} RPU"
            return replace(read, rpu_seconds=charged * rpu / ran_on.rpu, basis=basis)
        return read

    return used


def _run(evidence: Evidence, place: Place, prices: Prices, usage: Usage) -> dict[str, Any]:
    """The run itself: its cost and shares, or why they are not known."""
    if not place.sized:
        return {"usd": None, "reason": "not known: its target states no size"}
    document, hours = evidence.document, evidence.length_us / 3600e6
    if document.get("ended_at"):
        first, last = (datetime.fromisoformat(document[k]) for k in ("started_at", "ended_at"))
        hours = (last - first).total_seconds() / 3600 or hours
    figures = _attempt(lambda: price_place(place, prices, usage, run_hours=hours))
    if figures.usd is None:
        return {"usd": None, "reason": f"not known: {figures.reason}"}
    warnings = [usage.warning] if usage.warning else []
    shared = shares(evidence.run, evidence.workload, usd=figures.usd)
    return {"place": place.name, "warnings": warnings, **figures.as_json(), **shared}
