"""Ratio of each template, dot and whisker, for those with the most impact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from reports.charts import style

TOP = 20
_TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 10, 20, 50)
_COLOURS = {"worse": style.WORSE, "improved": style.BETTER}
_MARKERS = {"worse": "s", "improved": "o"}


def draw_templates(
    templates: Sequence[Mapping[str, Any]], *, margin: float | None, title: str
) -> Figure | None:
    """The figure of up to 20 templates in the order given; None when none has an interval.

    The dot is the ratio of medians with its interval, the hollow diamond the ratio at p95.
    """
    shown = [t for t in templates if t["stats"]["p50"]["interval"] is not None][:TOP]
    if not shown:
        return None
    with style.style():
        figure = style.new_figure(
            height=1.3 + 0.27 * len(shown),
            title=title,
            subtitle="2.0 over 1.0, by impact; dot: ratio of medians with 90 % interval; "
            "hollow diamond: ratio at p95",
        )
        axes = figure.subplots()
        for row, template in enumerate(shown):
            _draw_row(axes, row, template)
        axes.axvline(1, color=style.INK, lw=0.9)
        if margin is not None:
            axes.axvline(margin, color=style.INK, lw=1.2, ls=":")
            axes.annotate(
                f"limit {margin:g}×", (margin, -0.7), xytext=(3, 0),
                textcoords="offset points", fontsize=8, va="center", color=style.INK,
            )  # fmt: skip
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.78), max(high, 1.32))
        axes.xaxis.set_major_locator(FixedLocator(_ticks(*axes.get_xlim())))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_yticks(range(len(shown)), [t["template_id"][:8] for t in shown])
        axes.set_ylim(len(shown) - 0.4, -1.0)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color=style.GRID, lw=0.6)
        axes.tick_params(axis="y", length=0)
    return figure


def _draw_row(axes: Any, row: int, template: Mapping[str, Any]) -> None:  # noqa: ANN401
    middle, tail = template["stats"]["p50"], template["stats"]["p95"]
    colour = _COLOURS.get(middle["word"], style.MUTED)
    low, high = middle["interval"]
    axes.plot([low, high], [row, row], color=colour, lw=2.2)
    axes.plot(
        [middle["ratio"]], [row], marker=_MARKERS.get(middle["word"], "o"), ms=6, color=colour
    )
    if tail["ratio"] is not None:
        axes.plot(
            [tail["ratio"]], [row], color=style.MUTED, marker="D", ms=5, mfc="none",
            mec=_COLOURS.get(tail["word"], style.MUTED), mew=1.2,
        )  # fmt: skip


def _ticks(low: float, high: float) -> list[float]:
    """Ticks within the range, thinned to keep their labels apart on a log axis."""
    kept: list[float] = []
    least = np.log(high / low) / 11
    for tick in sorted(_TICKS, key=lambda t: abs(np.log(t))):
        inside = low <= tick <= high
        if inside and all(abs(np.log(tick / other)) >= least for other in kept):
            kept.append(tick)
    return sorted(kept)
