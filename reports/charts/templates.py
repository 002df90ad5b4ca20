"""Ratio of each template, dot and whisker, for those with the most impact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from reports import format as fmt
from reports.charts import style

TOP = 20
_TICKS = (0.1, 0.25, 0.5, 1, 2, 4, 10, 25, 50)
_COLOURS = {"worse": style.WORSE, "improved": style.BETTER}


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
        low, high = min(axes.get_xlim()[0], 0.78), max(axes.get_xlim()[1], 1.32)
        axes.set_xlim(low, high)
        axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
        axes.xaxis.set_minor_locator(NullLocator())
        # matplotlib would read a pair of dollar signs as a formula.
        axes.set_yticks(range(len(shown)), map(_name, shown), fontsize=8, parse_math=False)
        axes.set_ylim(len(shown) - 0.4, -1.0)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color=style.GRID, lw=0.6)
        axes.tick_params(axis="y", length=0)
    return figure


def _name(template: Mapping[str, Any]) -> str:
    """The id's first digits and the first words that tell one report from another."""
    words = (template["sql"] or "").removeprefix("select ")
    return f"{template['template_id'][:6]}  {fmt.excerpt(words, 34)}".rstrip()


def _draw_row(axes: Axes, row: int, template: Mapping[str, Any]) -> None:
    middle, tail = template["stats"]["p50"], template["stats"]["p95"]
    colour = _COLOURS.get(middle["word"], style.MUTED)
    marker = "s" if middle["word"] == "worse" else "o"
    axes.plot(middle["interval"], [row, row], color=colour, lw=2.2)
    axes.plot([middle["ratio"]], [row], marker=marker, ms=6, color=colour)
    if tail["ratio"] is not None:
        axes.plot(
            [tail["ratio"]], [row], color=style.MUTED, marker="D", ms=5, mfc="none",
            mec=_COLOURS.get(tail["word"], style.MUTED), mew=1.2,
        )  # fmt: skip
