"""How every chart looks, and how a figure becomes SVG that a page can inline.

Colours stand for meanings and leave as CSS variables, so one drawing serves light, dark and
print. Text stays text. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports import format as fmt

INK: Final = "#010203"
MUTED: Final = "#5f6368"
GRID: Final = "#e1e3e6"
BASELINE: Final = "#6b6b6b"
CANDIDATE: Final = "#0072b2"
WORSE: Final = "#d55e00"
BETTER: Final = "#009e73"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BASELINE: "--arm-one",
    CANDIDATE: "--arm-two",
    WORSE: "--worse",
    BETTER: "--better",
}

FORMS: Final = ("svg", "png", "pdf")
"""What a chart may be written as."""

_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

# Any: matplotlib types the keys as a literal of every parameter there is.
_RC: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.minor.visible": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def new_figure(*, height: float = 3.4, title: str, subtitle: str) -> Figure:
    """An empty figure in the house style: the finding as title, what is plotted below it."""
    figure = Figure(figsize=(7.6, height), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.06, w_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    figure.text(0.01, -0.02, subtitle, ha="left", va="top", fontsize=8.5, color=MUTED)
    return figure


def style() -> Any:  # noqa: ANN401  matplotlib's context manager has no public type
    """The context in which a chart is drawn."""
    return mpl.rc_context(_RC)


def duration_axis(axes: Axes) -> None:
    """A logarithmic axis of microseconds with ticks such as `10 ms`, without trailing zeros."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high / max(low, 1e-9) < 300 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda us, _: fmt.duration(us).replace(".00 ", " ").replace(".0 ", " "))
    )
    axes.yaxis.set_minor_locator(NullLocator())


def figure_to_svg(figure: Figure, *, name: str, description: str) -> str:
    """Inline SVG: no prologue, no size, ids of its own, colours as variables, a title to read out.

    `description` becomes its `<title>`; it is escaped here.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_RC | {"svg.hashsalt": f"fourstep-{name}"}):
        FigureCanvasSVG(figure)
        figure.savefig(
            buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.04,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )  # fmt: skip
    return _inline(buffer.getvalue(), name=name, description=description)


def write_figure(figure: Figure, path: Path, *, name: str) -> None:
    """Write a file of its own, in the form its suffix says; the same figure gives the same bytes.

    In light colours, text as text: an SVG or PDF can be searched.
    """
    form = path.suffix.removeprefix(".").lower()
    with mpl.rc_context(
        {"svg.hashsalt": f"fourstep-{name}", "svg.fonttype": "none", "pdf.fonttype": 42}
    ):
        figure.savefig(
            path, format=form, dpi=200, bbox_inches="tight", metadata=_UNDATED.get(form, {})
        )


def _inline(svg: str, *, name: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Its global `*` rule would reach the whole page; the two properties are inherited anyway.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    # matplotlib numbers its groups alike in every figure; ids must differ within one page.
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"font: ([^;\"]*?)'[^;\"]*?sans-serif", r"font: \1var(--sans)", svg)
    for colour, variable in _VARIABLES.items():
        svg = re.sub(colour, f"var({variable})", svg, flags=re.IGNORECASE)
    text = description.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    view = re.search(r'viewBox="([^"]*)"', svg)
    assert view is not None
    head = (
        f'<svg viewBox="{view[1]}" role="img" aria-labelledby="{name}-title" '
        'style="stroke-linejoin:round;stroke-linecap:butt">'
        f'<title id="{name}-title">{text}</title>'
    )
    return re.sub(r"^<svg[^>]*>", lambda _: head, svg).strip()
