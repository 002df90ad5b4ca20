"""summary.md: the verdict for a pull request or a step summary, details folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.render.cost import cost_tables
from reports.render.rows import (
    MARKS,
    NOISE,
    Row,
    answer_rows,
    answers_in_words,
    drift_rows,
    facts,
    gate_rows,
    headline_rows,
    split_rows,
    template_rows,
    user_tables,
)

MOST_ROWS = 50
"""Rows per table: some readers drop a summary that is too long without a word."""

_HEADLINE = {"": "stat", "1.0": "baseline", "2.0": "candidate", "ratio": "ratio",
             "interval": "interval", "difference": "difference", "change": "change"}  # fmt: skip
_GATES = {"": "mark", "verdict": "verdict", "gate": "id", "observed": "observed",
          "interval": "interval", "limit": "limit", "n": "n", "in words": "reason"}  # fmt: skip
_TEMPLATES = {"template": "id", "starts": "start", "executions": "executions",
              "p50 1.0": "p50 1.0", "p50 2.0": "p50 2.0", "ratio": "ratio",
              "interval": "interval", "impact": "impact", "change": "word"}  # fmt: skip
_USERS = {"statements": "statements", "share": "share", "p50 1.0": "p50 1.0", "p50 2.0": "p50 2.0",
          "p95 1.0": "p95 1.0", "p95 2.0": "p95 2.0", "p95 ratio": "p95 ratio",
          "interval": "p95 interval", "impact": "impact", "change": "word"}  # fmt: skip


def render_markdown(document: Mapping[str, Any]) -> str:
    """The whole of summary.md."""
    word, known = document["verdict"], facts(document)
    fold = "<details><summary>{}</summary>\n"
    lines = [
        f"# {MARKS[word]} {word}\n",
        f"{_text(document['reason'])}\n",
        f"1.0: {_text(known['1.0'])} · 2.0: {_text(known['2.0'])} · {known['replayed']}\n",
        *([f"{NOISE} {known['noise']}\n"] if known["noise"] else []),
        *_table(_HEADLINE, headline_rows(document)),
        "## Gates\n",
        *_table(_GATES, gate_rows(document, checks=False)[:MOST_ROWS]),
        fold.format("Can this run be trusted"),
        *_table(_GATES, gate_rows(document, checks=True)),
        *(f"- {_text(warning)}" for warning in document["warnings"]),
        "\n</details>\n",
        fold.format("Templates by impact"),
        *_table(_TEMPLATES, template_rows(document, MOST_ROWS)),
    ]
    more = len(document["templates"]) - MOST_ROWS
    if more > 0:
        lines.append(f"{more} more in verdict.json\n")
    lines.append("</details>\n")
    for by, told, users in user_tables(document):
        lines += [fold.format(f"Who gets slower, by {by}"), f"{_text(told)}\n"]
        lines += [*_table({by: "name"} | _USERS, users), "</details>\n"]
    lines.append(fold.format("Same answers"))
    lines += [f"{_text(sentence)}\n" for sentence in answers_in_words(document)]
    if answers := answer_rows(document, MOST_ROWS):
        lines += _table({name: name for name in answers[0]}, answers)
    lines.append("</details>\n")
    if drift := drift_rows(document):
        lines += [fold.format("Over the hours"), *_table({name: name for name in drift[0]}, drift)]
        lines += ["</details>\n"]
    if split := split_rows(document):
        columns = {name: name for name in split[0]}
        lines += [fold.format("Inside 2.0"), *_table(columns, split), "</details>\n"]
    lines.append(fold.format("Cost"))
    for title, (head, *rows) in cost_tables(document["cost"]):
        lines += [f"{_text(title)}\n", markdown_table([head, *rows])]
    return "\n".join([*lines, "</details>"]) + "\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first row the head, as a table and an empty line."""
    head, *others = rows
    columns = {name or " " * at: str(at) for at, name in enumerate(head)}
    cells = [{str(at): cell for at, cell in enumerate(row)} for row in others]
    return "\n".join(_table(columns, cells))


def _table(columns: Mapping[str, str], rows: Iterable[Row]) -> list[str]:
    """Lines of a table with the heads of `columns` over the fields of rows they name."""
    cells = [list(columns), ["---"] * len(columns)]
    cells += [[_text(row[key]) for key in columns.values()] for row in rows]
    return [*(f"| {' | '.join(line)} |" for line in cells), ""]


def _text(text: str) -> str:
    """Text that stays text: no markup, no table cell, no HTML of its own."""
    text = re.sub(r"\s+", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([`|*_\[\]\\])", r"\\\1", text)
