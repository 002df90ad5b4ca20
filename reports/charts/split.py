"""Where the time went, in parts of a hundred: one bar for the run, one for each slow template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from reports import format as fmt
from reports.charts import style

_COLOURS = {
    "client": style.MUTED, "queue": style.WORSE, "compile": "#e69f00", "planning": "#cc79a7",
    "lock": "#8c564b", "execution": style.CANDIDATE, "return": "#56b4e9",
}  # fmt: skip
"""Of Okabe and Ito, who chose them for eyes that see colours differently."""


def draw_split(server: Mapping[str, Any], *, title: str) -> Figure | None:
    """The figure from the `server` object of verdict.json; None without a split."""
    if server["split"] is None:
        return None
    bars = [("all statements", server["split"])]
    bars += [(each["template_id"][:6], each) for each in server["templates"]]
    with style.style():
        figure = style.new_figure(
            height=1.5 + 0.27 * len(bars),
            title=title,
            subtitle="shares of service time; at the right its mean; templates by total time",
        )
        axes = figure.subplots()
        for row, (_, split) in enumerate(bars):
            left = 0.0
            for part in split["parts"]:
                width = max(0.0, part["share"])
                name, colour = part["part"], _COLOURS[part["part"]]
                axes.barh(row, width, left=left, height=0.66, color=colour, label=name)
                left += width
            axes.annotate(
                fmt.duration(split["mean_us"]), (left, row), xytext=(5, 0), va="center",
                textcoords="offset points", color=style.INK, fontsize=8.5,
            )  # fmt: skip
        handles, labels = axes.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        axes.legend(
            named.values(), named.keys(), ncols=len(named), loc="lower left", frameon=False,
            bbox_to_anchor=(-0.02, 1.0), fontsize=8.5, handlelength=0.9, columnspacing=1.1,
        )  # fmt: skip
        axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8.5)
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    return figure
