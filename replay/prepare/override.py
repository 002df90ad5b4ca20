"""Hand-written SQL for one template, with slots for its literals.

A slot is a literal of the template in order of appearance; a list after IN is one slot however
long. `{1}` or `{name}` in the SQL stands for one; `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from replay.template import FOLDED_LIST, shape

_SLOT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SIZES = re.compile(rf'"(?:[^"]|"")*"|\bin \((\?(?:, \?)*|{re.escape(FOLDED_LIST)})\)|(\?)')


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Override:
    """SQL for the statements of one template: text and slots (from 0) in turn."""

    template_id: str
    parts: tuple[str, ...]
    slots: tuple[int, ...]
    note: str | None
    line: int
    """Where it begins in the places file."""

    def spread(self, sizes: Sequence[int]) -> tuple[list[str], list[int]]:
        """Text and literals in turn, and which literals, for slots of these sizes."""
        starts = list(accumulate(sizes, initial=0))
        parts, order = [self.parts[0]], list[int]()
        for slot, text in zip(self.slots, self.parts[2::2], strict=True):
            own = range(starts[slot], starts[slot + 1])
            order += own
            parts += [part for _ in own for part in ("", ", ")]
            parts[-1] = text
        return parts, order


def slot_sizes(sql: str, *, dialect: str) -> list[int]:
    """How many literals each slot of a statement holds; of a template, one size for each slot."""
    return [
        found[1].count("?") if found[1] else 1
        for found in _SIZES.finditer(shape(sql, dialect=dialect))
        if found[1] or found[2]
    ]


def parse_slots(
    sql: str, *, names: Sequence[str], count: int | None
) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    """`(parts, slots, problems)` of an override's SQL; `count` slots exist, where known."""
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
        elif name not in names and not name.isdecimal():
            problems.append(f"slot `{{{name}}}` is not named in `slots`")
        else:
            slot = names.index(name) if name in names else int(name) - 1
            if slot < 0 or (count is not None and slot >= count):
                problems.append(f"slot `{{{name}}}` does not exist: there are {count}")
            slots.append(slot)
            parts += ("", "")
    parts[-1] += sql[at:]
    return tuple(parts), tuple(slots), problems
