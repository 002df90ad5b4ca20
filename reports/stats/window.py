"""Quantiles of resamples of many small samples, looked for only where they can lie.

A run has ten thousand templates, and counting each over all its bins is most of a report's time.
A resample moves the rank of a quantile by a few standard errors, so only the bins around it are
counted, and the search is one product of matrices: with C[bin, block] samples up to a bin and N of
a block, the quantile is in the first bin where the weighted sum of C - p N is not negative. Some
samples at a time share each step, because one alone is too small for its calls to be worth it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.stats.estimate import Floats, Int64s

_REACH = 5.0
"""Half of the window in standard errors of the rank; it widens where a resample lies outside."""

_ROUNDING = 1e-3
"""What single precision may be off by; whole samples are apart by more for any usual p."""

Sample = tuple[npt.NDArray[np.signedinteger], npt.NDArray[np.integer]]
"""Latencies in microseconds (n > 0), which ascend, and the block of each (n)."""


def resampled_logs(
    samples: Sequence[Sample],
    probabilities: Sequence[Sequence[float]],
    *,
    weights: npt.NDArray[np.float32],
    bin_width: float,
) -> list[Floats]:
    """log Q_p of each resample of each sample: (resamples, its probabilities), NaN where empty.

    `weights` is (blocks, resamples). The same as `quantiles_of_rows` on `count_by_block` with this
    `bin_width`.
    """
    counted = _count(samples, blocks=len(weights), bin_width=bin_width)
    logs = [np.empty((weights.shape[1], len(ours))) for ours in probabilities]
    for p in sorted({p for ours in probabilities for p in ours}):
        chosen = np.array([at for at, ours in enumerate(probabilities) if p in ours])
        for at, found in zip(chosen, _positions(counted, chosen, p, weights), strict=True):
            logs[at][:, probabilities[at].index(p)] = counted.centres[found]
    for found, empty in zip(logs, counted.held.astype(np.float32) @ weights == 0, strict=True):
        found[empty] = np.nan
    return logs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Samples counted by the bins that hold any, those of one sample after those of another.

    `cumulative[bin, block]` samples up to a bin, `held[sample, block]`, `centres[bin]` in
    log(latency). `bins` and `rows` (samples + 1) are where the bins and the latencies of each
    sample begin, `bin_of` the bin of each latency.
    """

    cumulative: Int64s
    held: Int64s
    centres: Floats
    bins: Int64s
    rows: Int64s
    bin_of: Int64s


def _count(samples: Sequence[Sample], *, blocks: int, bin_width: float) -> _Counted:
    rows = np.cumsum([0, *(len(values_us) for values_us, _ in samples)])
    values_us, block = (np.concatenate(each) for each in zip(*samples, strict=True))
    number = (np.log(np.maximum(values_us, 1)) / bin_width).astype(np.int32)
    begins = np.append(True, number[1:] != number[:-1])
    begins[rows[:-1]] = True
    bin_of = np.cumsum(begins) - 1
    bins = np.append(bin_of[rows[:-1]], bin_of[-1] + 1)
    cells = np.bincount(bin_of * blocks + block, minlength=bins[-1] * blocks)
    cumulative = np.cumsum(cells.reshape(-1, blocks), axis=0)
    ends = cumulative[bins[1:] - 1]
    before = np.concatenate([np.zeros((1, blocks), np.int64), ends[:-1]])
    cumulative -= np.repeat(before, np.diff(bins), axis=0)
    return _Counted(
        cumulative=cumulative, held=ends - before, bins=bins, rows=rows, bin_of=bin_of,
        centres=(number[begins] + 0.5) * bin_width,
    )  # fmt: skip


def _positions(
    counted: _Counted,
    chosen: Int64s,
    p: float,
    weights: npt.NDArray[np.float32],
    reach: float = _REACH,
) -> list[Int64s]:
    """The bin of each resample's quantile (resamples), of each of the `chosen` samples."""
    start, end = counted.rows[chosen], counted.rows[chosen + 1] - 1
    first, last = counted.bins[chosen], counted.bins[chosen + 1] - 1
    centre = start + (p * (end - start + 1)).astype(np.int64)
    expected = p * counted.held[chosen]
    spread = counted.cumulative[counted.bin_of[np.minimum(centre, end)]] - expected
    half = (reach * (np.sqrt((spread**2).sum(axis=1)) + 0.4)).astype(np.int64)
    low = counted.bin_of[np.maximum(centre - half, start)]
    high = counted.bin_of[np.minimum(centre + half, end)]
    width = high - low + 1
    ends = np.cumsum(width)
    inside = np.arange(ends[-1]) + np.repeat(low - ends + width, width)
    excess = counted.cumulative[inside] - np.repeat(expected, width, axis=0)
    short = (excess.astype(np.float32) @ weights < -_ROUNDING).view(np.uint8)
    found = []
    for at in range(len(chosen)):
        part = short[ends[at] - width[at] : ends[at]]
        # In eight bits where they hold it: four times as fast, and there are forty thousand.
        position = part.sum(axis=0, dtype=np.uint8 if len(part) < 256 else np.int64) + low[at]
        under, over = position.min() == low[at] > first[at], position.max() > high[at] < last[at]
        if under or over:
            (position,) = _positions(counted, chosen[at : at + 1], p, weights, 4 * reach)
        found.append(np.minimum(position, last[at]))
    return found
