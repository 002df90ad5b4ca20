"""What `fourstep history` found: on a terminal, as a page, in Markdown and as JUnit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from reports import format as fmt
from reports.render.html import render_page
from reports.render.junit import render_junit
from reports.render.markdown import markdown_table
from reports.render.terminal import align

Document = Mapping[str, Any]

MOST_NIGHTS = 40
"""The latest of them in tables; all are in the chart and in `--json`."""


def history_text(document: Document) -> str:
    """The nights as a table, with a rule where something changed, and what it comes to."""
    head, *rows = _table(document)
    width = len(head)
    padded = [row if len(row) == width else [""] * width for row in rows]
    lines = align([head, *padded], right=tuple(range(2, width)))
    shown = [lines[0].plain.rstrip()]
    for row, line in zip(rows, lines[1:], strict=True):
        shown.append(line.plain.rstrip() if len(row) == width else f"  ····· {row[0]}")
    said = f"{document['state']}: {document['reason']} (tonight: {document['tonight']['run_id']})"
    return "\n".join([*shown, "", *_sentences(document), said])


def history_page(document: Document, chart: str) -> str:
    """history.html; `chart` is inline SVG of `figure_to_svg`."""
    return render_page(
        "history.html.j2",
        d=document,
        chart=Markup(chart),
        sentences=_sentences(document),
        metrics=_metric_rows(document),
        rows=_table(document),
    )


def history_markdown(document: Document) -> str:
    """history.md, for a step summary."""
    head, *rows = _table(document)
    cells = [row if len(row) == len(head) else [*row, *[""] * (len(head) - 1)] for row in rows]
    told = [[words] for words in _sentences(document)]
    said = markdown_table([[f"{document['state']}: {document['reason']}"], *told])
    return f"{said}\n{markdown_table([head, *cells])}"


def history_junit(document: Document) -> str:
    """history.xml: one test case a metric; skipped where a regression is acknowledged."""
    return render_junit({"gates": [_case(document, metric) for metric in document["metrics"]]})


def _case(document: Document, metric: Document) -> dict[str, Any]:
    found = [r for r in document["regressions"] if r["metric"] == metric["name"]]
    known = found and all(r["acknowledged"] for r in found)
    verdict = "inconclusive" if metric["limit"] is None or metric["tonight"] is None else "pass"
    return {
        "id": metric["title"],
        "metric": "history",
        "verdict": "fail" if found else verdict,
        "severity": "block" if metric["judged"] else "info",
        "observed": metric["tonight"],
        "limit": metric["limit"],
        "n": metric["nights"],
        "needed_n": None,
        "reason": "; ".join(_regressions(document)[metric["name"]]) or document["reason"],
        "waived": found[0]["acknowledged"] if known else None,
    }


def _regressions(document: Document) -> dict[str, list[str]]:
    """In words, by metric; each metric has an entry."""
    moments = {n["run_id"]: n["started_at"] for s in document["segments"] for n in s["nights"]}
    told: dict[str, list[str]] = {metric["name"]: [] for metric in document["metrics"]}
    for found in document["regressions"]:
        metric = next(each for each in document["metrics"] if each["name"] == found["metric"])
        before, after = (fmt.amount(found[key], metric["unit"]) for key in ("before", "after"))
        words = "new" if found["new"] else "told before, not acknowledged"
        if found["acknowledged"]:
            words = f"acknowledged: {found['acknowledged']}"
        told[metric["name"]].append(
            f"{metric['title']} {fmt.change(found['change'])} since "
            f"{fmt.stamp(moments[found['run_id']])}, {found['run_id']}: {before} → {after}; {words}"
        )
    return told


def _sentences(document: Document) -> list[str]:
    said = [words for told in _regressions(document).values() for words in told]
    if damaged := document["damaged"]:
        each = "; ".join(f"{name}: {why}" for name, why in damaged.items())
        said.insert(0, f"{fmt.plural(len(damaged), 'file')} damaged and left out: {each}")
    return said


def _metric_rows(document: Document) -> list[list[str]]:
    return [
        [
            m["title"],
            *(fmt.amount(m[key], m["unit"]) for key in ("tonight", "limit")),
            fmt.count(m["nights"]),
            "" if m["judged"] else "only shown",
        ]
        for m in document["metrics"]
    ]


def _table(document: Document) -> list[list[str]]:
    """Head, nights, and rows of one cell: what changed from the next night on."""
    metrics = document["metrics"]
    titles = {metric["name"]: metric["title"] for metric in metrics}
    rows = [["night", "verdict", *titles.values()]]
    for segment in document["segments"]:
        if segment["changed"]:
            rows.append(["new segment: " + "; ".join(map(_part, segment["changed"]))])
        for night in segment["nights"]:
            changes = [c for c in segment["changes"] if c["run_id"] == night["run_id"]]
            if changes:
                told = (f"{titles[c['metric']]} {fmt.change(c['change'])}" for c in changes)
                rows.append([", ".join(told)])
            figures = [fmt.amount(night["values"][m["name"]], m["unit"]) for m in metrics]
            rows.append([fmt.stamp(night["started_at"]), night["verdict"], *figures])
    return [rows[0], *rows[1:][-MOST_NIGHTS:]]


def _part(changed: Document) -> str:
    one, two = (fmt.excerpt(changed[key] or "none", 40) for key in ("before", "after"))
    return f"{changed['part']} {one} → {two}"
