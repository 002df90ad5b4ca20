"""The bootstrap of a quantile over time blocks without drawing one: by its scores.

A resample gives block b the weight w_b, and its p-quantile is at most x where the weighted sum of
e_b = C_b(x) - p N_b is not negative: C_b(x) samples of the block are up to x, N_b are in it. Of
multinomial weights that sum has mean sum(e) and variance sum(e^2) - sum(e)^2 / B, and is nearly
normal. So the quantile of a resample is the first sample whose score, mean over deviation, reaches
a normal draw z (Woodruff, JASA 47(260), 1952, inverts the same score at its bounds). Two samples
over the same blocks get draws that are correlated as their e are.

Many pairs are asked at once: of ten thousand templates numpy's calls alone would take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.stats.estimate import Bools, Floats, Int64s
from reports.stats.quantiles import nearest_rank

_REACH = 5.0
"""Half of the window of scores that are looked at, in deviations; it widens where they differ."""

_LEAST = 3.5
"""What the scores at both ends of a window reach at least: no draw is beyond."""

_FAR = 16.0
"""Scores further from 0 are the same to every draw."""

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


def normal_draws() -> tuple[Floats, Floats]:
    """Two independent series of normal draws (377), evenly spread over the plane, not by luck.

    A Fibonacci lattice (Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, 5):
    the ends of an interval are within 0.04 deviations of those of endless draws, as those of two
    thousand draws by luck are on average.
    """
    points, step = 377, 233
    at = np.arange(points)
    # Half of it on: no point of the lattice is in a corner then, far from all others.
    places = at, (at * step + points // 2) % points
    one, two = (special.ndtri((each + 0.5) / points) for each in places)
    return one, two


def log_ratios(
    one: Sequence[Sample], two: Sequence[Sample], p: float, *, draws: tuple[Floats, Floats]
) -> Floats:
    """log(Q_p of `two` / Q_p of `one`) of each pair and resample (pairs, resamples).

    All samples are over the same blocks, and there is at least one of each.
    """
    left, right = _Scores.of(one, p), _Scores.of(two, p)
    both = np.sqrt(left.variance * right.variance)
    products = np.einsum("ij,ij->i", left.excess, right.excess)
    shared = np.clip(np.divide(products, both, out=np.zeros_like(both), where=both > 0), -1, 1)
    other = shared[:, None] * draws[0] + np.sqrt(1 - shared**2)[:, None] * draws[1]
    found = right.logs_at(other)
    found -= left.logs_at(np.broadcast_to(draws[0], other.shape))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """What scores of `samples` (s) are made of, each up to its quantile at `rank` (s).

    `below` (s, blocks) is C_b - p N_b there, `excess` the same less its mean, `variance` (s) the
    sum of its squares. `half` (s) is how many samples before and after the quantile matter.
    """

    samples: Sequence[Sample]
    rank: Int64s
    below: Floats
    excess: Floats
    variance: Floats
    half: Int64s

    @classmethod
    def of(cls, samples: Sequence[Sample], p: float) -> _Scores:
        blocks = len(samples[0].held)
        rank = [nearest_rank(len(each.values_us), p) for each in samples]
        below = np.array(
            [
                np.bincount(each.block[:r], minlength=blocks) - p * each.held
                for each, r in zip(samples, rank, strict=True)
            ]
        )
        excess = below - below.sum(axis=1, keepdims=True) / blocks
        variance = np.einsum("ij,ij->i", excess, excess)
        half = np.ceil(_REACH * np.sqrt(variance) + 2).astype(np.int64)
        return cls(
            samples=samples, rank=np.array(rank), below=below, excess=excess, variance=variance,
            half=half,
        )  # fmt: skip

    def logs_at(self, draws: Floats) -> Floats:
        """log of the latency whose score reaches each draw (s, resamples), at most the last's."""
        n = np.array([len(each.values_us) for each in self.samples])
        start, stop = np.maximum(0, self.rank - self.half), np.minimum(n, self.rank + self.half)
        size = stop - start
        last = size.cumsum() - 1
        first = last - size + 1
        scores = self._windows(start, stop)
        # One search for all: the scores of each sample are beyond those of the one before.
        beyond = 4 * _FAR * np.arange(len(n))
        keys = np.clip(scores, -_FAR, _FAR) + beyond.repeat(size)
        at = np.maximum.accumulate(keys).searchsorted((draws + beyond[:, None]).ravel())
        at = np.minimum(at.reshape(draws.shape), last[:, None])
        values_us = self._joined("values_us", start, stop)
        found: Floats = np.log(np.maximum(values_us, 1))[at]
        short = ((start > 0) & (scores[first] > -_LEAST)) | ((stop < n) & (scores[last] < _LEAST))
        if short.any():
            found[short] = self._widened(short).logs_at(draws[short])
        return found

    def _windows(self, start: Int64s, stop: Int64s) -> Floats:
        """The scores of samples `start` (s) to `stop` (s), one window after the other."""
        count, blocks = len(self.samples), self.below.shape[1]
        size = stop - start
        first = size.cumsum() - size
        before = self.below - [
            np.bincount(each.block[low:rank], minlength=blocks)
            for each, low, rank in zip(self.samples, start, self.rank, strict=True)
        ]
        cell = (np.arange(count) * blocks).repeat(size)
        cell += self._joined("block", start, stop)
        within = np.bincount(cell, minlength=count * blocks)
        # How many of its own block are before a sample: its place among them in their order.
        order, place = cell.argsort(kind="stable"), np.arange(len(cell))
        e = np.empty(len(cell))
        e[order] = place + (before.ravel() - (within.cumsum() - within)).repeat(within)
        # One sample more of a block takes its square from e^2 to (e + 1)^2.
        squares = np.append(0, (2 * e + 1).cumsum())
        begun = np.einsum("ij,ij->i", before, before) - squares[first]
        total = place + (before.sum(axis=1) + 1 - first).repeat(size)
        variance = np.maximum(squares[1:] + begun.repeat(size) - total**2 / blocks, _TINY)
        scores: Floats = total / np.sqrt(variance)
        return scores

    def _joined(self, name: str, start: Int64s, stop: Int64s) -> npt.NDArray[np.integer[Any]]:
        columns = (getattr(each, name) for each in self.samples)
        cuts = zip(columns, start, stop, strict=True)
        return np.concatenate([column[low:high] for column, low, high in cuts])

    def _widened(self, chosen: Bools) -> _Scores:
        """Some of the samples, with windows twice as wide."""
        return _Scores(
            samples=[self.samples[at] for at in np.flatnonzero(chosen).tolist()],
            rank=self.rank[chosen],
            below=self.below[chosen],
            excess=self.excess[chosen],
            variance=self.variance[chosen],
            half=2 * self.half[chosen],
        )
