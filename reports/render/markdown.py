"""summary.md: the verdict for a pull request or a step summary, details folded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.render.labels import (
    GATE_MARKS,
    MARKS,
    amount,
    baseline_name,
    error_row,
    gate_interval,
    gate_state,
    headline_rows,
    is_validity,
    sorted_gates,
)

MOST_ROWS = 50
"""Rows per table: some readers drop a summary that is too long without a word."""


def render_markdown(document: Mapping[str, Any]) -> str:
    """The whole of summary.md."""
    word = document["verdict"]
    provenance = document["provenance"]
    lines = [
        f"# {MARKS[word]} {word}",
        "",
        _text(document["reason"]),
        "",
        f"1.0: {_text(baseline_name(document))} · 2.0: `{provenance['candidate']}` · "
        f"{fmt.plural(document['ledger']['planned'], 'statement')}",
        "",
        *_headline(document),
        "",
        "## Gates",
        "",
        *_gates([g for g in sorted_gates(document) if not is_validity(g)]),
        "",
        "<details><summary>Can this run be trusted</summary>",
        "",
        *_gates([g for g in sorted_gates(document) if is_validity(g)]),
        "",
        *(f"- {_text(warning)}" for warning in document["warnings"]),
        "",
        "</details>",
        "",
        "<details><summary>Templates by impact</summary>",
        "",
        *_templates(document),
        "",
        "</details>",
    ]
    return "\n".join(lines) + "\n"


def _headline(document: Mapping[str, Any]) -> list[str]:
    lines = ["| | 1.0 | 2.0 | ratio | |", "|---|--:|--:|:--|---|"]
    for row in headline_rows(document):
        ratio = f"{row['ratio']} {row['interval']}".strip()
        lines.append(
            f"| {row['stat']} | {row['baseline']} | {row['candidate']} | {ratio} "
            f"| {_text(row['note'] or row['word'])} |"
        )
    return [*lines, f"| errors | | | {error_row(document)} | |"]


def _gates(gates: list[Mapping[str, Any]]) -> list[str]:
    lines = ["| | gate | observed | limit | n | |", "|---|---|--:|--:|--:|---|"]
    for gate in gates[:MOST_ROWS]:
        observed = f"{amount(gate['observed'], gate['unit'])} {gate_interval(gate)}".strip()
        lines.append(
            f"| {GATE_MARKS[gate['verdict']]} {gate_state(gate)} | `{gate['id']}` | {observed} "
            f"| {amount(gate['limit'], gate['unit'])} | {gate['n']:,} | {_text(gate['reason'])} |"
        )
    return [*lines, *_rest(len(gates))]


def _templates(document: Mapping[str, Any]) -> list[str]:
    lines = [
        "| template | executions | p50 1.0 | p50 2.0 | ratio | impact | |",
        "|---|--:|--:|--:|:--|--:|---|",
    ]
    for template in document["templates"][:MOST_ROWS]:
        p50 = template["stats"]["p50"]
        ratio = f"{fmt.ratio(p50['ratio'])} {fmt.interval(p50['interval'])}".strip()
        lines.append(
            f"| `{template['template_id']}` | {template['executions']:,} "
            f"| {fmt.duration(p50['baseline_us'])} | {fmt.duration(p50['candidate_us'])} "
            f"| {ratio} | {fmt.seconds(template['impact_s'])} | {template['word']} |"
        )
    return [*lines, *_rest(len(document["templates"]))]


def _rest(number: int) -> list[str]:
    return ["", f"{number - MOST_ROWS} more in verdict.json"] if number > MOST_ROWS else []


def _text(text: str) -> str:
    """Text that stays text: no markup, no table cell, no HTML of its own."""
    text = re.sub(r"\s+", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([|*_\[\]\\])", r"\\\1", text)
