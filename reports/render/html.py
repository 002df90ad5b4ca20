"""report.html: one file, no script, nothing fetched; captured SQL is escaped by the engine."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import format as fmt
from reports.render import rows

MOST_TEMPLATES = 50
MOST_ERRORS = 50


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
        name: getattr(fmt, name) for name in ("duration", "count", "share", "money", "stamp")
    }
    css = importlib.resources.files("reports") / "templates" / "report.css"
    templates = rows.template_rows(document, MOST_TEMPLATES)
    return environment.get_template("report.html.j2").render(
        d=document,
        p=document["provenance"],
        css=Markup(css.read_text("utf-8")),
        charts={name: Markup(svg) for name, svg in charts.items()},
        mark=rows.MARKS[document["verdict"]],
        facts=rows.facts(document),
        gates=rows.gate_rows(document, checks=False),
        checks=rows.gate_rows(document, checks=True),
        headline=list(rows.headline_rows(document)),
        templates=templates,
        listed={row["id"] for row in templates},
        errors=document["errors"]["groups"][:MOST_ERRORS],
        nothing=fmt.NOTHING,
    )
