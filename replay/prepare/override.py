"""Hand-written SQL for one template, with slots for its literals.

A slot is a literal of the template in order of appearance; a list after IN is one slot however
long. `{1}` or `{name}` in the SQL stands for one, or for a constant; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot.errors import ParseError, SqlglotError

from replay.prepare.names import nearest
from replay.template import FOLDED_LIST, shape

_SLOT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SLOTS = re.compile(rf'"(?:[^"]|"")*"|(\bin \((?:\?(?:, \?)*|{re.escape(FOLDED_LIST)})\)|\?)')
_QUOTING = re.compile(r"[.<]| but got")
"""Where a parser's words begin to quote the text."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Override:
    """SQL for the statements of one template: text and slots (from 0) in turn."""

    template_id: str
    parts: tuple[str, ...]
    slots: tuple[int, ...]
    note: str | None
    line: int
    """Where it begins in the places file."""


def slot_count(sql: str, *, dialect: str) -> int:
    """How many slots a statement or a template has."""
    return sum(bool(found[1]) for found in _SLOTS.finditer(shape(sql, dialect=dialect)))


def parse_slots(
    sql: str,
    *,
    names: Sequence[str],
    count: int | None,
    unused: Sequence[str],
    constants: Mapping[str, str],
    dialect: str,
) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    """`(parts, slots, problems)` of an override's SQL in the target's dialect.

    `count` slots exist, where known; `unused` are names or numbers of those that it may not use.
    """
    parts, slots, problems = [""], [], []
    at = 0
    for found in _SLOT.finditer(sql):
        parts[-1] += sql[at : found.start()]
        at = found.end()
        name = found[1]
        if found[0] in ("{{", "}}"):
            parts[-1] += found[0][0]
        elif name is None:
            problems.append(f"a single `{found[0]}`; write it twice")
        elif name in constants and name not in names:
            parts[-1] += constants[name]
        elif name not in names and not name.isdecimal():
            close = nearest(name, [*names, *constants])
            problems.append(f"slot `{{{name}}}` is not named in `slots`{close}")
        else:
            slot = names.index(name) if name in names else int(name) - 1
            if slot < 0 or (count is not None and slot >= count):
                problems.append(f"slot `{{{name}}}` does not exist: there are {count}")
            slots.append(slot)
            parts += ("", "")
    parts[-1] += sql[at:]
    if not problems and (problem := _parse_problem(parts, dialect)):
        problems.append(problem)
    if not problems and count is not None:
        called = names or [str(number) for number in range(1, count + 1)]
        idle = {name for slot, name in enumerate(called) if slot not in slots}
        lost = ", ".join(f"`{name}`" for name in called if name in idle and name not in unused)
        if lost:
            problems.append(f"does not use {lost}: use it, or say so in `unused`")
        problems += [f"`{name}` of `unused` is no idle slot" for name in unused if name not in idle]
    return tuple(parts), tuple(slots), problems


def _parse_problem(parts: Sequence[str], dialect: str) -> str | None:
    """Why SQL does not parse with either kind of literal; quotes none of its own."""
    problem = None
    for literal in ("'0'", "0"):
        try:
            sqlglot.parse(literal.join(parts[::2]), read=dialect)
        except ParseError as error:
            first = error.errors[0] if error.errors else {}
            said = _QUOTING.split(str(first.get("description", "")))[0].strip().lower()
            problem = problem or f"line {first.get('line', 1)} of it does not parse: {said}"
        except (SqlglotError, RecursionError):
            problem = problem or "it cannot be split into tokens"
        else:
            return None
    return problem
