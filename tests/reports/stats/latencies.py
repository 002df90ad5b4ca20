"""Latencies with a known truth: lognormal, alone or in the company of their neighbours."""

from __future__ import annotations

import numpy as np
from scipy import signal, stats

from reports.stats.blocks import BlockCounts, count_by_block
from reports.stats.estimate import Floats, Int64s

BLOCKS = 30
"""The fewest a run is cut into."""

CENTRE_US, SIGMA = 50_000, 0.7


def true_quantile(p: float, *, factor: float) -> float:
    """Q_p of `draw_arms`' latencies in microseconds."""
    return float(CENTRE_US * factor * np.exp(SIGMA * stats.norm.ppf(p)))


def draw_arms(
    generator: np.random.Generator,
    n: int,
    *,
    factor: float,
    autocorrelated: bool = False,
    paired: bool = False,
) -> tuple[Int64s, Int64s]:
    """Latencies (n) of 1.0 and of 2.0, which takes `factor` times as long.

    Autocorrelated: their logarithms are an AR(1) series with coefficient 0.8. Paired: four fifths
    of their variance are of the statement or of the moment, the same on both sides.
    """
    shared, other = (_normal(generator, n, autocorrelated) for _ in range(2))
    if paired:
        own = generator.normal(size=(2, n))
        logs = [np.sqrt(0.8) * shared + np.sqrt(0.2) * noise for noise in own]
    else:
        logs = [shared, other]
    one, two = (
        (CENTRE_US * slower * np.exp(SIGMA * log)).astype(np.int64)
        for slower, log in zip((1.0, factor), logs, strict=True)
    )
    return one, two


def block_of(n: int, blocks: int = BLOCKS) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """The block (n) of samples that came one after the other."""
    return (np.arange(n) * blocks // n).astype(np.int16)


def count(values_us: Int64s) -> BlockCounts:
    """Counted in blocks."""
    return count_by_block(values_us, block_of(len(values_us)), BLOCKS, bin_width=0.005)


def _normal(generator: np.random.Generator, n: int, autocorrelated: bool) -> Floats:
    noise = generator.normal(size=n)
    if not autocorrelated:
        return noise
    noise[1:] *= np.sqrt(1 - 0.8**2)
    series: Floats = signal.lfilter([1], [1, -0.8], noise)
    return series
