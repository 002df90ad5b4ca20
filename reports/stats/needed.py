"""How many samples a statement about a quantile needs, before and after looking."""

from __future__ import annotations

import math

PRINT_TAIL = 10
"""Samples beyond a quantile below which it is not printed."""

GATE_TAIL = 100
"""Samples beyond a quantile below which it does not gate: its tail is known to about 20 %."""


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

    The interval of log(ratio) narrows with the square root of n, so with d the distance of the
    estimate to the margin and h the half of the interval on that side, n (h/d)^2. None when the
    estimate sits on the margin, which no sample size resolves. An extrapolation, not a promise.
    """
    low, high = interval
    if min(ratio, low, high, margin) <= 0 or not math.isfinite(high):
        return None
    distance = abs(math.log(margin / ratio))
    half = math.log(high / ratio) if ratio <= margin else math.log(ratio / low)
    if distance < 1e-4 or half <= 0:
        return None
    return max(n, math.ceil(n * (half / distance) ** 2))
