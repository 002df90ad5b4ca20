"""How much replays of one system differ: the noise below which no difference says anything.

Runs of the same side are compared with each other, which no difference between 1.0 and 2.0 enters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reports.arms import Arms
from reports.compare import QUANTILES
from reports.stats.quantiles import printable


def noise_floor(arms: Arms) -> list[dict[str, Any]]:
    """The `noise_floor` of verdict.json: the largest ratio of two runs of a side, largest first.

    For each side of two runs or more and each quantile that all of its runs can show.
    """
    sides = {"baseline": arms.baseline, "candidate": arms.candidate_all}
    floor = [
        {
            "stat": stat, "side": side, "runs": arm.runs, "pairs": math.comb(arm.runs, 2),
            "ratio": math.exp(float(np.ptp(arm.logs_by_run(p)))),
        }
        for side, arm in sides.items()
        for stat, p in QUANTILES.items()
        if arm.runs > 1 and all(printable(len(run), p) is None for run in arm.by_run)
    ]  # fmt: skip
    return sorted(floor, key=lambda entry: -entry["ratio"])
