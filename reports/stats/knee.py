"""The load at which gates break: between the last level that passed and the first that failed.

No shape of the curve is assumed for the bracket, only that more load never helps. As each end is
decided by gates of one-sided confidence, the bracket is an interval of twice that, less one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 3.0
"""Pressures are cut at this, a factor of twenty: a limit of zero has no logarithm."""

WITHIN = 1.15
"""A bracket whose ends are in this ratio is narrow enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A load that was tried. `outcome`: pass, fail, undecided or invalid.

    `pressure` is ln(observed / limit) of the worst gate, negative where it keeps its limit; None
    where no gate tells.
    """

    scale: float
    outcome: str
    pressure: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """The bracket (`low` None: nothing passed; `high` None: nothing failed) and the knee in it."""

    low: float | None
    high: float | None
    value: float | None


def log_over(observed: float, limit: float) -> float:
    """ln(observed / limit), within `MOST` of zero; a limit of zero is broken or kept by far."""
    if observed <= 0 or limit <= 0:
        return MOST if observed > limit else -MOST
    return float(np.clip(math.log(observed / limit), -MOST, MOST))


def find_knee(levels: Sequence[Level]) -> Knee:
    """The bracket from outcomes; within it the load at which the worst gate meets its limit.

    That point is interpolated, straight in logarithms of load and pressure, over the levels of
    the bracket, undecided ones too, made monotone by a running maximum.
    """
    high = min((each.scale for each in levels if each.outcome == "fail"), default=None)
    passed = (each.scale for each in levels if each.outcome == "pass")
    low = max((scale for scale in passed if high is None or scale < high), default=None)
    value = None
    if low is not None and high is not None:
        inside = sorted(
            (math.log(each.scale), each.pressure)
            for each in levels
            if low <= each.scale <= high and each.outcome != "invalid"
            if each.pressure is not None
        )
        rising = np.maximum.accumulate([pressure for _, pressure in inside] or [0.0])
        if rising[0] <= 0 < rising[-1]:
            at = int(np.argmax(rising > 0))
            pair = slice(at - 1, at + 1)
            value = math.exp(np.interp(0.0, rising[pair], [log for log, _ in inside[pair]]))
    return Knee(low=low, high=high, value=value)


def next_scale(levels: Sequence[Level], *, low: float, high: float) -> float | None:
    """Where to look next: doubling from `low` until one breaks, then the middle of the bracket.

    An undecided level counts as broken where its point is beyond the limit. None when `high`
    holds, `low` does not, or the bracket is within 15 %.
    """
    if not levels:
        return low
    broken = [
        each.scale
        for each in levels
        if each.outcome == "fail" or (each.outcome == "undecided" and (each.pressure or 0) > 0)
    ]
    worst = min(broken, default=None)
    best = max((each.scale for each in levels if not worst or each.scale < worst), default=None)
    if worst is None:
        return None if best is None or best >= high else min(2 * best, high)
    return None if best is None or worst / best <= WITHIN else round(math.sqrt(best * worst), 3)
