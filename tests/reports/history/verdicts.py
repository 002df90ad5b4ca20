"""Verdicts of simulated nights: one real document, with figures drawn around given levels."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from reports.history.night import Night
from reports.history.nights import Nights

FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
REAL = Path(__file__).parents[2] / "golden" / "report" / "verdict.json"


def verdict(
    number: int,
    *,
    p95_us: float = 480_000,
    throughput: float = 3.3,
    errors: int = 2,
    cost: float = 0.09,
    word: str = "GO",
    started_at: str | None = None,
    workload: str = "5f" * 32,
    target: dict[str, Any] | None = None,
    dials: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The document of night `number`; the other percentiles go with `p95_us`."""
    document: dict[str, Any] = copy.deepcopy(json.loads(REAL.read_text()))
    lines = {line["stat"]: line for line in document["headline"]}
    for stat, share in (("p50", 0.15), ("p95", 1.0), ("p99", 1.7)):
        lines[stat]["candidate"] = p95_us * share
    lines["p95"]["ratio"] = p95_us / lines["p95"]["baseline"]
    lines["throughput"]["candidate"] = throughput
    document["ledger"] |= {"planned": 6000, "error": errors, "timeout": 0}
    document["cost"]["per_1000"]["candidate"] = cost
    document |= {"verdict": word, "reason": "as it was simulated"}
    provenance = document["provenance"]
    provenance["workload"] |= {"sha256": workload, "uri": "prepared"}
    run = provenance["runs"]["candidate"]
    run["run_id"] = provenance["candidate"] = f"night-{number:03}"
    run["started_at"] = started_at or (FIRST + timedelta(days=number)).isoformat()
    run["target"] |= target or {}
    run["dials"] |= dials or {}
    return document


def drawn(
    seed: int, levels: Sequence[tuple[int, float]], *, noise: float = 0.025, **told: Any
) -> Iterator[dict[str, Any]]:
    """Documents of nights around each p95, (how many nights, microseconds) in turn."""
    random = np.random.default_rng(seed)
    centres = np.repeat([level for _, level in levels], [nights for nights, _ in levels])
    for number, centre in enumerate(centres):
        p95, throughput, cost = 1 + noise * random.standard_normal(3)
        yield verdict(
            number, p95_us=centre * p95, throughput=3.3 * throughput, cost=0.09 * cost, **told
        )


def history_of(documents: Sequence[dict[str, Any]], **told: Any) -> Nights:
    """A history that holds them."""
    return Nights(nights=[Night.from_verdict(each) for each in documents], **told)
