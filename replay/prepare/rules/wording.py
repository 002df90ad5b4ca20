"""MySQL's functions in PostgreSQL's words: the forms of `mysql.toml`, filled with arguments."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects import Postgres

from replay.prepare.marker import VALUE
from replay.prepare.rules.truth import fitted, kind_of
from replay.prepare.unsupported import UnsupportedError

FACTS = tomllib.loads(Path(__file__).with_name("mysql.toml").read_text(encoding="utf-8"))
FORMS: dict[str, str] = {
    name: form.replace("NAME", re.split("[:/]", name)[0].upper()).format(**FACTS["parts"])
    for names, form in FACTS["forms"].items()
    for name in names.split()
}
_BY_VALUE = {name.split(":")[0] for name in FORMS if ":" in name}
_LETTERS = dict(pair.split() for pair in FACTS["letters"].split(","))
_Node = Any  # sqlglot's nodes have no types of their own for what they hold


class _Verbatim(Postgres):  # type: ignore[misc]
    """PostgreSQL whose functions stay as a form names them."""

    class Parser(Postgres.Parser):  # type: ignore[misc]
        FUNCTIONS: ClassVar[dict[str, _Node]] = {}


@lru_cache(maxsize=1000)
def _parsed(text: str) -> _Node:
    return sqlglot.parse_one(text, read=_Verbatim)


def called(name: str, *parts: _Node) -> _Node:
    """The form of a function with these arguments; None where it stays."""
    given = [part for part in parts if isinstance(part, exp.Expr)]
    last = given[-1].sql().lower() if given and name in _BY_VALUE else ""
    keys = (f"{name}:{last}", f"{name}/{len(given)}", name)
    form = next((FORMS[key] for key in keys if key in FORMS), None)
    # A marker in the place of a value must give another text than any value.
    return filled(form, *parts) if form and not VALUE.search(last) else None


def filled(form: str, *parts: _Node) -> _Node:
    """The form with these arguments.

    Raises:
        UnsupportedError: it is a refusal.
    """
    if form.startswith("!"):
        raise UnsupportedError(form[1:])
    tree = exp.Tuple(expressions=[_parsed(form).copy()])
    for place in list(tree.find_all(exp.Column)):
        letter, number = place.name[0], place.name[1:]
        part = parts[int(number)].copy() if number.isdecimal() else exp.var(place.name)
        if letter == "d" and kind_of(part) == "literal":
            part = exp.cast(part, "TIMESTAMP")
        part = as_text(part) if letter == "t" else part
        part = _format(part) if letter == "f" else part
        place.replace(fitted(part, place.parent))
    return tree.expressions[0].pop()


def as_text(node: _Node) -> _Node:
    """PostgreSQL casts no arguments of functions of texts but literals."""
    return node if kind_of(node) in ("text", "literal") else exp.cast(node, "TEXT")


def _format(node: _Node) -> _Node:
    """A format of TO_CHAR's, which has literal text in double quotes."""
    if not node.is_string:
        raise UnsupportedError("a date format that is computed: write it as a literal")
    if VALUE.search(node.name):
        return exp.Anonymous(this="MARKED", expressions=[node])
    done = ""
    for piece in re.findall(r"%-?.|[^%]+|%", node.name, re.DOTALL):
        known = _LETTERS.get(piece[1:], "") if piece[0] == "%" else ""
        if known.startswith("!"):
            raise UnsupportedError(f"%{known[1:]} in a date format: use EXTRACT or WEEK")
        text = re.sub(r'(["\\])', r"\\\1", piece.removeprefix("%") or piece)
        done += known or (f'"{text}"' if re.search(r'[\w"\\]', text) else text)
    return exp.Literal.string(done)
