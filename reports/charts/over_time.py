"""The run as it went: response time, new errors, load and CloudWatch's figures."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import format as fmt
from reports.charts import style
from reports.series import OverTime


def draw_over_time(series: OverTime, *, title: str) -> Figure:
    """The figure, over the time since the run's zero."""
    with style.style():
        panels = len(series.metrics)
        figure = style.new_figure(
            height=3.4 + 0.75 * panels,
            title=title,
            subtitle="response time by due time; band: p50 to p95 of 2.0; "
            "dashed: p50 and p95 of 1.0; ticks: new errors",
        )
        axes, *below = figure.subplots(
            1 + panels, sharex=True, squeeze=False, height_ratios=[4, *[1] * panels]
        )[:, 0]
        for small, (name, (at_s, values, unit)) in zip(below, series.metrics.items(), strict=True):
            small.step(at_s, values, where="post", color=style.MUTED, lw=1.2)
            small.set_title(f"{name} {unit}", loc="left", fontsize=8.5, color=style.MUTED, pad=2)
            small.set_ylim(0, values.max() * 1.15)
            small.yaxis.set_major_locator(MaxNLocator(2))
        middle = (series.edges_s[:-1] + series.edges_s[1:]) / 2
        p50, p95 = series.candidate_us.T
        axes.fill_between(middle, p50, p95, color=style.CANDIDATE, alpha=0.16, lw=0)
        for column in series.baseline_us.T:
            axes.plot(middle, column, color=style.BASELINE, lw=1.0, ls=(0, (4, 2)))
        for values, text, width in ((p50, "p50", 1.6), (p95, "p95", 0.9)):
            axes.plot(middle, values, color=style.CANDIDATE, lw=width)
            known = np.flatnonzero(np.isfinite(values))
            if len(known):
                axes.annotate(
                    text, (middle[known[-1]], values[known[-1]]), xytext=(5, 0), va="center",
                    textcoords="offset points", color=style.CANDIDATE, fontsize=8.5,
                )  # fmt: skip
        style.duration_axis(axes)
        axes.plot(
            series.failures_s, np.full(len(series.failures_s), 0.03), ls="", marker="|", ms=9,
            mew=1.4, color=style.WORSE, transform=axes.get_xaxis_transform(),
        )  # fmt: skip
        time_axis(axes)
        axes.set_xlim(series.edges_s[0], series.edges_s[-1] * 1.05)
    return figure


def time_axis(axes: Axes) -> None:
    """Ticks of an axis of seconds such as `1:30 h`."""
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: fmt.clock(seconds * 1e6)))
