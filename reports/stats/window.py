"""Quantiles of resamples of one small sample, looked for only where they can lie.

A run has ten thousand templates, and counting each over all its bins is most of a report's time.
A resample moves the rank of a quantile by a few standard errors, so only the bins around it are
counted, and the search is one product of matrices: with C[bin, block] samples up to a bin and N of
a block, the quantile is in the first bin where the weighted sum of C - p N is not negative.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reports.stats.estimate import Floats, Int64s

_REACH = 5.0
"""Half of the window in standard errors of the rank; it widens where a resample lies outside."""

_ROUNDING = 1e-3
"""What single precision may be off by; whole samples are apart by more for any usual p."""


def resampled_logs(
    ordered_us: Int64s,
    block: npt.NDArray[np.integer],
    probabilities: Sequence[float],
    *,
    weights: npt.NDArray[np.float32],
    bin_width: float,
) -> Floats:
    """log Q_p of each resample: (resamples, probabilities), NaN where it drew no sample.

    `ordered_us` (n > 0) ascends, `block` (n) is in step with it, `weights` is (blocks, resamples).
    The same as `quantiles_of_rows` on `count_by_block` with this `bin_width`.
    """
    bins = (np.log(np.maximum(ordered_us, 1)) / bin_width).astype(np.int64)
    # Samples up to and with each bin that holds any.
    ends = np.append(np.flatnonzero(np.diff(bins)) + 1, len(bins))
    centres = (bins[ends - 1] + 0.5) * bin_width
    held = np.bincount(block, minlength=len(weights)).astype(np.float64)
    columns = [
        centres[_positions(ends, block, p, held=held, weights=weights)] for p in probabilities
    ]
    logs = np.stack(columns, axis=1)
    logs[held.astype(np.float32) @ weights == 0] = np.nan
    return logs


def _positions(
    ends: Int64s,
    block: npt.NDArray[np.integer],
    p: float,
    *,
    held: Floats,
    weights: npt.NDArray[np.float32],
) -> Int64s:
    """The bin, as a position in `ends`, of each resample's quantile (resamples)."""
    blocks, rank = len(held), int(p * len(block))
    spread = np.bincount(block[:rank], minlength=blocks) - p * held
    reach = _REACH * float(np.sqrt(spread @ spread)) + 2
    while True:
        first, last = np.searchsorted(ends, [rank - reach, rank + reach])
        last = min(last + 1, len(ends))
        start = ends[first - 1] if first else 0
        inside = np.repeat(np.arange(last - first), np.diff(ends[first:last], prepend=start))
        cells = inside * blocks + block[start : ends[last - 1]]
        counts = np.bincount(cells, minlength=(last - first) * blocks).reshape(-1, blocks)
        counts[0] += np.bincount(block[:start], minlength=blocks)
        excess = (np.cumsum(counts, axis=0) - p * held).astype(np.float32)
        short = excess @ weights < -_ROUNDING
        found = short.view(np.uint8).sum(axis=0, dtype=np.int64) + first
        if (found.min() > first or first == 0) and (found.max() < last or last == len(ends)):
            positions: Int64s = np.minimum(found, len(ends) - 1)
            return positions
        reach *= 4
