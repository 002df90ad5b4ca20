"""The verdict on a terminal: at most 24 lines, the last one with the verdict and the page."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports import format as fmt
from reports.render.labels import (
    GATE_MARKS,
    MARKS,
    baseline_name,
    error_row,
    headline_rows,
    is_validity,
    sorted_gates,
)
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


def print_summary(verdict: Verdict, *, page: Path, stream: TextIO | None = None) -> None:
    """Write the summary to `stream` or standard output.

    Colour and the terminal's own width only on a terminal; NO_COLOR and FORCE_COLOR are honoured.
    """
    out = sys.stdout if stream is None else stream
    colour = "NO_COLOR" not in os.environ and (out.isatty() or "FORCE_COLOR" in os.environ)
    width = shutil.get_terminal_size((100, 24)).columns if out.isatty() else 100
    out.write(render_terminal(verdict.document, page, colour=colour, width=max(MIN_WIDTH, width)))


def render_terminal(
    document: Mapping[str, Any], page: Path, *, colour: bool = False, width: int = 100
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
    end = _end(document, page)
    gates = [g for g in sorted_gates(document) if not (is_validity(g) and g["verdict"] == "pass")]
    console.print(_title(document), no_wrap=True, overflow="ellipsis", crop=True)
    console.print(_headline(document))
    reason = Text(document["reason"])
    taken = buffer.getvalue().count("\n") + len(reason.wrap(console, width)) + 2
    room = max(0, MOST_LINES - taken)
    for gate in gates[:room]:
        console.print(_gate(gate), no_wrap=True, overflow="ellipsis", crop=True)
    if len(gates) > room:
        console.print(f"  and {fmt.plural(len(gates) - room, 'more gate')} in the report")
    console.print(reason)
    console.print(end, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _title(document: Mapping[str, Any]) -> Text:
    return Text(
        f"1.0 {baseline_name(document)}  ->  2.0 {document['provenance']['candidate']}   "
        f"{fmt.plural(document['ledger']['planned'], 'statement')}"
    )


def _headline(document: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    confidence = 2 * document["provenance"]["decision"]["confidence"] - 1
    ratio_head = f"ratio [{confidence:.0%}]"
    for name in ("", "1.0", "2.0", ratio_head):
        table.add_column(
            name, no_wrap=True, justify="left" if name in ("", ratio_head) else "right"
        )
    table.add_column("", no_wrap=True)
    for row in headline_rows(document):
        word = row["word"] if row["ratio"] != fmt.NOTHING else row["note"]
        table.add_row(
            row["stat"],
            row["baseline"],
            row["candidate"],
            f"{row['ratio']} {row['interval']}".strip(),
            Text(word, style=_COLOURS.get(row["word"], "")),
        )
    table.add_row("errors", "", "", error_row(document), "")
    return table


def _gate(gate: Mapping[str, Any]) -> Text:
    verdict = gate["verdict"]
    text = Text("  ")
    text.append(f"{GATE_MARKS[verdict]} {verdict:<12}", style=_COLOURS[verdict])
    aside = "" if gate["severity"] == "block" else "(does not block) "
    text.append(f" {gate['id']}: {'(waived) ' if gate['waived'] else aside}{gate['reason']}")
    return text


def _end(document: Mapping[str, Any], page: Path) -> Text:
    word = document["verdict"]
    text = Text()
    text.append(f"{MARKS[word]} {word}", style=_COLOURS[word])
    return text.append(f"  report: {page}")
