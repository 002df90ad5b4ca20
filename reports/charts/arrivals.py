"""What 1.0 was asked over its window: statements a second and sessions open at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reports.charts import style


def draw_arrivals(document: Mapping[str, Any]) -> Figure:
    """The figure of a workload as `inspect` describes it, over the window's seconds."""
    arrivals = document["arrivals"]
    bin_s = arrivals["bin_s"]
    edges_s = np.arange(len(arrivals["statements"]) + 1) * bin_s
    with style.style():
        figure = style.new_figure(
            title=f"{document['statements']:,} statements in {document['sessions']:,} sessions",
            subtitle=f"seconds since {document['window']['from']}; "
            "filled: statements a second; line: sessions open at a time",
        )
        axes = figure.subplots()
        rates = np.array(arrivals["statements"]) / (bin_s or 1)
        axes.stairs(rates, edges_s, fill=True, color=style.CANDIDATE, alpha=0.35)
        axes.set_ylabel("statements/s")
        open_axes = axes.twinx()
        open_axes.stairs(arrivals["sessions"], edges_s, color=style.INK, lw=1.2, baseline=None)
        open_axes.set_ylabel("open sessions")
        open_axes.grid(visible=False)
        for each in (axes, open_axes):
            each.set_ylim(bottom=0)
        axes.set_xlim(0, max(float(edges_s[-1]), 1e-6))
    return figure


def write_arrivals(document: Mapping[str, Any], path: Path) -> None:
    """Write the figure as a file of its own; the same workload gives the same bytes."""
    style.write_figure(draw_arrivals(document), path, name="arrivals")
