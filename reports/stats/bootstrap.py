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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
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
    return summarise((two - one).T, blocks=blocks, confidence=confidence)


def resample_quantile(
    arm: BlockCounts, p: float, *, weights: Floats, confidence: float
) -> Resampled:
    """The same of one arm's Q_p in microseconds."""
    logs = _log_quantiles(arm, [p], weights=weights).T
    (found,) = summarise(logs, blocks=_shared_blocks(arm, arm), confidence=confidence)
    return found


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
    (found,) = summarise(difference[None], blocks=blocks, confidence=confidence)
    return found


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


def summarise(
    logs: Floats, *, blocks: int | npt.NDArray[np.integer[Any]], confidence: float
) -> list[Resampled]:
    """Percentile interval of each row of `logs` (rows, resamples), over so many `blocks` (rows).

    None from fewer than 8 blocks, whose resamples repeat too often, or where more than a tenth of
    the resamples say nothing.
    """
    rows, resamples = logs.shape
    held = np.broadcast_to(blocks, rows)
    # What is not finite comes last in order.
    kept = np.sort(np.where(np.isfinite(logs), logs, np.nan), axis=1)
    number = resamples - np.isnan(kept).sum(axis=1)
    able = np.flatnonzero((held >= 8) & (number >= 0.9 * resamples))
    kept, number, freedom = kept[able], number[able], held[able] - 1
    inflation = np.sqrt(1 + 1 / freedom)
    tail = special.ndtr(special.stdtrit(freedom, (1 - confidence) / 2) * inflation)
    low, high = (np.exp(_between(kept, at * (number - 1))) for at in (tail, 1 - tail))
    error = np.nanstd(kept, axis=1, ddof=1) * inflation
    found = [Resampled(interval=None, log_error=None, blocks=int(each)) for each in held]
    for row, interval, log_error in zip(
        able.tolist(), zip(low.tolist(), high.tolist(), strict=True), error.tolist(), strict=True
    ):
        found[row] = replace(found[row], interval=interval, log_error=log_error)
    return found


def _between(rows: Floats, at: Floats) -> Floats:
    """The value of each row (rows, n), ascending, at a place (rows) that may lie between two.

    numpy's own quantile takes a hundred times as long, and there are twenty thousand.
    """
    below = np.floor(at).astype(np.intp)
    above = np.minimum(below + 1, rows.shape[1] - 1)
    low, high = (np.take_along_axis(rows, each[:, None], 1)[:, 0] for each in (below, above))
    found: Floats = low + (at - below) * (high - low)
    return found
