"""report.html: one file, no script, nothing fetched; captured SQL is escaped by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import format as fmt
from reports.render import labels

MOST_TEMPLATES = 50
MOST_ERRORS = 50
_SQL_CHARACTERS = 4_000


def render_html(document: Mapping[str, Any], charts: Mapping[str, str]) -> str:
    """The page; `charts` are inline SVG by name, which must come from `figure_to_svg`."""
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": fmt.duration,
        "count": fmt.count,
        "ratio": fmt.ratio,
        "interval": fmt.interval,
        "share": fmt.share,
        "money": fmt.money,
        "seconds": fmt.seconds,
        "stamp": fmt.stamp,
        "in_words": fmt.in_words,
        "sql": _shorten,
    }
    css = environment.loader.get_source(environment, "report.css")[0]  # type: ignore[union-attr]
    gates = labels.sorted_gates(document)
    return environment.get_template("report.html.j2").render(
        d=document,
        p=document["provenance"],
        css=Markup(css),
        charts={name: Markup(svg) for name, svg in charts.items()},
        labels=labels,
        gates=[gate for gate in gates if not labels.is_validity(gate)],
        checks=[gate for gate in gates if labels.is_validity(gate)],
        headline=labels.headline_rows(document),
        templates=document["templates"][:MOST_TEMPLATES],
        listed={t["template_id"] for t in document["templates"][:MOST_TEMPLATES]},
        errors=document["errors"]["groups"][:MOST_ERRORS],
        nothing=fmt.NOTHING,
    )


def _shorten(text: str) -> str:
    if len(text) <= _SQL_CHARACTERS:
        return text
    return f"{text[:_SQL_CHARACTERS]} … ({len(text):,} characters)"
