"""How much replays of one system differ: the noise below which no difference says anything.

Runs of the same side are compared with each other, which no difference between 1.0 and 2.0 enters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from reports.arms import Arms
from reports.compare import QUANTILES
from reports.stats.quantiles import printable


def noise_floor(arms: Arms) -> list[dict[str, Any]]:
    """The `noise_floor` list of verdict.json: the largest ratio between two runs of a side.

    An entry for each side of two runs or more and each quantile that all of its runs can show.
    """
    return [
        {
            "stat": stat,
            "side": side,
            "runs": arm.runs,
            "pairs": math.comb(arm.runs, 2),
            "ratio": float(math.exp(logs.max() - logs.min())),
        }
        for side, arm in (("baseline", arms.baseline), ("candidate", arms.candidate_all))
        if arm.runs > 1
        for (stat, p), logs in zip(
            QUANTILES.items(), arm.logs_by_run(tuple(QUANTILES.values())), strict=True
        )
        if all(printable(len(run), p) is None for run in arm.by_run)
    ]


def largest(floor: Iterable[dict[str, Any]], stat: str) -> dict[str, Any] | None:
    """The entry of `stat` with the larger ratio of both sides, its pairs those of both."""
    known = [entry for entry in floor if entry["stat"] == stat]
    if not known:
        return None
    worst = max(known, key=lambda entry: entry["ratio"])
    return worst | {"pairs": sum(entry["pairs"] for entry in known)}
