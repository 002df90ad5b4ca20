"""Pages of one file: no script, nothing fetched; captured SQL is escaped by the engine."""

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
_FILTERS = ("duration", "count", "share", "money", "stamp", "plural", "excerpt")


def render_html(document: Mapping[str, Any], charts: Mapping[str, str]) -> str:
    """The page; `charts` are inline SVG by name, which must come from `figure_to_svg`."""
    templates = rows.template_rows(document, MOST_TEMPLATES)
    return render_page(
        "report.html.j2",
        d=document,
        p=document["provenance"],
        charts={name: Markup(svg) for name, svg in charts.items()},
        mark=rows.MARKS[document["verdict"]],
        facts=rows.facts(document),
        gates=rows.gate_rows(document, checks=False),
        checks=rows.gate_rows(document, checks=True),
        headline=list(rows.headline_rows(document)),
        templates=templates,
        users=rows.user_tables(document),
        listed={row["id"] for row in templates},
        errors=document["errors"]["groups"][:MOST_ERRORS],
        answers=rows.answer_rows(document, MOST_TEMPLATES),
        answers_in_words=rows.answers_in_words(document),
        split=rows.split_rows(document),
        drift=rows.drift_rows(document),
        nothing=fmt.NOTHING,
    )


def render_page(template: str, **values: object) -> str:
    """Fill a template of reports/templates; `css` in it is the style that all pages share."""
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(fmt, name) for name in _FILTERS}
    css = importlib.resources.files("reports") / "templates" / "report.css"
    return environment.get_template(template).render(css=Markup(css.read_text("utf-8")), **values)
