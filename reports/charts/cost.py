"""Next month's bill by the stages of a move; what several runs cost against how slow they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

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


def draw_runs(document: Mapping[str, Any], *, title: str) -> Figure | None:
    """Cost a month against p95, a point a run; filled where the verdict is GO.

    None with fewer than two runs of known cost and p95.
    """
    rows = [row for row in document["runs"] if row["monthly"] is not None and row["p95_us"]]
    if len(rows) < 2:
        return None
    with style.style():
        subtitle = "p95 of the response over USD a month; filled: GO"
        figure = style.new_figure(height=3.4, title=title, subtitle=subtitle)
        axes = figure.subplots()
        for row in rows:
            at, colour = (row["monthly"], row["p95_us"]), style.CANDIDATE
            colour = style.BETTER if row["cheapest"] else colour
            face = colour if row["verdict"] == "GO" else "none"
            axes.scatter(*at, s=70, edgecolors=colour, facecolors=face, linewidths=1.6, zorder=3)
            axes.annotate(
                f"{row['place']}\n{fmt.money(row['monthly'])}, {fmt.duration(row['p95_us'])}", at,
                xytext=(8, 0), textcoords="offset points", va="center", fontsize=8.5,
                color=style.INK,
            )  # fmt: skip
        axes.margins(x=0.3, y=0.25)
        axes.set_xlim(left=0)
        style.duration_axis(axes)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda usd, _: fmt.money(usd)))
    return figure
