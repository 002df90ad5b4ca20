"""How bad the next value of a series may be before the earlier ones do not expect it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import special, stats

from reports.stats.estimate import Floats

LEAST_VALUES = 10
"""Earlier values below which nothing is expected: the largest of 9 is exceeded once in ten."""

_NORMAL = 0.6745
"""MAD of a standard normal distribution (Iglewicz and Hoaglin, modified z)."""

_DEVIATIONS = 5.0
"""Of a robust standard deviation. With 3.5, where a single value would be called an outlier, one
series of 40 nights in 12 gave a false alarm on some night; with 5 it is at most one in 80."""


def prediction_limit(
    past: Floats, starts: Sequence[int], *, more_is_worse: bool, least: float, least_share: float
) -> float | None:
    """What the value after `past` (n, in order) must not be worse than; None for fewer than 10.

    The worst of three: the worst of all n before, which one more exceeds by chance once in n + 1
    times; the median and 5 robust deviations, with Student's tails for small n; and `least_share`
    of the level and `least`, in the unit of `past`, which a difference must reach to matter.

    `starts` are where `past` changed its level, ascending. Deviations are counted from the median
    of their own level and relative to it, so that nights before a change still tell how much
    nights differ. Of a level of 0 they are absolute.
    """
    n = len(past)
    if n < LEAST_VALUES:
        return None
    sign = 1 if more_is_worse else -1
    edges = [0, *starts, n]
    levels = [past[start:end] for start, end in pairwise(edges)]
    medians = [float(np.median(level)) for level in levels]
    scales = [abs(median) or 1.0 for median in medians]
    deviations = sign * np.concatenate(
        [(part - m) / scale for part, m, scale in zip(levels, medians, scales, strict=True)]
    )
    spread = float(stats.median_abs_deviation(deviations)) / _NORMAL
    tail = -float(special.stdtrit(n - 1, special.ndtr(-_DEVIATIONS)))
    reach = tail * math.sqrt(1 + 1 / len(levels[-1])) * spread
    matters = max(least_share * abs(medians[-1]), least) / scales[-1]
    worst = max(float(deviations.max()), reach, matters)
    return medians[-1] + sign * worst * scales[-1]
