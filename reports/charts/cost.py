"""Cost a month of both places as two bars, in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from reports import format as fmt
from reports.charts import style

_ROWS = {"baseline": ("1.0", 0, style.BASELINE), "candidate": ("2.0", 1, style.CANDIDATE)}


def draw_cost(cost: Mapping[str, Any], *, title: str) -> Figure | None:
    """The figure from the `cost` object of verdict.json; None unless both sides are stated."""
    if cost["ratio"] is None:
        return None
    with style.style():
        figure = style.new_figure(
            height=1.7,
            title=title,
            subtitle=f"USD a month at list prices of {cost['price_date']}, {cost['region']}",
        )
        axes = figure.subplots()
        for arm, (_, row, colour) in _ROWS.items():
            left = 0.0
            for number, part in enumerate(p for p in cost["parts"] if p["arm"] == arm):
                axes.barh(
                    row, part["monthly"], left=left, height=0.56, color=colour,
                    alpha=1 if number == 0 else 0.55,
                )  # fmt: skip
                left += part["monthly"]
            axes.annotate(
                fmt.money(left), (left, row), xytext=(5, 0), textcoords="offset points",
                va="center", color=style.INK,
            )  # fmt: skip
        axes.set_yticks([0, 1], [name for name, _, _ in _ROWS.values()])
        axes.set_ylim(1.6, -0.6)
        axes.set_xlim(0, max(cost["monthly"].values()) * 1.18)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure
