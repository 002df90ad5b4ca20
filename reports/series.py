"""The curves that charts draw: quantiles of both arms, and what happened over time.

Apart from the comparison because nothing here is judged; apart from the charts because charts
compute nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.arms import Arm
from reports.case import Case
from reports.load import MISSING, Evidence
from reports.stats.blocks import count_by_block, quantiles_of_rows
from reports.stats.estimate import Floats, Int64s
from reports.stats.interval import quantile_interval
from reports.stats.needed import PRINT_TAIL
from reports.stats.quantiles import nearest_rank

CURVE_POINTS = 120
TIME_BINS = 120
MOST_MARKS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Quantiles of one arm along `nines` = -log10(1 - p), with pointwise bounds (NaN for none).

    The first `firm` points have ten samples beyond them; the rest only show where the tail goes.
    """

    name: str
    nines: Floats
    values_us: Floats
    low_us: Floats
    high_us: Floats
    firm: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """Per time bin (bins): quantiles of response time, rates per second, lag; NaN where empty.

    `edges_s` has bins + 1 entries; `failures_s` holds the due times of new errors.
    """

    edges_s: Floats
    candidate_us: Floats
    baseline_us: Floats | None
    due_per_s: Floats
    answered_per_s: Floats
    lag_p99_us: Floats
    failures_s: Floats
    failures: int


TIME_QUANTILES = (0.50, 0.95)
"""Columns of `candidate_us` and `baseline_us`."""


def trace_curve(arm: Arm, *, confidence: float) -> Curve | None:
    """The quantile curve of an arm, from p10 to its last sample; None without samples."""
    n = len(arm)
    if n == 0:
        return None
    last = max(np.log10(max(n, 2)), 0.1)
    nines = np.linspace(-np.log10(0.9), last, CURVE_POINTS)
    ordered = arm.ordered_us
    values, lows, highs = [], [], []
    for p in 1 - 10**-nines:
        values.append(float(ordered[nearest_rank(n, float(p)) - 1]))
        low, high = quantile_interval(n, float(p), confidence=confidence)
        lows.append(np.nan if low is None else float(ordered[low - 1]))
        highs.append(np.nan if high is None else float(ordered[high - 1]))
    firm = int((n * 10**-nines >= PRINT_TAIL - 1e-6).sum())
    floor = 1.0
    return Curve(
        name=arm.name,
        nines=nines,
        values_us=np.maximum(values, floor),
        low_us=np.maximum(lows, floor),
        high_us=np.maximum(highs, floor),
        firm=firm,
        n=n,
    )


def trace_over_time(case: Case) -> OverTime | None:
    """What happened over the run, in equal bins of its timetable; None without samples."""
    evidence = case.candidate
    known = evidence.due_us != MISSING
    if not known.any():
        return None
    length_s = evidence.length_us / 1e6
    arms = case.response
    bins = min(TIME_BINS, arms.blocks.number)
    edges = np.linspace(0, length_s, bins + 1)
    width = length_s / bins
    candidate = _quantiles_by_bin(arms.candidate_all, bins)
    baseline = None
    if arms.baseline is not None:
        baseline = _quantiles_by_bin(arms.baseline, bins)
    due_bin = _bin(evidence.due_us[known], evidence, bins)
    planned = np.bincount(due_bin, minlength=bins)
    ok = evidence.is_status("ok") & (evidence.response_us != MISSING)
    done = evidence.due_us[ok] + evidence.response_us[ok]
    inside = done < evidence.length_us
    answered = np.bincount(_bin(done[inside], evidence, bins), minlength=bins)
    lagged = evidence.lag_us != MISSING
    lag = count_by_block(
        np.maximum(evidence.lag_us[lagged], 1),
        _bin(evidence.due_us[lagged], evidence, bins),
        bins,
    )
    failed = evidence.is_status("error", "timeout") & ~evidence.failed_before & known
    failures = np.sort(evidence.due_us[failed]) / 1e6
    step = max(1, len(failures) // MOST_MARKS)
    return OverTime(
        edges_s=edges,
        candidate_us=candidate,
        baseline_us=baseline,
        due_per_s=planned / width,
        answered_per_s=answered / width,
        lag_p99_us=quantiles_of_rows(lag.cumulative, lag.centres_us, [0.99])[:, 0],
        failures_s=failures[::step],
        failures=len(failures),
    )


def _quantiles_by_bin(arm: Arm, bins: int) -> Floats:
    """Quantiles of an arm (bins, 2) from its blocks, which are at least as many."""
    merged = np.zeros((bins, arm.counts.cumulative.shape[1]))
    np.add.at(merged, np.arange(arm.blocks) * bins // arm.blocks, arm.counts.cumulative)
    return quantiles_of_rows(merged, arm.counts.centres_us, TIME_QUANTILES)


def _bin(times_us: Int64s, evidence: Evidence, bins: int) -> npt.NDArray[np.int16]:
    width_us = -(-evidence.length_us // bins)
    return np.clip(times_us // width_us, 0, bins - 1).astype(np.int16)
