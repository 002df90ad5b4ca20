"""A long run, window by window: how p50 and p95 stand to those of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports import format as fmt
from reports.charts import style
from reports.charts.over_time import time_axis


def draw_drift(drift: Mapping[str, Any], *, title: str) -> Figure | None:
    """The figure, for the `drift` object of verdict.json; None where nothing was told."""
    shown = {stat: drift["series"][stat] for stat in ("p95", "p50") if stat in drift["series"]}
    if not shown:
        return None
    with style.style():
        figure = style.new_figure(
            height=1.2 + 1.7 * len(shown),
            title=title,
            subtitle="latency over the median of its template; line: trend between steps; "
            "vertical: a step; dotted: gone on with here",
        )
        panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
        for axes, (stat, series) in zip(panels, shown.items(), strict=True):
            at_s = [at_us / 1e6 for at_us in series["at_us"]]
            axes.plot(at_s, series["values"], color=style.CANDIDATE, lw=0.9, alpha=0.6)
            axes.plot(at_s, series["line"], color=style.CANDIDATE, lw=1.8)
            for step in series["steps"]:
                colour = style.WORSE if step["change"] > 0 else style.BETTER
                axes.axvline(step["at_us"] / 1e6, color=colour, lw=1.2)
            for gap in drift["gaps"]:
                axes.axvline(gap["at_us"] / 1e6, color=style.MUTED, lw=1, ls=":")
            axes.set_title(stat, loc="left", fontsize=8.5, color=style.MUTED, pad=2)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.ratio(value)))
        time_axis(panels[-1])
    return figure
