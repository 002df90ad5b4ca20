"""The nights as sparklines, one below the other on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import format as fmt
from reports.charts import style

_DAY_S = 86400


def draw_nights(document: Mapping[str, Any], *, title: str) -> Figure:
    """A panel for each metric of the document of `history --json`."""
    metrics, segments = document["metrics"], document["segments"]
    with style.style():
        figure = style.new_figure(
            height=1 + 0.95 * len(metrics),
            title=title,
            subtitle="a dot a night that is not INVALID; dashed: tonight's limit; "
            "vertical: the level changed, dotted: other conditions",
        )
        panels = figure.subplots(len(metrics), sharex=True, squeeze=False)[:, 0]
        for axes, metric in zip(panels, metrics, strict=True):
            axes.set_title(metric["title"], loc="left", fontsize=8.5, color=style.MUTED, pad=2)
            for segment in segments:
                _draw_segment(axes, segment, metric["name"])
            if metric["limit"] is not None:
                axes.axhline(metric["limit"], color=style.MUTED, lw=0.8, ls=(0, (4, 3)))
            axes.yaxis.set_major_locator(MaxNLocator(2))
            axes.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _, unit=metric["unit"]: fmt.amount(value, unit))
            )
        panels[-1].set_xlim(_days(segments[0])[0] - 0.5, _days(segments[-1])[-1] + 0.5)
        panels[-1].xaxis.set_major_locator(MaxNLocator(7, integer=True))
        panels[-1].xaxis.set_major_formatter(
            FuncFormatter(lambda day, _: f"{datetime.fromtimestamp(day * _DAY_S, UTC):%Y-%m-%d}")
        )
    return figure


def _draw_segment(axes: Axes, segment: Mapping[str, Any], metric: str) -> None:
    at = _days(segment)
    nights = ({} if n["verdict"] == "INVALID" else n["values"] for n in segment["nights"])
    values = (night.get(metric) for night in nights)
    figures = [float("nan") if value is None else value for value in values]
    axes.plot(at, figures, marker=".", ms=4, lw=1.0, color=style.CANDIDATE)
    if segment["changed"]:
        axes.axvline(at[0], color=style.MUTED, lw=0.9, ls=":")
    for change in segment["changes"]:
        if change["metric"] == metric:
            since, colour = at[change["at"]], style.WORSE if change["worse"] else style.BETTER
            axes.axvline(since, color=colour, lw=1.4)
            axes.annotate(
                fmt.change(change["change"]), (since, 1), xytext=(3, -1), va="top", fontsize=8.5,
                xycoords=axes.get_xaxis_transform(), textcoords="offset points", color=colour,
            )  # fmt: skip


def _days(segment: Mapping[str, Any]) -> list[float]:
    """When its nights began, in days since 1970 in UTC."""
    moments = (datetime.fromisoformat(night["started_at"]) for night in segment["nights"])
    return [moment.timestamp() / _DAY_S for moment in moments]
