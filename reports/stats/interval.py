"""Exact intervals from the binomial distribution: for a quantile and for a share."""

from __future__ import annotations

from scipy import stats


def quantile_interval(n: int, p: float, *, confidence: float) -> tuple[int | None, int | None]:
    """1-based ranks whose order statistics bound the p-quantile, two-sided.

    With a = 1 - confidence, the ranks are BinomPPF(a/2; n, p) and BinomPPF(1 - a/2; n, p) + 1
    (Conover, Practical Nonparametric Statistics, 3.2). None is an end that n samples cannot bound.
    """
    if n == 0:
        return None, None
    tail = (1 - confidence) / 2
    low = int(stats.binom.ppf(tail, n, p))
    high = int(stats.binom.ppf(1 - tail, n, p)) + 1
    return (low if low >= 1 else None), (high if high <= n else None)


def share_interval(k: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson bounds of the share k/n, two-sided; [0, 1] when n is 0."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(stats.beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(stats.beta.ppf(1 - tail, k + 1, n - k))
    return low, high
