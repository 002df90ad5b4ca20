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
from reports.inside import metric_series
from reports.samples import MISSING
from reports.stats.blocks import quantiles_of_rows
from reports.stats.estimate import Floats
from reports.stats.quantiles import PRINT_TAIL, quantile, quantile_interval
from reports.stats.slices import count_codes

CURVE_POINTS = 120
TIME_BINS = 120
MOST_MARKS = 2_000

TIME_QUANTILES = (0.50, 0.95)
"""Columns of `candidate_us` and `baseline_us`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Quantiles of one arm along `nines` = -log10(1 - p), with pointwise bounds.

    The first `firm` points have ten samples beyond them; the rest only show where the tail goes.
    An end that the sample cannot bound is the quantile itself.
    """

    nines: Floats
    values_us: Floats
    low_us: Floats
    high_us: Floats
    firm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """Per time bin (bins): quantiles of response time, NaN where empty.

    `edges_s` has bins + 1 entries; `failures_s` holds the due times of new errors,
    `metrics` what was asked and what CloudWatch measured meanwhile: seconds, values and unit
    by name.
    """

    edges_s: Floats
    candidate_us: Floats
    baseline_us: Floats
    failures_s: Floats
    metrics: dict[str, tuple[Floats, Floats, str]]


def trace_curve(arm: Arm, *, confidence: float) -> Curve | None:
    """The quantile curve of an arm, from p10 to its last sample; None without samples."""
    n, ordered = len(arm), arm.ordered_us
    if n == 0:
        return None
    nines = np.linspace(-np.log10(0.9), max(np.log10(max(n, 2)), 0.1), CURVE_POINTS)
    rows = []
    for p in (1 - 10**-nines).tolist():
        value = quantile(ordered, p)
        ranks = quantile_interval(n, p, confidence=confidence)
        rows.append([value, *(value if rank is None else ordered[rank - 1] for rank in ranks)])
    values, low, high = np.maximum(np.array(rows, dtype=float), 1.0).T
    firm = int((n * 10**-nines >= PRINT_TAIL - 1e-6).sum())
    return Curve(nines=nines, values_us=values, low_us=low, high_us=high, firm=firm)


def trace_over_time(case: Case) -> OverTime | None:
    """What happened over the run, in equal bins of its timetable; None without samples."""
    evidence, arms = case.candidate.evidence, case.arms
    known = evidence.due_us != MISSING
    if not known.any():
        return None
    bins = min(TIME_BINS, arms.blocks.number)
    failed = evidence.is_status("error", "timeout") & ~evidence.failed_before & known
    failures = np.sort(evidence.due_us[failed]) / 1e6
    edges_s = np.linspace(0, evidence.length_us / 1e6, bins + 1)
    block = arms.blocks.of(evidence.due_us, speed=evidence.dial("speed", 1))
    by_block = count_codes(block, known, number=arms.blocks.number)
    asked = np.bincount(_bin_of_block(arms.blocks.number, bins), by_block, minlength=bins)
    # Of several runs their mean. The last rate again, so that its step has an end.
    per_s = bins / edges_s[-1] / len(evidence.runs)
    load = edges_s, np.append(asked, asked[-1]) * per_s, "statements/s"
    looped = arms.captured and evidence.period_us is not None
    none = np.zeros(len(arms.baseline), dtype=bool)
    return OverTime(
        edges_s=edges_s,
        candidate_us=_quantiles_by_bin(arms.candidate_all, bins),
        # 1.0's log is of one loop of a workload that began again: of no time of this run.
        baseline_us=_quantiles_by_bin(arms.baseline.only(none) if looped else arms.baseline, bins),
        failures_s=failures[:: max(1, len(failures) // MOST_MARKS)],
        metrics={"load": load, **metric_series(evidence.run)},
    )


def _quantiles_by_bin(arm: Arm, bins: int) -> Floats:
    """Quantiles of an arm (bins, 2) from its blocks, which are at least as many."""
    merged = np.zeros((bins, arm.counts.cumulative.shape[1]))
    np.add.at(merged, _bin_of_block(arm.blocks, bins), arm.counts.cumulative)
    return quantiles_of_rows(merged, arm.counts.centres_us, TIME_QUANTILES)


def _bin_of_block(blocks: int, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each block (blocks)."""
    return np.arange(blocks) * bins // blocks
