"""What a gate can look at: every metric with its unit, its limits and the keys it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reports.compare import QUANTILES
from reports.drift import STATS
from reports.ingest import LOAD_STATS


class Metric(StrEnum):
    """What a gate can look at."""

    LATENCY_RESPONSE = "latency.response"
    LATENCY_SERVICE = "latency.service"
    THROUGHPUT = "throughput"
    ERRORS_NEW = "errors.new"
    ERRORS_NEW_SHARE = "errors.new_share"
    ERRORS_ALL = "errors.all"
    ERRORS_ALL_SHARE = "errors.all_share"
    INGEST_LATENCY = "ingest.latency"
    INGEST_ERRORS = "ingest.errors"
    RESULTS_MISMATCHES = "results.mismatches"
    RESULTS_MISMATCH_SHARE = "results.mismatch_share"
    COST_MONTHLY = "cost.monthly"
    DRIFT_RESPONSE = "drift.response"
    DRIFT_STEP = "drift.step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How a metric is limited: its unit, the limits of which a gate has one, and its other keys.

    `timing` metrics say nothing on a run that breaks a validity check.
    """

    unit: str
    limits: tuple[str, ...] = ("max",)
    takes: tuple[str, ...] = ()
    stats: tuple[str, ...] = tuple(QUANTILES)
    timing: bool = False


_LATENCY = Measure(
    unit="us", limits=("max", "max_ratio"), takes=("stat", "min_samples", "captured", "where"),
    timing=True,
)  # fmt: skip

_DRIFT = Measure(unit="change", takes=("stat",), stats=tuple(STATS), timing=True)

METRICS = {
    Metric.LATENCY_RESPONSE: replace(_LATENCY, takes=(*_LATENCY.takes, "for_each")),
    Metric.LATENCY_SERVICE: _LATENCY,
    Metric.THROUGHPUT: Measure(
        unit="per_s", limits=("min", "min_ratio"), takes=("min_samples", "captured"), timing=True
    ),
    Metric.ERRORS_NEW: Measure(unit="count", takes=("where",)),
    Metric.ERRORS_NEW_SHARE: Measure(unit="share", takes=("where",)),
    Metric.ERRORS_ALL: Measure(unit="count", takes=("where",)),
    Metric.ERRORS_ALL_SHARE: Measure(unit="share", takes=("where",)),
    Metric.INGEST_LATENCY: Measure(
        unit="us", takes=("stat", "min_samples"), stats=LOAD_STATS, timing=True
    ),
    Metric.INGEST_ERRORS: Measure(unit="count"),
    Metric.RESULTS_MISMATCHES: Measure(unit="count", takes=("max_unevaluated_share",)),
    Metric.RESULTS_MISMATCH_SHARE: Measure(unit="share", takes=("max_unevaluated_share",)),
    Metric.COST_MONTHLY: Measure(unit="usd", limits=("max", "max_ratio")),
    Metric.DRIFT_RESPONSE: _DRIFT,
    Metric.DRIFT_STEP: _DRIFT,
}
"""All metrics; `reports.judge.judge` has who judges each."""
