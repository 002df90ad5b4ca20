"""The bootstrap of a quantile over time blocks without drawing one: by its scores.

A resample gives block b the weight w_b, and its p-quantile is at most x where the weighted sum of
e_b = C_b(x) - p N_b is not negative: C_b(x) samples of the block are up to x, N_b are in it. Of
multinomial weights that sum has mean sum(e) and variance sum(e^2) - sum(e)^2 / B, and is nearly
normal. So the quantile of a resample is the first sample whose score, mean over deviation, reaches
a normal draw z (Woodruff, JASA 47(260), 1952, inverts the same score at its bounds). Two samples
over the same blocks get draws that are correlated as their e are.

Ten thousand templates take a second or two; to draw and count their resamples took ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.stats.estimate import Floats, Int64s
from reports.stats.quantiles import nearest_rank

_REACH = 5.0
"""Half of the window of scores that are looked at, in deviations; it widens where they differ."""

_LEAST = 3.5
"""What the scores at both ends of a window reach at least: few draws of a thousand are beyond."""

_TINY = 1e-9
"""Stands for no variance at all, as of samples in one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Latencies `values_us` (n > 0), which ascend; `block` (n) of each; `held` (blocks) of each."""

    values_us: Int64s
    block: npt.NDArray[np.integer[Any]]
    held: Int64s

    @classmethod
    def of(cls, values_us: Int64s, block: npt.NDArray[np.integer[Any]], blocks: int) -> Sample:
        """Count the samples of each block."""
        held = np.bincount(block, minlength=blocks)
        return cls(values_us=values_us, block=block, held=held)


def normal_draws(resamples: int, *, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Two independent series of normal draws (resamples), evenly spread over their distribution."""
    spread: Floats = special.ndtri((np.arange(resamples) + 0.5) / resamples)
    return spread, generator.permutation(spread)


def log_ratios(one: Sample, two: Sample, p: float, *, draws: tuple[Floats, Floats]) -> Floats:
    """log(Q_p of `two` / Q_p of `one`) of each resample (resamples), the same blocks in both."""
    left, right = _scores(one, p), _scores(two, p)
    both = left.variance * right.variance
    shared = float(left.excess @ right.excess) / math.sqrt(both) if both > 0 else 0.0
    shared = min(1.0, max(-1.0, shared))
    other = shared * draws[0] + math.sqrt(1 - shared**2) * draws[1]
    found: Floats = right.logs_at(other) - left.logs_at(draws[0])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """`scores` (m) of the samples in a window, ascending, and logarithms of their latencies (m).

    `excess` (blocks) is C_b - p N_b at the quantile itself less its mean, `variance` the sum of its
    squares.
    """

    scores: Floats
    logs: Floats
    excess: Floats
    variance: float

    def logs_at(self, draws: Floats) -> Floats:
        at = self.scores.searchsorted(draws)
        logs: Floats = self.logs[np.minimum(at, len(self.logs) - 1)]
        return logs


def _scores(sample: Sample, p: float) -> _Scores:
    n, blocks = len(sample.values_us), len(sample.held)
    rank = nearest_rank(n, p)
    excess = np.bincount(sample.block[:rank], minlength=blocks) - p * sample.held
    centred = excess - excess.sum() / blocks
    deviation2 = float(centred @ centred)
    half = math.ceil(_REACH * math.sqrt(deviation2) + 2)
    while True:
        start, stop = max(0, rank - half), min(n, rank + half)
        block = sample.block[start:stop]
        within = np.bincount(block, minlength=blocks)
        before = excess - np.bincount(sample.block[start:rank], minlength=blocks)
        # How many of its own block are before a sample: its place among them in their order.
        order, count = block.argsort(kind="stable"), np.arange(len(block))
        e = np.empty(len(block))
        e[order] = count + np.repeat(before - (within.cumsum() - within), within)
        # One sample more of a block takes its square from e^2 to (e + 1)^2.
        squares = (2 * e + 1).cumsum() + before @ before
        total = count + (before.sum() + 1)
        variance = np.maximum(squares - total * total / blocks, _TINY)
        scores = np.maximum.accumulate(total / np.sqrt(variance))
        short = (start > 0 and scores[0] > -_LEAST) or (stop < n and scores[-1] < _LEAST)
        if not short:
            logs = np.log(np.maximum(sample.values_us[start:stop], 1))
            return _Scores(scores=scores, logs=logs, excess=centred, variance=deviation2)
        half *= 2
