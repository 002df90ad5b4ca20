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
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.stats.estimate import Floats, Int64s

_REACH = 5.0
"""Half of the window in standard errors of the rank; it widens where a resample lies outside."""

_ROUNDING = 1e-3
"""What single precision may be off by; whole samples are apart by more for any usual p."""

Sample = tuple[npt.NDArray[np.signedinteger[Any]], npt.NDArray[np.integer[Any]]]
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
    for columns, empty in zip(logs, counted.held.astype(np.float32) @ weights == 0, strict=True):
        columns[empty] = np.nan
    return logs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Samples one after the other: `block` and `bin` of each latency, numbered through.

    Only bins that hold a latency have a number. `rows` (samples + 1) is where the latencies of a
    sample begin, `begins` (bins + 1) where those of a bin do, `centres` (bins) is in log(latency),
    `held` (samples, blocks) counts all.
    """

    block: npt.NDArray[np.integer[Any]]
    bin: npt.NDArray[np.int32]
    rows: Int64s
    begins: Int64s
    centres: Floats
    held: Int64s


def _count(samples: Sequence[Sample], *, blocks: int, bin_width: float) -> _Counted:
    rows = np.cumsum([0, *(len(values_us) for values_us, _ in samples)])
    values_us, block = (np.concatenate(each) for each in zip(*samples, strict=True))
    number = (np.log(np.maximum(values_us, 1)) / bin_width).astype(np.int32)
    first = np.append(True, number[1:] != number[:-1])
    first[rows[:-1]] = True
    begins = np.append(np.flatnonzero(first), rows[-1])
    return _Counted(
        block=block, bin=np.cumsum(first, dtype=np.int32) - 1, rows=rows, begins=begins,
        centres=(number[begins[:-1]] + 0.5) * bin_width,
        held=_by_block(block, rows[:-1], rows[1:], blocks),
    )  # fmt: skip


def _by_block(
    block: npt.NDArray[np.integer[Any]], start: Int64s, stop: Int64s, blocks: int
) -> Int64s:
    """How many of `block[start:stop]` there are of each block: (ranges, blocks)."""
    ranges = zip(start.tolist(), stop.tolist(), strict=True)
    return np.stack([np.bincount(block[a:b], minlength=blocks) for a, b in ranges])


def _positions(
    counted: _Counted,
    chosen: Int64s,
    p: float,
    weights: npt.NDArray[np.float32],
    reach: float = _REACH,
) -> list[Int64s]:
    """The bin of each resample's quantile (resamples), of each of the `chosen` samples."""
    blocks, start, stop = len(weights), counted.rows[chosen], counted.rows[chosen + 1]
    centre = start + (p * (stop - start)).astype(np.int64)
    expected = p * counted.held[chosen]
    before = _by_block(counted.block, start, centre, blocks)
    half = (reach * (np.sqrt(((before - expected) ** 2).sum(axis=1)) + 0.4)).astype(np.int64)
    low = counted.bin[np.maximum(centre - half, start)]
    high = counted.bin[np.minimum(centre + half, stop - 1)]
    # Bins and latencies of all windows, one window after the other.
    width, begin = high - low + 1, counted.begins[low]
    ends, length = np.cumsum(width), counted.begins[high + 1] - begin
    inside = np.arange(length.sum()) + np.repeat(begin - np.cumsum(length) + length, length)
    row = counted.bin[inside] + np.repeat(ends - width - low, length)
    counts = np.bincount(counted.block[inside] * ends[-1] + row, minlength=blocks * ends[-1])
    up_to = np.cumsum(counts.reshape(blocks, -1), axis=1)
    others = np.insert(up_to[:, ends[:-1] - 1], 0, 0, axis=1)
    earlier = before - _by_block(counted.block, begin, centre, blocks) - expected
    excess = up_to + np.repeat(earlier.T - others, width, axis=1)
    short = (excess.astype(np.float32).T @ weights < -_ROUNDING).view(np.uint8)
    found = []
    for at in range(len(chosen)):
        part = short[ends[at] - width[at] : ends[at]]
        # In eight bits where they hold it: four times as fast, and there are forty thousand.
        position = part.sum(axis=0, dtype=np.uint8 if len(part) < 256 else np.int64) + low[at]
        first, last = counted.bin[start[at]], counted.bin[stop[at] - 1]
        under, over = position.min() == low[at] > first, position.max() > high[at] < last
        if under or over:
            (position,) = _positions(counted, chosen[at : at + 1], p, weights, 4 * reach)
        found.append(np.minimum(position, last))
    return found
