"""Hand-written SQL for one template, with slots for its literals.

A slot is a literal of the template in order of appearance; a list after IN is one slot however
long. `{1}` or `{name}` in the SQL stands for one; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from replay.prepare.cut import Cut
from replay.prepare.unsupported import UnsupportedError
from replay.template import shape

_SLOT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SIZES = re.compile(r'"(?:[^"]|"")*"|\bin \((\?(?:, \?)*)\)|(\?)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """SQL as `pieces` around `slots` (from 0), for the statements of one template."""

    template_id: str
    pieces: tuple[str, ...]
    slots: tuple[int, ...]
    required: bool
    """Named by template id: the workload must have it."""
    note: str | None
    place: int
    """Its line in the places file."""

    def render(self, statement: Cut, literals: Sequence[str], *, dialect: str) -> str:
        """The SQL with this statement's own literals.

        Raises:
            UnsupportedError: the statement has no literal for one of the slots.
        """
        groups: list[str] = []
        at = 0
        for size in slot_sizes(statement.body, dialect=dialect):
            groups.append(", ".join(literals[at : at + size]))
            at += size
        if at != len(literals) or any(slot >= len(groups) for slot in self.slots):
            raise UnsupportedError("the override's slots do not fit this statement's literals")
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (groups[slot], piece)
        return "".join((statement.head, *parts, statement.tail))


def slot_sizes(sql: str, *, dialect: str) -> list[int]:
    """How many literals each slot of a statement holds."""
    return [
        found[1].count("?") if found[1] else 1
        for found in _SIZES.finditer(shape(sql, dialect=dialect))
        if found[1] or found[2]
    ]


def parse_pieces(
    sql: str, *, names: Sequence[str], count: int | None
) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    """`(pieces, slots, problems)` of an override's SQL; `count` slots exist, where known."""
    pieces, slots, problems = [""], [], []
    known = len(names) or count
    at = 0
    for found in _SLOT.finditer(sql):
        pieces[-1] += sql[at : found.start()]
        at = found.end()
        name = found[1]
        if found[0] in ("{{", "}}"):
            pieces[-1] += found[0][0]
        elif name is None:
            problems.append(f"a single `{found[0]}`; write it twice")
        elif name in names:
            slots.append(list(names).index(name))
            pieces.append("")
        elif not name.isdecimal():
            problems.append(f"slot `{{{name}}}` is not named in `slots`")
        elif int(name) < 1 or (known is not None and int(name) > known):
            problems.append(f"slot `{{{name}}}` does not exist: there are {known}")
        else:
            slots.append(int(name) - 1)
            pieces.append("")
    pieces[-1] += sql[at:]
    return tuple(pieces), tuple(slots), problems
