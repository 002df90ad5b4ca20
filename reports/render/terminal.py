"""The verdict on a terminal: at most 24 lines, the last one with the verdict and the page."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from reports import format as fmt
from reports.render.rows import MARKS, NOISE, Row, facts, gate_rows, headline_rows
from reports.verdict import Verdict

MOST_LINES = 24
MIN_WIDTH = 72
_COLOURS = {
    "GO": "bold green",
    "NO-GO": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "INVALID": "bold magenta",
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "invalid": "magenta",
    "improved": "green",
    "worse": "red",
}


def print_summary(verdict: Verdict, *, page: Path | str, stream: TextIO | None = None) -> None:
    """Write the summary to `stream` or standard output.

    Colour and the terminal's own width only on a terminal; NO_COLOR and FORCE_COLOR are honoured.
    """
    out = sys.stdout if stream is None else stream
    colour = "NO_COLOR" not in os.environ and (out.isatty() or "FORCE_COLOR" in os.environ)
    width = shutil.get_terminal_size((100, 24)).columns if out.isatty() else 100
    out.write(render_terminal(verdict.document, page, colour=colour, width=max(MIN_WIDTH, width)))


def render_terminal(
    document: Mapping[str, Any], page: Path | str, *, colour: bool = False, width: int = 100
) -> str:
    """The summary as text, one string ending in a new line."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        width=width,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    known, word = facts(document), document["verdict"]
    checks = [row for row in gate_rows(document, checks=True) if row["verdict"] != "pass"]
    gates = checks + gate_rows(document, checks=False)
    reason, headline = Text(document["reason"]), _headline(document)
    noise = [Text(f"{NOISE} {known['noise']}")] if known["noise"] else []
    room = MOST_LINES - len(noise) - len(headline) - len(reason.wrap(console, width)) - 5
    lines = [
        Text(f"1.0 {known['1.0']}  ->  2.0 {known['2.0']}"),
        Text(known["replayed"]),
        *noise,
        *headline,
        *_gates(gates[:room]),
    ]
    if len(gates) > room:
        lines.append(Text(f"  and {fmt.plural(len(gates) - room, 'more gate')} in the report"))
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    console.print(reason)
    end = Text.assemble((f"{MARKS[word]} {word}", _COLOURS[word]), f"  report: {page}")
    console.print(end, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _headline(document: Mapping[str, Any]) -> list[Text]:
    confidence = 2 * document["provenance"]["decision"]["confidence"] - 1
    head = ["", "1.0", "2.0", f"ratio [{confidence:.0%}]", "difference", ""]
    rows = [
        [
            *(row[key] for key in ("stat", "baseline", "candidate")),
            f"{row['ratio']} {row['interval']}",
            row["difference"],
            row["change"],
        ]
        for row in headline_rows(document)
    ]
    return align([head, *rows], right=(1, 2, 4))


def _gates(rows: list[Row]) -> list[Text]:
    head = ["", "gate", "observed", "limit", "n", ""]
    cells = [
        [
            f"{row['mark']} {row['verdict']}",
            row["id"],
            f"{row['observed']} {row['interval']}",
            *(row[key] for key in ("limit", "n", "aside")),
        ]
        for row in rows
    ]
    return align([head, *cells])


def align(rows: list[list[str]], right: tuple[int, ...] = ()) -> list[Text]:
    """Cells in columns. A terminal too narrow then cuts the last of them, not every one."""
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = Text("  ")
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            pad = " " * (width - cell_len(cell))
            style = _COLOURS.get(cell.split(" ")[-1] if number == 0 else cell.split(" ")[0], "")
            text = pad + cell if number in right else cell + pad
            line.append(text + "  " if number < len(row) - 1 else cell, style=style)
        lines.append(line)
    return lines
