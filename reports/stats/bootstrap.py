"""The paired time-block bootstrap of a ratio of quantiles.

Both arms answered the same timetable, so both are resampled with the same block weights: what
a block held (a burst, a heavy template) then enters both sides and cancels. Whole blocks keep
the autocorrelation of latencies inside them. The rule for large samples is to count once
(`blocks.py`) and to resample the counts (compare Schultzberg and Ankargren, arXiv 2202.10992).

A percentile interval from few blocks is too narrow, as a normal interval is from few numbers: of
30 blocks a 90 % one covers 88 %. Its tails are therefore those of Student's t (the expanded
percentile interval of Hesterberg, The American Statistician 69(4), 2015, section 4.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.stats.blocks import BlockCounts, quantiles_of_rows
from reports.stats.estimate import Floats

_ROWS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Ratio candidate / baseline over resamples: interval and standard error of its logarithm.

    `freedom` is that of the error; infinite until what runs differ by takes part, see `runs.py`.
    """

    interval: tuple[float, float] | None
    log_error: float | None
    blocks: int
    freedom: float = math.inf


def block_weights(blocks: int, *, resamples: int, generator: np.random.Generator) -> Floats:
    """Multinomial weights, shape (resamples, blocks); each row sums to `blocks`."""
    return generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=resamples).astype(float)


def resample_quantile_ratios(
    baseline: BlockCounts,
    candidate: BlockCounts,
    probabilities: Sequence[float],
    *,
    weights: Floats,
    confidence: float,
) -> list[Resampled]:
    """Interval of Q_p(candidate) / Q_p(baseline) for each p, two-sided.

    `weights` (resamples, blocks) is applied to both arms; see `block_weights`.
    """
    one, two = (
        _log_quantiles(arm, probabilities, weights=weights) for arm in (baseline, candidate)
    )
    blocks = _shared_blocks(baseline, candidate)
    return [summarise(column, blocks=blocks, confidence=confidence) for column in (two - one).T]


def resample_quantile(
    arm: BlockCounts, p: float, *, weights: Floats, confidence: float
) -> Resampled:
    """The same of one arm's Q_p in microseconds."""
    logs = _log_quantiles(arm, [p], weights=weights)[:, 0]
    return summarise(logs, blocks=_shared_blocks(arm, arm), confidence=confidence)


def resample_share_ratio(
    baseline: tuple[Floats, Floats], candidate: tuple[Floats, Floats], *, weights: Floats,
    confidence: float,
) -> Resampled:  # fmt: skip
    """Interval of the ratio of two shares, each as (part, whole) per block (blocks)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (
            np.log(weights @ part) - np.log(weights @ whole)
            for part, whole in (baseline, candidate)
        )
        # Resamples without any throughput on either side say nothing: NaN, which is left out.
        difference = two - one
    blocks = int(((baseline[1] > 0) & (candidate[1] > 0)).sum())
    return summarise(difference, blocks=blocks, confidence=confidence)


def _log_quantiles(arm: BlockCounts, probabilities: Sequence[float], *, weights: Floats) -> Floats:
    """log Q_p of each resample: (resamples, probabilities). Some rows at a time, for memory."""
    parts = [weights[start : start + _ROWS] for start in range(0, len(weights), _ROWS)]
    quantiles = [
        quantiles_of_rows(part @ arm.cumulative, arm.centres_us, probabilities) for part in parts
    ]
    logs: Floats = np.log(np.concatenate(quantiles))
    return logs


def _shared_blocks(baseline: BlockCounts, candidate: BlockCounts) -> int:
    held = [arm.cumulative.any(axis=1) for arm in (baseline, candidate)]
    return int((held[0] & held[1]).sum())


def summarise(logs: Floats, *, blocks: int, confidence: float) -> Resampled:
    """Percentile interval; none from fewer than 8 blocks, whose resamples repeat too often."""
    kept = np.sort(logs[np.isfinite(logs)])
    if blocks < 8 or len(kept) < 0.9 * len(logs):
        return Resampled(interval=None, log_error=None, blocks=blocks)
    inflation = math.sqrt(blocks / (blocks - 1))
    tail = special.ndtr(special.stdtrit(blocks - 1, (1 - confidence) / 2) * inflation)
    spread = kept - kept.mean()
    # numpy's own quantile takes a hundred times as long, and there are twenty thousand.
    low, high = np.interp(
        [tail * (len(kept) - 1), (1 - tail) * (len(kept) - 1)], np.arange(len(kept)), kept
    )
    return Resampled(
        interval=(float(np.exp(low)), float(np.exp(high))),
        log_error=math.sqrt(float(spread @ spread) / (len(kept) - 1)) * inflation,
        blocks=blocks,
    )
