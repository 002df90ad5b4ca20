"""Response time against percentile, both arms with bands, on an axis of nines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts import style
from reports.series import Curve

_TICKS = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}

_Drawn = tuple[Curve, str, str, str | tuple[int, tuple[int, int]]]
"""A curve with its name, colour and dashes."""


def draw_percentile_curve(
    baseline: Curve | None, candidate: Curve, *, limits: Sequence[tuple[float, float]], title: str
) -> Figure:
    """The figure; `limits` are (p, limit in us) of absolute gates, drawn as ticks to stay below."""
    drawn: list[_Drawn] = [(candidate, "2.0", style.CANDIDATE, "solid")]
    if baseline is not None:
        drawn.append((baseline, "1.0", style.BASELINE, (0, (4, 2))))
    drawn.sort(key=lambda arm: arm[0].values_us[-1])
    near = drawn[-1][0].values_us[-1] < 1.6 * drawn[0][0].values_us[-1]
    with style.style():
        figure = style.new_figure(
            title=title,
            subtitle="response time by percentile, logarithmic; bands: 90 % interval; "
            "thin: fewer than 10 samples beyond",
        )
        axes = figure.subplots()
        for (curve, name, colour, dashes), push in zip(drawn, (-6, 6), strict=False):
            _draw(axes, curve, colour=colour, dashes=dashes)
            # Each line is named at its end; names are pushed apart where the ends lie close.
            axes.annotate(
                name, (float(curve.nines[-1]), float(curve.values_us[-1])), va="center",
                xytext=(4, push if near and len(drawn) > 1 else 0), textcoords="offset points",
                color=colour, fontweight="bold",
            )  # fmt: skip
        for p, limit_us in limits:
            at = -np.log10(1 - p)
            axes.plot([at - 0.12, at + 0.12], [limit_us] * 2, color=style.INK, ls=":", lw=1.6)
            axes.annotate(
                "limit", (at, limit_us), xytext=(0, 4), textcoords="offset points",
                ha="center", fontsize=8, color=style.INK,
            )  # fmt: skip
        style.duration_axis(axes)
        last = max(curve.nines[-1] for curve, *_ in drawn)
        axes.set_xlim(0, last * 1.06)
        shown = {text: -np.log10(1 - p) for text, p in _TICKS.items() if -np.log10(1 - p) <= last}
        axes.set_xticks(list(shown.values()), list(shown))
        axes.grid(axis="x", color=style.GRID, lw=0.6)
    return figure


def _draw(axes: Axes, curve: Curve, *, colour: str, dashes: object) -> None:
    firm, rest = slice(0, curve.firm), slice(max(0, curve.firm - 1), None)
    bounds = curve.low_us[firm], curve.high_us[firm]
    axes.fill_between(curve.nines[firm], *bounds, color=colour, alpha=0.16, lw=0)
    axes.plot(curve.nines[firm], curve.values_us[firm], color=colour, ls=dashes)
    axes.plot(curve.nines[rest], curve.values_us[rest], color=colour, lw=0.7, alpha=0.7)
