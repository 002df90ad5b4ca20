"""The formulas: what is metered, times what it costs. Pure; docs/cost.md gives the sources."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from reports.cost.model import Part, Price
from reports.stats.estimate import Floats

HOURS_PER_MONTH = 730
"""A twelfth of a year of 8,760 hours."""

MINIMUM_S = 60
"""Serverless charges at least this whenever it wakes up, concurrency scaling per activation."""

MINIMUM_SCANNED_BYTES = 10_000_000
"""Spectrum charges at least this for each query."""

MONTHLY_CREDIT_S = 30 * 3600
"""Concurrency scaling that is free: an hour a day of the main cluster, 30 kept at most."""


def priced(name: str, price: Price, *factors: tuple[float, str], note: str = "") -> Part:
    """The product of `factors`, each with its unit, and the price."""
    usd = price.usd
    for value, _ in factors:
        usd *= value
    words = " × ".join(f"{value:,.7g} {what}" for value, what in factors)
    return Part(
        name=name,
        usd=usd,
        formula=f"{words} × USD {price.usd:g} per {price.unit}",
        source=price.source,
        date=price.date,
        unverified=price.unverified,
        note=note,
    )


def scaling_seconds(metered: float, *, activations: int = 1, credit: float = 0) -> float:
    """Seconds of concurrency scaling that are charged: a minute an activation, less the credit."""
    return max(0.0, max(metered, activations * MINIMUM_S) - credit) if metered > 0 else 0.0


def scanned_tb(bytes_by_query: Iterable[float]) -> float:
    """Terabytes (10^12 bytes) that Spectrum charges for."""
    return sum(max(scanned, MINIMUM_SCANNED_BYTES) for scanned in bytes_by_query) / 1e12


def serverless_seconds(starts: Floats, ends: Floats) -> float:
    """Seconds that serverless charges for statements under way from `starts` to `ends` (n).

    From one that wakes it to the end of the last that overlaps, at least a minute; a statement
    within that minute starts none of its own.
    """
    if not len(starts):
        return 0.0
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.r_[True, starts[1:] > ends[:-1]])
    last = np.r_[first[1:], len(starts)] - 1
    total, until = 0.0, -np.inf
    for start, end in zip(starts[first].tolist(), ends[last].tolist(), strict=True):
        stop = max(end, until if start < until else start + MINIMUM_S)
        total += stop - max(start, until)
        until = stop
    return total
