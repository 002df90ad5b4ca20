"""One sentence for each chart: what it shows, in words, from the verdict's own numbers.

It is the chart's title and its text for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt

Document = Mapping[str, Any]


def of_curve(document: Document) -> str:
    """How far apart the two arms are at the median and in the tail."""
    ratios = {line["stat"]: line["ratio"] for line in document["headline"]}
    words = [
        f"{fmt.in_words(ratios[stat])} at {stat}"
        for stat in ("p50", "p95", "p99")
        if ratios[stat] is not None
    ]
    return f"2.0 is {', '.join(words)}" if words else "Response time of 2.0"


def of_templates(document: Document) -> str:
    """How many templates got clearly slower or faster."""
    found = document["evaluated"]
    told = found["templates"] - found["cannot_tell"]
    if told == 0:
        return "No template has enough samples for an interval"
    return f"{found['worse']} of {fmt.plural(told, 'template')} slower, {found['improved']} faster"


def of_time(document: Document) -> str:
    """New errors and lag over the run."""
    new, lag = document["errors"]["new"], document["fidelity"]["lag_p99_us"]
    if new:
        return f"{fmt.plural(new, 'statement')} failed on 2.0 only; where they fell due"
    return f"No new errors; the tool's own lag stayed at {fmt.duration(lag)} (p99)"


def of_drift(document: Document) -> str:
    """How p95 changed over a long run, and its steps."""
    series = document["drift"]["series"].get("p95")
    if series is None:
        return "Too short to tell drift"
    steps = [step_in_words(step) for step in series["steps"]]
    drift = f"p95 {series['word']}, {fmt.change(series['drift'])} over the run"
    return "; ".join([drift, *steps]) if steps else f"{drift}; no step"


def step_in_words(step: Mapping[str, Any]) -> str:
    """A sudden change of a long run: how high, when, and what is known of why."""
    way = "up" if step["change"] > 0 else "down"
    cause = f" ({step['label']})" if step["label"] else ""
    return f"a step {way} by {fmt.change(step['change'])} at {fmt.clock(step['at_us'])}{cause}"


def of_split(document: Document) -> str:
    """Where most of the time went."""
    parts = document["server"]["split"]["parts"]
    most, second, *_ = sorted(parts, key=lambda part: -part["share"])
    words = (f"{fmt.share(part['share'])} {part['part']}" for part in (most, second))
    return f"Of the time a statement took: {', '.join(words)}"


def of_cost(document: Document) -> str:
    """Which place costs less a month."""
    ratio = document["cost"]["ratio"]
    if ratio is None:
        return "Cost a month"
    if 0.995 <= ratio < 1.005:
        return "2.0 costs the same as 1.0"
    word = "more" if ratio > 1 else "less"
    return f"2.0 costs {fmt.share(abs(ratio - 1))} {word} than 1.0"


def of_runs(document: Document) -> str:
    """The cheapest run that is a GO."""
    for row in document["runs"]:
        if row["cheapest"]:
            return f"{row['place']} is the cheapest GO: {fmt.money(row['monthly'])} a month"
    return "No run with a known cost is a GO"
