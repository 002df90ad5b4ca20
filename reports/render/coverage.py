"""coverage.html: what a team reads before any load; `coverage.json` as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.render.html import render_page

MOST_ROWS = 200
"""Of a table: the page for a workload of thousands of templates must still open."""


def coverage_page(document: Mapping[str, Any]) -> str:
    """The page for one document of `Coverage.as_json`.

    Everything is weighed by time, or by statements where 1.0's log has no durations.
    """
    by = "statements" if document["all"]["time_share"] is None else "time"
    title, sentence = "Nothing to ask", "The workload holds no statements."
    if document["all"]["statements"]:
        share = fmt.share(document["covered"][f"{by}_share"])
        of = "time users spent on 1.0" if by == "time" else "statements"
        title = f"{share} covered"
        sentence = f"{share} of the {of} can be asked of 2.0{_in_the_way(document)}."
    return render_page(
        "coverage.html.j2", d=document, by=by, title=title, sentence=sentence, most=MOST_ROWS
    )


def _in_the_way(document: Mapping[str, Any]) -> str:
    if not document["constructs"]:
        return ": nothing is unsupported"
    stand = fmt.plural(len(document["constructs"]), "construct stands", "constructs stand")
    users, content = document["users"]["all"], document["users"]["wholly_covered"]
    ask = "asks" if content == 1 else "ask"
    return (
        f"; {stand} in the way of the rest; "
        f"{content:,} of {fmt.plural(users, 'user')} {ask} nothing unsupported"
    )
