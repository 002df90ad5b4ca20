"""Marks and texts that every view of a verdict shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt

MARKS = {"GO": "✓", "NO-GO": "✗", "INCONCLUSIVE": "?", "INVALID": "!"}
GATE_MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "!"}
_ORDER = {"fail": 0, "invalid": 1, "inconclusive": 2, "pass": 3}


def sorted_gates(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Gates that speak against a GO first, blocking before the rest, else as in the file."""
    return sorted(
        document["gates"],
        key=lambda g: (_ORDER[g["verdict"]], g["severity"] != "block", g["waived"] is not None),
    )


def is_validity(gate: Mapping[str, Any]) -> bool:
    """True for a check of the run itself rather than of 2.0."""
    return str(gate["id"]).startswith("validity.")


def amount(value: float | None, unit: str) -> str:
    """A number in the unit a gate or a headline line states."""
    formats = {
        "us": fmt.duration,
        "ratio": fmt.ratio,
        "count": fmt.count,
        "share": fmt.share,
        "usd": fmt.money,
        "per_s": fmt.rate,
    }
    return formats[unit](value)


def gate_interval(gate: Mapping[str, Any]) -> str:
    """The interval of a gate in its own unit."""
    bounds = gate["interval"]
    if bounds is None:
        return ""
    if gate["unit"] == "ratio":
        return fmt.interval(bounds)
    low, high = ("…" if end is None else amount(end, gate["unit"]) for end in bounds)
    return f"[{low}, {high}]"


def gate_state(gate: Mapping[str, Any]) -> str:
    """`fail`, or `fail (does not block)`, or `fail (waived)`."""
    if gate["waived"] is not None:
        return f"{gate['verdict']} (waived)"
    return str(gate["verdict"]) + ("" if gate["severity"] == "block" else " (does not block)")


def headline_rows(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of the headline table, formatted: stat, baseline, candidate, ratio, interval, word."""
    rows = []
    for line in document["headline"]:
        missing = "; ".join(dict.fromkeys(line["warnings"][:1]))
        rows.append(
            {
                "stat": str(line["stat"]),
                "baseline": amount(line["baseline"], line["unit"]),
                "candidate": amount(line["candidate"], line["unit"]),
                "ratio": fmt.ratio(line["ratio"]),
                "interval": fmt.interval(line["interval"]),
                "word": str(line["word"]),
                "words": fmt.in_words(line["ratio"]) if line["unit"] == "us" else "",
                "note": missing if line["candidate"] is None or line["ratio"] is None else "",
            }
        )
    return rows


def error_row(document: Mapping[str, Any]) -> str:
    """New errors in one phrase."""
    errors = document["errors"]
    return (
        f"{fmt.count(errors['new'])} new, {fmt.count(errors['existing'])} on both, "
        f"{fmt.count(errors['resolved'])} resolved"
    )


def baseline_name(document: Mapping[str, Any]) -> str:
    """What 1.0 stands for: a run id, or the log."""
    name = str(document["provenance"]["baseline"])
    return "durations in 1.0's log" if name == "captured" else name
