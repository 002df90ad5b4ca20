"""Response time against percentile, both arms with bands, on an axis of nines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from reports.charts import style
from reports.series import Curve
from reports.stats.estimate import Floats

_TICKS = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}


def draw_percentile_curve(
    baseline: Curve | None,
    candidate: Curve,
    *,
    limits: Sequence[tuple[float, float]],
    title: str,
) -> Figure:
    """The figure; `limits` are (p, limit in us) of absolute gates, drawn as ticks to stay below."""
    with style.style():
        figure = style.new_figure(
            title=title,
            subtitle="response time by percentile, logarithmic; bands: 90 % interval; "
            "thin: fewer than 10 samples beyond",
        )
        axes = figure.subplots()
        if baseline is not None:
            _draw(axes, baseline, colour=style.BASELINE, dashed=True)
        _draw(axes, candidate, colour=style.CANDIDATE, dashed=False)
        for p, limit_us in limits:
            at = -np.log10(1 - p)
            axes.plot([at - 0.12, at + 0.12], [limit_us] * 2, color=style.INK, ls=":", lw=1.6)
            axes.annotate(
                "limit", (at, limit_us), xytext=(0, 4), textcoords="offset points",
                ha="center", fontsize=8, color=style.INK,
            )  # fmt: skip
        _label(axes, [(baseline, "1.0", style.BASELINE), (candidate, "2.0", style.CANDIDATE)])
        style.duration_axis(axes)
        last = max(c.nines[-1] for c in (baseline, candidate) if c is not None)
        axes.set_xlim(0, last * 1.06)
        shown = {text: -np.log10(1 - p) for text, p in _TICKS.items() if -np.log10(1 - p) <= last}
        axes.xaxis.set_major_locator(FixedLocator(list(shown.values())))
        axes.set_xticklabels(list(shown))
        axes.grid(axis="x", color=style.GRID, lw=0.6)
    return figure


def _draw(axes: Axes, curve: Curve, *, colour: str, dashed: bool) -> None:
    firm = curve.firm
    line = (0, (4, 2)) if dashed else "solid"
    solid = slice(0, firm)
    axes.fill_between(curve.nines[solid], *_band(curve, firm), color=colour, alpha=0.16, lw=0)
    axes.plot(curve.nines[solid], curve.values_us[solid], color=colour, ls=line)
    rest = slice(max(0, firm - 1), None)
    axes.plot(curve.nines[rest], curve.values_us[rest], color=colour, lw=0.7, alpha=0.7)


def _label(axes: Axes, curves: Sequence[tuple[Curve | None, str, str]]) -> None:
    """Name each line at its end, pushed apart where the ends lie close."""
    ends = sorted(
        ((float(c.values_us[-1]), c, text, colour) for c, text, colour in curves if c is not None),
        key=lambda end: (end[0], end[2]),
    )
    near = len(ends) == 2 and ends[1][0] / ends[0][0] < 1.6
    for (value, curve, text, colour), push in zip(ends, (-6, 6), strict=False):
        axes.annotate(
            text, (float(curve.nines[-1]), value), xytext=(4, push if near else 0),
            textcoords="offset points", va="center", color=colour, fontweight="bold",
        )  # fmt: skip


def _band(curve: Curve, firm: int) -> tuple[Floats, Floats]:
    low = np.where(np.isnan(curve.low_us), curve.values_us, curve.low_us)[:firm]
    high = np.where(np.isnan(curve.high_us), curve.values_us, curve.high_us)[:firm]
    return low, high
