"""Next month's bill by the stages of a move, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from reports import format as fmt
from reports.charts import style

_ARMS = {"baseline": style.BASELINE, "candidate": style.CANDIDATE}


def draw_cost(cost: Mapping[str, Any], *, title: str) -> Figure | None:
    """The figure from the `cost` object of verdict.json; None unless both sides are stated."""
    stages = cost["stages"]
    if not stages:
        return None
    where = f"{cost['region']}, prices of {cost['price_date'] or 'no date'}"
    with style.style():
        figure = style.new_figure(
            height=2.1, title=title, subtitle=f"next month's bill in USD; {where}"
        )
        axes = figure.subplots()
        for row, stage in enumerate(stages):
            left = 0.0
            for arm, colour in _ARMS.items():
                axes.barh(row, stage[arm], left=left, height=0.56, color=colour)
                left += stage[arm]
            axes.annotate(
                fmt.money(left), (left, row), xytext=(5, 0), textcoords="offset points",
                va="center", color=style.INK,
            )  # fmt: skip
        axes.set_yticks(range(len(stages)), [stage["stage"] for stage in stages])
        axes.set_ylim(len(stages) - 0.4, -0.6)
        axes.set_xlim(0, max(stage["usd"] for stage in stages) * 1.18 or 1)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure
