"""Steps of a series that may also have a trend: a level that is another one from one window on.

Change points by energy distance propose them; a trend has such points too. So each must hold in a
fit of a line with steps, by a t-test at the correlation that the fit leaves, and the values next to
it must jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.stats.change_points import change_points
from reports.stats.estimate import Floats
from reports.stats.trend import correlation_of

LEAST_SIDE = 3
"""Windows on either side of a step; it may lie as far from where it was proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `index` on the series is higher by `height`, whatever its trend."""

    index: int
    height: float


def find_steps(at: Floats, values: Floats, *, least: float, max_p: float = 0.0001) -> list[Step]:
    """Steps of at least `least` either way in logarithms `values` (n) at times `at` (n), ascending.

    Checked with noise of an AR(1) series, 24 and 96 windows: none is found where there is none in
    at least 95 of 100 series, with a trend and without, up to a correlation of 0.5.
    """
    n = len(values)
    proposed = change_points(np.exp(values - np.median(values)), window=n)
    places = [each.index for each in proposed if LEAST_SIDE <= each.index <= n - LEAST_SIDE]
    while places:
        for number in range(len(places)):
            places = _moved(at, values, places, number)
        heights, errors, freedom = _fit(at, values, places)
        p = 2 * special.stdtr(freedom, -np.abs(heights) / errors)
        jumps = np.array([_jump(values, place) for place in places])
        p[(np.abs(heights) < least) | (jumps / heights < 0.5)] = 1.0
        weakest = int(p.argmax())
        if p[weakest] < max_p:
            return [Step(index=i, height=h) for i, h in zip(places, heights.tolist(), strict=True)]
        del places[weakest]
    return []


def segments(n: int, steps: Sequence[Step]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of steps before each of n values (n)."""
    return np.searchsorted([step.index for step in steps], np.arange(n), side="right")


def _moved(at: Floats, values: Floats, places: list[int], number: int) -> list[int]:
    """The same with one place where it fits best, near where it was."""
    here, others = places[number], places[:number] + places[number + 1 :]
    near = range(here - LEAST_SIDE, here + LEAST_SIDE + 1)
    free = [
        place
        for place in near
        if all(abs(place - other) >= LEAST_SIDE for other in (0, len(values), *others))
    ]
    tried = [sorted([*others, place]) for place in free or [here]]
    return min(tried, key=lambda places: float((_left(at, values, places) ** 2).sum()))


def _design(at: Floats, places: Sequence[int]) -> Floats:
    after = [(np.arange(len(at)) >= place).astype(float) for place in places]
    return np.stack([np.ones(len(at)), at, *after], axis=1)


def _left(at: Floats, values: Floats, places: Sequence[int]) -> Floats:
    design = _design(at, places)
    left: Floats = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return left


def _fit(at: Floats, values: Floats, places: Sequence[int]) -> tuple[Floats, Floats, int]:
    """Heights of steps, their standard errors, and degrees of freedom, of a line with steps."""
    design, left = _design(at, places), _left(at, values, places)
    freedom, rho = len(values) - design.shape[1], correlation_of(left)
    variance = float(left @ left) / freedom * (1 + rho) / (1 - rho)
    inverse = np.linalg.pinv(design.T @ design)
    errors = np.sqrt(np.maximum(np.diag(inverse) * variance, 1e-24))
    return (inverse @ (design.T @ values))[2:], errors[2:], freedom


def _jump(values: Floats, place: int) -> float:
    before, after = values[place - LEAST_SIDE : place], values[place : place + LEAST_SIDE]
    return float(np.median(after) - np.median(before))
