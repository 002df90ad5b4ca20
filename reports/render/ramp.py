"""A ramp on a terminal, at most 24 lines, and as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import format as fmt
from reports.ramp.headroom import scale
from reports.render.html import render_page
from reports.render.terminal import align

Document = Mapping[str, Any]
HEAD = ("scale", "asked", "answered", "p95", "gate", "observed", "limit", "per 1,000", "outcome")
_MOST_LINES = 24
_WIDTH = 100
_BANDS = {"KNEE": "go", "SURVIVES": "go", "BREAKS": "no-go", "INVALID": "invalid-band"}


def step_rows(document: Document) -> list[list[str]]:
    """A row for each step under `HEAD`, the lightest first."""
    rows = []
    for step in sorted(document["steps"], key=lambda step: float(step["scale"])):
        gate = step["gate"] or {"id": fmt.NOTHING, "observed": None, "limit": None, "unit": "us"}
        limits = [fmt.amount(gate[key], gate["unit"]) for key in ("observed", "limit")]
        if step["gate"] and gate["interval"]:
            limits[0] += f" {fmt.interval(gate['interval'], gate['unit'])}"
        rates = [fmt.rate(step[key]) for key in ("asked_per_s", "answered_per_s")]
        rows.append(
            [
                scale(step["scale"]), *rates, fmt.duration(step["p95_us"]), gate["id"], *limits,
                fmt.money(step["cost"]["per_1000"]), step["outcome"],
            ]
        )  # fmt: skip
    return rows


def ramp_text(document: Document, *, page: Path) -> str:
    """The table of steps, the heaviest where there is room for some; headroom, verdict, page."""
    words = textwrap.wrap(document["headroom"], _WIDTH, max_lines=8, placeholder=" …")
    if document["ended_by"] != "done":
        words.append(f"{document['ended_by']}; the same words again go on from there")
    rows = step_rows(document)[-(_MOST_LINES - len(words) - 2) :]
    lines = [line.plain.rstrip() for line in align([list(HEAD), *rows], right=(0, 1, 2, 3))]
    return "\n".join([*lines, *words, f"{document['verdict']}  page: {page}"]) + "\n"


def ramp_page(document: Document, chart: str) -> str:
    """ramp.html; `chart` is SVG from `figure_to_svg`."""
    steps = sorted(document["steps"], key=lambda step: float(step["scale"]))
    rows = zip(steps, step_rows(document), strict=True)
    band = _BANDS.get(document["verdict"], "inconclusive-band")
    return render_page(
        "ramp.html.j2", d=document, rows=list(rows), head=HEAD, chart=Markup(chart), band=band
    )
