"""The run as it went: response time, rate, new errors and the tool's lag, on one time axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.charts import style
from reports.series import OverTime
from reports.stats.estimate import Floats


def draw_over_time(series: OverTime, *, title: str) -> Figure:
    """The figure: three panels that share the time since the run's zero."""
    with style.style():
        figure = style.new_figure(
            height=4.8,
            title=title,
            subtitle="by due time; band: p50 to p95 of 2.0; dashed: p50 and p95 of 1.0; "
            "ticks: new errors",
        )
        latency, rate, lag = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.4, 1))
        _draw_latency(latency, series)
        _draw_rate(rate, series)
        _step(lag, series.edges_s, series.lag_p99_us, style.MUTED)
        _name(lag, "lag p99")
        lag.set_ylim(bottom=0)
        lag.yaxis.set_major_locator(MaxNLocator(2))
        lag.yaxis.set_major_formatter(FuncFormatter(lambda us, _: style.short_duration(us)))
        lag.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 1.5, 2, 3, 5, 6, 10]))
        lag.xaxis.set_major_formatter(FuncFormatter(_clock))
        lag.set_xlim(series.edges_s[0], series.edges_s[-1] * 1.05)
    return figure


def _draw_latency(axes: Any, series: OverTime) -> None:  # noqa: ANN401
    middle = (series.edges_s[:-1] + series.edges_s[1:]) / 2
    p50, p95 = series.candidate_us.T
    axes.fill_between(middle, p50, p95, color=style.CANDIDATE, alpha=0.16, lw=0)
    axes.plot(middle, p50, color=style.CANDIDATE, lw=1.6)
    axes.plot(middle, p95, color=style.CANDIDATE, lw=0.9)
    if series.baseline_us is not None:
        for column in series.baseline_us.T:
            axes.plot(middle, column, color=style.BASELINE, lw=1.0, ls=(0, (4, 2)))
    for values, text in ((p50, "p50"), (p95, "p95")):
        known = np.flatnonzero(np.isfinite(values))
        if len(known):
            axes.annotate(
                text, (middle[known[-1]], values[known[-1]]), xytext=(5, 0), va="center",
                textcoords="offset points", color=style.CANDIDATE, fontsize=8.5,
            )  # fmt: skip
    style.duration_axis(axes)
    if len(series.failures_s):
        axes.plot(
            series.failures_s, np.full(len(series.failures_s), 0.03), ls="", marker="|", ms=9,
            mew=1.4, color=style.WORSE, transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    _name(axes, "response time")


def _draw_rate(axes: Any, series: OverTime) -> None:  # noqa: ANN401
    _step(axes, series.edges_s, series.due_per_s, style.BASELINE, dashed=True)
    _step(axes, series.edges_s, series.answered_per_s, style.CANDIDATE)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    _name(axes, "statements/s: due (dashed), answered")


def _step(
    axes: Any,  # noqa: ANN401
    edges: Floats,
    values: Floats,
    colour: str,
    *,
    dashed: bool = False,
) -> None:
    axes.stairs(values, edges, color=colour, lw=1.1, baseline=None, ls="--" if dashed else "-")


def _name(axes: Any, text: str) -> None:  # noqa: ANN401
    axes.set_title(text, fontsize=8.5, fontweight="normal", color=style.MUTED, pad=3)


def _clock(seconds: float, _: object) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d}"
