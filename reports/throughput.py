"""Answers per second of both arms.

Apart from the latencies because a rate is counted by when answers were in, not by what was asked.
"""

from __future__ import annotations

import numpy as np

from reports.arms import MIN_BLOCKS, Blocks
from reports.compare import Line, Resampler
from reports.load import MISSING, Evidence
from reports.stats.bootstrap import resample_rate_ratio
from reports.stats.estimate import Estimate, Floats


def answered_per_block(evidence: Evidence, blocks: Blocks, *, captured: bool = False) -> Floats:
    """Statements answered per block, by when the answer was in, within the timetable.

    With `captured`, the answers 1.0 would have given had it taken the logged durations.
    """
    took = evidence.captured_us if captured else evidence.response_us
    good = evidence.is_status("ok") if not captured else ~evidence.failed_before
    known = good & (took != MISSING) & (evidence.due_us != MISSING)
    done = evidence.due_us[known] + took[known]
    inside = done < evidence.length_us
    block = (done[inside] * (blocks.number / evidence.length_us)).astype(np.int64)
    return np.bincount(np.clip(block, 0, blocks.number - 1), minlength=blocks.number).astype(float)


def compare_throughput(
    evidence: Evidence, baseline: Evidence | None, blocks: Blocks, resampler: Resampler
) -> Line:
    """Statements answered per second while the timetable ran; the timetable is its ceiling."""
    method = "answers within the timetable over its length"
    two = answered_per_block(evidence, blocks)
    seconds = evidence.length_us / 1e6
    candidate = Estimate(value=float(two.sum() / seconds), n=int(two.sum()), method=method)
    if baseline is None:
        one, below = answered_per_block(evidence, blocks, captured=True), seconds
    else:
        one, below = answered_per_block(baseline, blocks), baseline.length_us / 1e6
    if not one.any() or not two.any():
        nothing = Estimate(value=None, n=int(one.sum()), method=method, warnings=("no answers",))
        return Line(
            stat="throughput", unit="per_s", baseline=nothing, candidate=candidate, ratio=nothing
        )
    base = Estimate(value=float(one.sum() / below), n=int(one.sum()), method=method)
    drawn = resample_rate_ratio(
        one, two, weights=resampler.weights, confidence=resampler.confidence
    )
    scale = below / seconds
    interval = None
    if drawn.interval is not None and blocks.number >= MIN_BLOCKS:
        interval = (drawn.interval[0] * scale, drawn.interval[1] * scale)
    ratio = Estimate(
        value=float(two.sum() / one.sum()) * scale,
        interval=interval,
        n=min(base.n, candidate.n),
        method="paired time-block bootstrap",
    )
    return Line(stat="throughput", unit="per_s", baseline=base, candidate=candidate, ratio=ratio)
