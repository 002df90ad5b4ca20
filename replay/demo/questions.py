"""What the demo's customers ask of 1.0: the templates of `questions.sql` and values for them.

Apart from the traffic, which decides who asks what and when, so that a test can ask them too.
Nearly every question moves to 2.0 by replacing tables by joins and columns by expressions. One
needs an override written by hand: `columns_of_report`, for it asks the catalogue about a table
that 2.0 does not have.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from replay.demo.data import COUNTRIES, DAYS, FIRST_HOUR, Labels

Values = Mapping[str, "str | int | list[str]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One template, and whether the client binds its values or spells them out.

    `bound` means the extended protocol: `$1` in the text and the value beside it. Otherwise
    the literals are in the text and the simple protocol carries it.
    """

    name: str
    sql: str
    bound: bool = False
    fails: bool = False
    """True when 1.0 itself answers with an error."""


def _read_questions() -> Mapping[str, Question]:
    text = Path(__file__).with_name("questions.sql").read_text(encoding="utf-8")
    parts = re.findall(r"^-- (\w+)(?: \(([a-z, ]+)\))?(?::.*)?\n((?:.+\n)+)", text, re.MULTILINE)
    return {
        name: Question(name=name, sql=sql.strip(), bound="bound" in words, fails="fails" in words)
        for name, words, sql in parts
    }


QUESTIONS = _read_questions()
"""Every question by its name."""


def draw_values(draw: random.Random, labels: Labels, *, days: int) -> Values:
    """Values for any question, about one customer, one campaign and `days` days."""
    owner = draw.randrange(len(labels.customers))
    customer = labels.customers[owner]
    own = [one.name for one in labels.campaigns if one.customer == owner]
    first = FIRST_HOUR + timedelta(days=draw.randrange(DAYS - days))
    month = draw.choice((4, 5, 6))
    return {
        "customer": customer.name,
        "contact_name": f"{customer.first_name} {customer.last_name}",
        "contact": draw.choice((f"{customer.first_name} %", f"%{customer.last_name[:3]}%")),
        "campaign": draw.choice(own),
        "campaigns": draw.sample(own, draw.randint(1, len(own))),
        "country": draw.choice(COUNTRIES),
        "label": f"%{draw.choice(('Sale', 'Spring', '20% off', 'Loyalty', '00'))}%",
        "from": str(first),
        "to": str(first + timedelta(days=days)),
        "before": str(first - timedelta(days=days)),
        "day": f"{first:%Y-%m-%d}",
        "next_day": f"{first + timedelta(days=1):%Y-%m-%d}",
        "month": f"2026-{month:02d}-01",
        "next_month": f"2026-{month + 1:02d}-01",
        "limit": draw.choice((5, 10, 25)),
        "credit": draw.randrange(20, 150) * 1_000,
        "per_mille": draw.randint(8, 13),
    }


def expand_lists(question: Question, values: Values) -> tuple[str, dict[str, str | int]]:
    """The question's text with one placeholder for each item of a list, and the flat values.

    Only the values that the text names are returned, so that one set serves every question.
    """
    text = question.sql
    flat: dict[str, str | int] = {}
    for name in re.findall(r"%\((\w+)\)s", text):
        value = values[name]
        if isinstance(value, list):
            items = {f"{name}_{index}": item for index, item in enumerate(value)}
            text = text.replace(f"%({name})s", ", ".join(f"%({item})s" for item in items))
            flat.update(items)
        else:
            flat[name] = value
    return text, flat
