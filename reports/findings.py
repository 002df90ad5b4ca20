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
    known = {
        line["stat"]: line["ratio"]
        for line in document["headline"]
        if line["unit"] == "us" and line["ratio"] is not None and line["stat"] != "mean"
    }
    if not known:
        return "Response time of 2.0"
    stats = [stat for stat in ("p50", "p95", "p99") if stat in known]
    words = [f"{fmt.in_words(known[stat])} at {stat}" for stat in stats]
    return f"2.0 is {_joined(words)}".replace("is same", "is the same")


def of_templates(document: Document) -> str:
    """How many templates got clearly slower or faster."""
    words = [template["word"] for template in document["templates"]]
    worse, improved = words.count("worse"), words.count("improved")
    told = sum(word != "cannot tell" for word in words)
    if told == 0:
        return "No template has enough samples for an interval"
    return f"{worse} of {fmt.plural(told, 'template')} slower, {improved} faster"


def of_time(document: Document, failures: int) -> str:
    """Errors and lag over the run."""
    lag = document["fidelity"]["lag_p99_us"]
    if failures:
        return f"{fmt.plural(failures, 'statement')} failed on 2.0 only; where they fell due"
    return f"No new errors; the tool's own lag stayed at {fmt.duration(lag)} (p99)"


def of_cost(document: Document) -> str:
    """Which place costs less per month."""
    ratio = document["cost"]["ratio"]
    if ratio is None:
        return "Cost a month"
    if 0.995 <= ratio < 1.005:
        return "2.0 costs the same as 1.0"
    word = "more" if ratio > 1 else "less"
    return f"2.0 costs {fmt.share(abs(ratio - 1))} {word} than 1.0"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
