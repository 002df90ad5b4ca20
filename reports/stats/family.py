"""Many tests at once: p-values of one template each, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

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
    return float(stats.t.cdf(distance / log_error, freedom))


def adjust(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Adjusted p-values in the order given.

    `bh` bounds the share of false discoveries (Benjamini and Hochberg 1995), `holm` the chance
    of even one (Holm 1979).
    """
    if not p_values:
        return []
    if correction == "bh":
        return [float(p) for p in stats.false_discovery_control(list(p_values), method="bh")]
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in adjusted]
