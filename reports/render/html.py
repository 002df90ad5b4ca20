"""Pages of one file: nothing fetched; captured SQL is escaped by the engine.

The one script sorts tables; its hash is in the page's policy, so that no other can run.
"""

from __future__ import annotations

import importlib.resources
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
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
        commands=rows.commands(document),
        nothing=fmt.NOTHING,
    )


def render_page(template: str, **values: object) -> str:
    """Fill a template of reports/templates.

    All pages share the style `css` and the script `sort`, which `policy` lets run by its hash.
    """
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(fmt, name) for name in _FILTERS}
    files = importlib.resources.files("reports") / "templates"
    css, sort = (Markup((files / name).read_text("utf-8")) for name in ("report.css", "sort.js"))
    hashed = b64encode(sha256(sort.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'"
    shared = {"css": css, "sort": sort, "policy": Markup(policy)}
    return environment.get_template(template).render(**shared, **values)
