"""Where a series changed its level: E-divisive splits, then weak points are merged away.

A split is looked for by the energy distance of what lies before and after it, which assumes no
shape of the distribution (Matteson and James, arXiv 1306.4933). Instead of a permutation test,
whose answer depends on its seed, a t-test decides, first with a relaxed limit in windows of the
series; then the weakest points are dropped one by one until each that is left holds against its
neighbours (Fleming et al., Hunter, arXiv 2301.03034). The same series gives the same points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.stats.estimate import Floats

LEAST_SIDE = 2
"""Values on either side of a change: one alone is an outlier."""

_RELAXED = 10.0
"""How much weaker a point may be before merging: neighbours hide each other at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """The level of a series is another one from `index` on.

    `before` and `after` are the means of the values between the neighbouring change points, `p` is
    of the two-sided t-test between these.
    """

    index: int
    before: float
    after: float
    p: float

    @property
    def change(self) -> float:
        """After over before, less 1: 0.129 is +12.9 %; infinite where `before` is 0."""
        if self.before == self.after:
            return 0.0
        return self.after / self.before - 1 if self.before else math.copysign(math.inf, self.after)

    @property
    def magnitude(self) -> float:
        """The greater of the relative changes there and back, so that a fall counts as a rise."""
        if self.change == 0 or math.isinf(self.change) or self.after == 0:
            return abs(self.change)
        return max(abs(self.change), abs(self.before / self.after - 1))


def change_points(
    values: Floats, *, max_p: float = 0.0001, min_magnitude: float = 0.05, window: int = 50
) -> list[ChangePoint]:
    """Change points of `values` (n, finite, in order of time), ascending.

    Each has `p` below `max_p` and a magnitude of at least `min_magnitude`. `max_p` is small because
    the place was chosen first: of 1,000 series of 40 values without a change, at most 3 show one
    where noise is normal or log-normal, and 46 where one value in twenty is 30 % higher. `window`
    is how many values are looked at together; old points then stay when values are added.
    """
    edges = [0, *_weak_points(values, max_p=max_p * _RELAXED, window=window), len(values)]
    while points := [_point(values, *edges[at : at + 3]) for at in range(len(edges) - 2)]:
        weakest = max(points, key=lambda point: point.p)
        if weakest.p < max_p:
            weakest = min(points, key=lambda point: point.magnitude)
            if weakest.magnitude >= min_magnitude:
                break
        edges.remove(weakest.index)
    return points


def _weak_points(values: Floats, *, max_p: float, window: int) -> list[int]:
    """Indices of all splits with p below `max_p`, in windows that overlap by half."""
    found: list[int] = []
    start = 0
    while start < len(values):
        inside = _splits(values[start : start + window], max_p=max_p)
        found += [start + index for index in inside]
        start = max(start + window // 2, found[-1] if inside else 0)
    return sorted(set(found))


def _splits(values: Floats, *, max_p: float) -> list[int]:
    """Indices at which `values` and then its parts are split, ascending."""
    if len(values) < 2 * LEAST_SIDE:
        return []
    at, end = _best_split(values)
    if _point(values, 0, at, end).p >= max_p:
        return []
    left, right = _splits(values[:at], max_p=max_p), _splits(values[at:], max_p=max_p)
    return [*left, at, *(at + index for index in right)]


def _best_split(values: Floats) -> tuple[int, int]:
    """The split and the end of its right side with the greatest energy distance between sides.

    The end is looked for too because a second change behind it would hide the first. The first
    of several equal ones is taken.
    """
    n = len(values)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = np.abs(values[:, None] - values[None, :]).cumsum(axis=0).cumsum(axis=1)
    at, end = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    left, right = at, end - at
    corner = np.diagonal(sums)
    across = sums - corner[:, None]
    within = corner[None, :] - 2 * sums + corner[:, None]
    allowed = (left >= LEAST_SIDE) & (right >= LEAST_SIDE)
    m, k = np.where(allowed, left, 2), np.where(allowed, right, 2)
    energy = 2 * across / (m * k) - corner[:, None] / (m * (m - 1)) - within / (k * (k - 1))
    distance = np.where(allowed, energy * m * k / (m + k), -np.inf)
    split, stop = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(split), int(stop)


def _point(values: Floats, start: int, at: int, end: int) -> ChangePoint:
    """`values[start:at]` against `values[at:end]`: means and p of a t-test, variance pooled."""
    left, right = values[start:at], values[at:end]
    before, after = float(left.mean()), float(right.mean())
    squares = float(((left - before) ** 2).sum() + ((right - after) ** 2).sum())
    freedom = len(left) + len(right) - 2
    error = math.sqrt(squares / freedom * (1 / len(left) + 1 / len(right))) if freedom else 0.0
    if error == 0:
        p = 1.0 if before == after or not freedom else 0.0
    else:
        p = 2 * float(special.stdtr(freedom, -abs(after - before) / error))
    return ChangePoint(index=at, before=before, after=after, p=p)
