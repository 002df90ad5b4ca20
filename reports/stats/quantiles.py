"""Exact quantiles of a sorted sample with their intervals, and the samples they need.

A quantile is a value that was measured (nearest rank) and its interval comes from order
statistics, so neither assumes anything about the shape of latencies.
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import special

from reports.stats.estimate import Estimate, Int64s

PRINT_TAIL = 10
"""Samples beyond a quantile below which it is not printed."""

GATE_TAIL = 100
"""Samples beyond a quantile below which it does not gate: its tail is known to about 20 %."""


def nearest_rank(n: int, p: float) -> int:
    """The 1-based rank of the p-quantile: the least r with r/n >= p, at least 1.

    Definition 1 of Hyndman and Fan (1996), `inverted_cdf` in numpy.
    """
    # n*p a hair above a whole number (0.95 * 100 = 95.00000000000001...) must not move the rank.
    return min(n, max(1, math.ceil(n * p - 1e-9)))


def quantile(ordered: Int64s, p: float) -> int:
    """The p-quantile of an ascending, non-empty array, by nearest rank."""
    return int(ordered[nearest_rank(len(ordered), p) - 1])


def quantile_interval(n: int, p: float, *, confidence: float) -> tuple[int | None, int | None]:
    """1-based ranks whose order statistics bound the p-quantile of n > 0 samples, two-sided.

    With a = 1 - confidence, the ranks are BinomPPF(a/2; n, p) and BinomPPF(1 - a/2; n, p) + 1
    (Conover, Practical Nonparametric Statistics, 3.2). None is an end that n samples cannot bound.
    """
    tail = (1 - confidence) / 2
    low, high = _binomial_ppf(tail, n, p), _binomial_ppf(1 - tail, n, p) + 1
    return (low if low >= 1 else None), (high if high <= n else None)


@lru_cache(1 << 10)
def _binomial_ppf(q: float, n: int, p: float) -> int:
    """The least k with P(X <= k) >= q: scipy's `binom.ppf` without its checks, for its speed.

    Both arms of a template ask the same, one after the other.
    """
    k = math.ceil(special.bdtrik(q, n, p))
    return k - 1 if k > 0 and special.bdtr(k - 1, n, p) >= q else k


def share_interval(k: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson bounds of the share k/n, two-sided; [0, 1] when n is 0."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(special.betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(special.betaincinv(k + 1, n - k, 1 - tail))
    return low, high


def estimate_quantile(ordered: Int64s, p: float, *, confidence: float = 0.90) -> Estimate:
    """The p-quantile of an ascending array, with its two-sided interval.

    With fewer than ten samples beyond it `value` is None and a warning says how many it needs.
    """
    n = len(ordered)
    refusal = printable(n, p)
    if refusal is not None:
        return Estimate(value=None, n=n, warnings=(refusal,))
    ranks = quantile_interval(n, p, confidence=confidence)
    low, high = (None if rank is None else float(ordered[rank - 1]) for rank in ranks)
    return Estimate(value=float(quantile(ordered, p)), interval=(low, high), n=n)


def samples_for(p: float, tail: int) -> int:
    """The least n with `tail` samples expected beyond the p-quantile: n (1 - p) >= tail."""
    return math.ceil(round(tail / (1 - p), 6))


def printable(n: int, p: float) -> str | None:
    """Why n samples are too few to print the p-quantile, or None when they are enough."""
    needed = samples_for(p, PRINT_TAIL)
    return None if n >= needed else f"{n:,} samples, needs {needed:,}"


def needed_for_margin(
    *, n: int, ratio: float, interval: tuple[float, float], margin: float
) -> int | None:
    """Samples with which this ratio's interval would lie on one side of the margin.

    The interval of log(ratio) narrows with the square root of n. With d the distance of the
    estimate to the margin and h the half of the interval on that side, n (h/d)^2 samples would
    decide every other time, for the estimate moves too; 3.2 times as many decide nine times in
    ten: ((1.645 + 1.282) / 1.645)^2, the quantiles of a one-sided test of 5 % and of its power.
    None when the estimate sits on the margin, which no sample size resolves. An extrapolation
    from an estimate: a run that takes its advice and is still undecided gives a better one.
    """
    low, high = interval
    if min(ratio, low, high, margin) <= 0 or not math.isfinite(high):
        return None
    distance = abs(math.log(margin / ratio))
    half = math.log(high / ratio) if ratio <= margin else math.log(ratio / low)
    if distance < 1e-4 or half <= 0:
        return None
    return max(n, math.ceil(n * _POWER * (half / distance) ** 2))


_POWER = 3.2
