"""Temporary tables: what a session makes may write, and what reads it has nothing to read then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_MADE = re.compile(
    r"""\b(?:create\s+(?:(?:global|local)\s+)?temp(?:orary)?\s+(?:table|view)\s+"""
    r"""(?:if\s+not\s+exists\s+)?|create\s+table\s+(?=[\["`]?\#)|"""
    r"""into\s+(?:local\s+)?temp(?:orary)?\s+(?:table\s+)?)((?:[\w$#.]|"[^"]*"|`[^`]*`)+)""",
    re.IGNORECASE | re.VERBOSE,
)


def read_without_being_made(templates: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The questions that read a temporary table which another template makes.

    `templates` are rows of templates.parquet; returns, by template id, why it cannot be asked.
    """
    rows = list(templates)
    made = {
        _bare(found[1])
        for row in rows
        if row["kind"] != "select"
        for found in _MADE.finditer(row["sql"])
    }
    if not made:
        return {}
    reasons = {}
    for row in rows:
        needed = sorted(made & set(map(_bare, row["tables"]))) if row["kind"] == "select" else []
        if needed:
            reasons[row["template_id"]] = (
                f"reads temporary table `{needed[0]}`, whose making may write and is left out: "
                "prepare and replay with --writes"
            )
    return reasons


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"`').lower()
