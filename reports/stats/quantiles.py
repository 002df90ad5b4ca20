"""Exact quantiles of a sorted sample, nearest rank, with their order-statistic interval."""

from __future__ import annotations

import math

from reports.stats.estimate import Estimate, Int64s
from reports.stats.interval import quantile_interval
from reports.stats.needed import printable


def nearest_rank(n: int, p: float) -> int:
    """The 1-based rank of the p-quantile: the least r with r/n >= p, so ceil(n p), at least 1.

    The value at that rank is one that was measured; nothing is interpolated. This is
    definition 1 of Hyndman and Fan (1996), `inverted_cdf` in numpy.
    """
    # n*p a hair above a whole number (0.95 * 100 = 95.00000000000001...) must not move the rank.
    return min(n, max(1, math.ceil(n * p - 1e-9)))


def quantile(ordered: Int64s, p: float) -> int:
    """The p-quantile of an ascending, non-empty array, by nearest rank."""
    return int(ordered[nearest_rank(len(ordered), p) - 1])


def estimate_quantile(ordered: Int64s, p: float, *, confidence: float = 0.90) -> Estimate:
    """The p-quantile of an ascending array, with its two-sided interval.

    With fewer than ten samples beyond it the quantile is not printable: `value` is None and a
    warning says how many samples it needs.
    """
    n = len(ordered)
    method = "nearest rank; interval from order statistics"
    refusal = printable(n, p)
    if refusal is not None:
        return Estimate(value=None, n=n, method=method, warnings=(refusal,))
    low, high = quantile_interval(n, p, confidence=confidence)
    return Estimate(
        value=float(quantile(ordered, p)),
        interval=(
            None if low is None else float(ordered[low - 1]),
            None if high is None else float(ordered[high - 1]),
        ),
        n=n,
        method=method,
    )
