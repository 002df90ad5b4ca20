"""How much replays of one system differ: the noise below which no difference says anything.

Runs of the same side are compared with each other, which no difference between 1.0 and 2.0 enters.
"""

from __future__ import annotations

import math
from typing import Any

from reports.arms import Arms
from reports.compare import QUANTILES
from reports.stats.quantiles import printable


def noise_floor(arms: Arms) -> dict[str, dict[str, Any]]:
    """By quantile the largest ratio between two runs of a side, the `noise_floor` of verdict.json.

    Of each side of two runs or more; a quantile is left out that not all runs of a side can show.
    """
    floor: dict[str, dict[str, Any]] = {}
    sides = {"baseline": arms.baseline, "candidate": arms.candidate_all}
    several = {side: arm for side, arm in sides.items() if arm.runs > 1}
    for stat, p in QUANTILES.items():
        ratios = {
            side: math.exp(float(arm.logs_by_run([p]).max() - arm.logs_by_run([p]).min()))
            for side, arm in several.items()
            if all(printable(len(run), p) is None for run in arm.by_run)
        }
        if ratios:
            side = max(ratios, key=ratios.__getitem__)
            pairs = sum(math.comb(several[name].runs, 2) for name in ratios)
            worst = {"ratio": ratios[side], "side": side, "pairs": pairs, "by_side": ratios}
            floor[stat] = {"stat": stat, **worst}
    return floor
