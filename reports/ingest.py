"""How the background writer fared beside the readers: its own latency, errors and rate.

From RUN/ingest.jsonl, one line for each load. A load's response time counts from when it was due:
a writer that falls behind is late, however short each of its loads is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from replay.artefact import read_json_lines
from replay.ingest.background import NOTES
from replay.run import Run
from reports.stats.estimate import Int64s
from reports.stats.quantiles import quantile

_STATS = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
LOAD_STATS = tuple(_STATS)


def ingest_figures(*runs: Run) -> dict[str, Any] | None:
    """The `ingest` object of verdict.json, of all `runs`; None where one was without a writer.

    `response_us` holds p50, p95, p99 and max over loads that ended by themselves, each null
    where there is none; `errors` counts by SQLSTATE.
    """
    told: list[dict[str, Any]] = [run.document.get("ingest") or {} for run in runs]
    if not all(told):
        return None
    asked = told[0]
    by_run = [read_json_lines(run.path / NOTES) for run in runs]
    notes = [note for each in by_run for note in each]
    ends = Counter(note["status"] for note in notes)
    late_us = _late_us(notes)
    rows = sum(note["rows"] or 0 for note in notes)
    span_us = sum(max((note["done_us"] for note in each), default=0) for each in by_run)
    quantiles = {stat: quantile(late_us, p) if len(late_us) else None for stat, p in _STATS.items()}
    return {
        "table": asked["table"],
        "loads": len(notes),
        **{end: ends[end] for end in ("ok", "error", "cancelled")},
        "rows": rows,
        "rows_per_s": rows / (span_us / 1e6) if span_us else None,
        "asked_rows_per_s": asked["rows_per_s"],
        "response_us": quantiles,
        "errors": dict(Counter(note["sqlstate"] for note in notes if note["status"] == "error")),
        "failure": next((each["failure"] for each in told if each["failure"]), None),
    }


def load_times(*runs: Run) -> Int64s:
    """Response times in microseconds, ascending, of the loads that ended by themselves."""
    return _late_us([note for run in runs for note in read_json_lines(run.path / NOTES)])


def _late_us(notes: Sequence[Mapping[str, Any]]) -> Int64s:
    ended = (note for note in notes if note["status"] != "cancelled")
    return np.sort(np.array([note["done_us"] - note["due_us"] for note in ended], np.int64))
