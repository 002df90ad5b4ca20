"""Whether a series rises or falls, slowly: Theil-Sen's slope and Mann and Kendall's test.

Windows of a long run are not independent, and both are told so in their own way. The interval of
the slope is Sen's (JASA 63, 1968) with its variance widened as for an AR(1) series of the lag-1
correlation found, whose bias is taken out. A bootstrap over blocks was tried instead: with 24 to 96
windows of correlated noise it covers 69 to 84 % where it says 90 %. The test is that of Hamed and
Rao (Journal of Hydrology 204, 1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.stats.estimate import Bools, Floats, Int64s

_MOST_CORRELATION = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Slope per unit of time with its interval, None where the series cannot bound it.

    `p` is Mann and Kendall's, two-sided; `correlation` that of neighbours.
    """

    slope: float
    interval: tuple[float, float] | None
    p: float
    correlation: float


def find_trend(
    at: Floats, values: Floats, *, segment: Int64s | None = None, confidence: float
) -> Trend:
    """The trend of `values` (n >= 4) at times `at` (n, ascending).

    With `segment` (n, its number) only values of the same segment are compared, so that a step
    between segments is no part of the slope.
    """
    n = len(values)
    segment = np.zeros(n, np.int64) if segment is None else segment
    first, second = np.triu_indices(n, 1)
    pairs = segment[first] == segment[second]
    first, second = first[pairs], second[pairs]
    slopes = np.sort((values[second] - values[first]) / (at[second] - at[first]))
    if not len(slopes):
        return Trend(slope=0.0, interval=None, p=1.0, correlation=0.0)
    slope = float(np.median(slopes))
    left = without_levels(values - slope * at, segment)
    correlation = correlation_of(left)
    widened = max(1.0, (1 + correlation) / (1 - correlation))
    sizes = np.bincount(segment).astype(float)
    spread = math.sqrt(float((sizes * (sizes - 1) * (2 * sizes + 5)).sum()) / 18 * widened)
    reach = float(special.ndtri((1 + confidence) / 2)) * spread
    low, high = math.floor((len(slopes) - reach) / 2) - 1, math.ceil((len(slopes) + reach) / 2)
    known = low >= 0 and high < len(slopes)
    return Trend(
        slope=slope,
        interval=(float(slopes[low]), float(slopes[high])) if known else None,
        p=mann_kendall(without_levels(values, segment)),
        correlation=correlation,
    )


def without_levels(values: Floats, segment: Int64s) -> Floats:
    """Values less the median of their segment, plus that of all."""
    levels = np.array([np.median(values[segment == k]) for k in range(int(segment.max()) + 1)])
    lowered: Floats = values - levels[segment] + np.median(values)
    return lowered


def mann_kendall(values: Floats) -> float:
    """p of "no trend", two-sided, with the correction of Hamed and Rao.

    S counts pairs that rise less pairs that fall. Its variance is multiplied by
    1 + 2 / (n(n-1)(n-2)) sum (n-k)(n-k-1)(n-k-2) rho_k, over lags k whose rank correlation rho_k,
    the trend taken out, is significant at 5 %.
    """
    n = len(values)
    first, second = np.triu_indices(n, 1)
    s = float(np.sign(values[second] - values[first]).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    slope = float(np.median((values[second] - values[first]) / (second - first)))
    _, place, equal = np.unique(
        values - slope * np.arange(n), return_inverse=True, return_counts=True
    )
    # Equal ones share the mean of their ranks.
    ranks = (np.cumsum(equal) - (equal - 1) / 2)[place]
    ranks -= ranks.mean()
    lags = np.arange(1, n - 2)
    whole = float(ranks @ ranks)
    if variance <= 0 or whole == 0:
        return 1.0
    rho = np.array([ranks[k:] @ ranks[:-k] for k in lags.tolist()]) / whole
    heavy: Bools = np.abs(rho) > float(special.ndtri(0.975)) / math.sqrt(n)
    weights = (n - lags) * (n - lags - 1) * (n - lags - 2)
    factor = 1 + 2 / (n * (n - 1) * (n - 2)) * float((weights * rho)[heavy].sum())
    z = (s - np.sign(s)) / math.sqrt(variance * max(factor, 1e-9))
    return float(2 * special.ndtr(-abs(z)))


def correlation_of(left: Floats) -> float:
    """Lag-1 correlation of what a trend leaves, not below zero.

    A series of n that was detrended shows less of it: rho - (2 + 4 rho) / n on average.
    """
    n, centred = len(left), left - left.mean()
    whole = float(centred @ centred)
    if n <= 5 or whole == 0:
        return 0.0
    found = float(centred[1:] @ centred[:-1]) / whole
    return min(max((found * n + 2) / (n - 4), 0.0), _MOST_CORRELATION)
