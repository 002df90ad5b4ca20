"""A ramp: throughput and p95 against the scale, the knee's bracket shaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import format as fmt
from reports.charts import style

_MARKERS = {"pass": "o", "fail": "X", "undecided": "D", "invalid": "s"}


def draw_knee(document: Mapping[str, Any], *, title: str) -> Figure:
    """The figure from the content of ramp.json; a form of marker for each outcome."""
    steps = sorted(document["steps"], key=lambda step: float(step["scale"]))
    knee, scales = document["knee"], [step["scale"] for step in steps]
    subtitle = "over the scale; dashed: asked for; circle: pass, cross: fail, hollow: neither"
    with style.style():
        figure = style.new_figure(height=4.6, title=fmt.excerpt(title, 90), subtitle=subtitle)
        above, below = figure.subplots(2, sharex=True)
        asked = [step["asked_per_s"] for step in steps]
        above.plot(scales, asked, color=style.MUTED, lw=1.2, ls=(0, (4, 2)))
        for axes, key, name in (
            (above, "answered_per_s", "answered a second"),
            (below, "p95_us", "p95 of the response"),
        ):
            known = [(step["scale"], step[key], step["outcome"]) for step in steps if step[key]]
            axes.plot([x for x, *_ in known], [y for _, y, _ in known], color=style.CANDIDATE)
            for x, y, outcome in known:
                colour = style.WORSE if outcome == "fail" else style.CANDIDATE
                face = colour if outcome in ("pass", "fail") else "none"
                marks = {"marker": _MARKERS[outcome], "edgecolors": colour, "facecolors": face}
                axes.scatter(x, y, s=46, zorder=3, **marks)
            axes.set_title(name, loc="left", fontsize=8.5, color=style.MUTED, pad=2)
            if knee["low"] and knee["high"]:
                axes.axvspan(knee["low"], knee["high"], color=style.WORSE, alpha=0.12, lw=0)
            if knee["value"]:
                axes.axvline(knee["value"], color=style.INK, lw=1.0, ls=":")
        above.set_ylim(bottom=0)
        if any(step["p95_us"] for step in steps):
            style.duration_axis(below)
        below.xaxis.set_major_locator(MaxNLocator(8))
        below.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    return figure
