"""Many tests at once: p-values of one template each, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import special

Correction = Literal["bh", "holm"]


def p_over_margin(
    *, ratio: float, log_error: float, margin: float, freedom: float = math.inf
) -> float:
    """One-sided p-value of "the true ratio is at most the margin".

    The normal tail, or Student's with so much `freedom`, with the bootstrap's standard error of
    log(ratio): a share of resamples could not resolve the small p-values that a long list of
    templates asks for.
    """
    distance = math.log(margin / ratio)
    if log_error == 0:
        return 1.0 if distance >= 0 else 0.0
    # Of infinitely many degrees Student's t is the normal distribution, which scipy knows apart.
    z = distance / log_error
    return float(special.stdtr(freedom, z) if math.isfinite(freedom) else special.ndtr(z))


def adjust(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Adjusted p-values in the order given.

    `bh` bounds the share of false discoveries (Benjamini and Hochberg 1995), `holm` the chance
    of even one (Holm 1979).
    """
    if not p_values:
        return []
    n, order = len(p_values), np.argsort(p_values, kind="stable")
    ascending = np.asarray(p_values)[order]
    if correction == "bh":
        scaled = np.minimum.accumulate((ascending * (n / np.arange(1, n + 1)))[::-1])[::-1]
    else:
        scaled = np.maximum.accumulate(ascending * np.arange(n, 0, -1))
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(scaled, 1)
    return [float(p) for p in adjusted]
