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
    failed = [level.scale for level in levels if level.outcome == "fail"]
    high = min(failed, default=None)
    passed = [
        level.scale
        for level in levels
        if level.outcome == "pass" and (high is None or level.scale < high)
    ]
    low = max(passed, default=None)
    value = None
    if low is not None and high is not None:
        inside = sorted(
            (level.scale, level.pressure)
            for level in levels
            if low <= level.scale <= high and level.pressure is not None
            and level.outcome != "invalid"
        )  # fmt: skip
        # A level's outcome outweighs what its points say.
        ends = {low: (-MOST, -1e-9), high: (1e-9, MOST)}
        logs = [math.log(scale) for scale, _ in inside]
        pressures = [float(np.clip(p, *ends.get(scale, (-MOST, MOST)))) for scale, p in inside]
        if len(inside) >= 2 and pressures[0] < 0 < pressures[-1]:
            rising = np.maximum.accumulate(pressures)
            at = int(np.argmax(rising > 0))
            share = -rising[at - 1] / (rising[at] - rising[at - 1])
            value = math.exp(logs[at - 1] + float(share) * (logs[at] - logs[at - 1]))
    return Knee(low=low, high=high, value=value)


def next_scale(levels: Sequence[Level], *, low: float, high: float) -> float | None:
    """Where to look next: doubling from `low` until one breaks, then the middle of the bracket.

    An undecided level counts as broken where its point is beyond the limit. None when `high`
    holds, `low` does not, or the bracket is within 15 %.
    """
    if not levels:
        return low
    broken = [level.scale for level in levels if _breaks(level)]
    worst = min(broken, default=None)
    held = [level.scale for level in levels if worst is None or level.scale < worst]
    if worst is None:
        best = max(held)
        return None if best >= high else min(2 * best, high)
    if not held or worst / max(held) <= WITHIN:
        return None
    return round(math.sqrt(max(held) * worst), 3)


def _breaks(level: Level) -> bool:
    undecided = level.outcome == "undecided" and (level.pressure or 0) > 0
    return level.outcome == "fail" or undecided
