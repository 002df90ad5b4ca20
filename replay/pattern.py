"""One regular expression for the statements of a shape.

`replay.cut` looks at each literal of a statement. Where a shape is known, a pattern of its text
with a form for each literal tells the same in a fifth of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from replay.cut import Cut, bounds, cut
from replay.template import split_quickly

_STRING = r"'[^'\\%\x00-\x1f\x7f]*'"
# No more than `Cut` has the letter for; what else has that letter does not match and is cut. Lists
# as a generator spaces them.
_FORMS = {
    "s": _STRING,
    "p": r"'[^'\\%\x00-\x1f\x7f]*%[^'\\\x00-\x1f\x7f]*'",
    "e": r"'[^'\\]*(?:''[^'\\]*)+'",
    "i": r"[0-9]{1,18}",
    "d": r"[0-9]+\.[0-9]+",
    "S": rf"{_STRING}(?:, {_STRING})*",
    "I": r"[0-9]{1,18}(?:, [0-9]{1,18})*",
}
_WORTH_A_PATTERN = 20
"""Statements: drawing a pattern costs as much as cutting so many."""
_PATTERNS, _COUNTED = 4, 16
"""Shapes of one template: with a pattern, and counted on the way to one."""
_LONGEST = 4_000
"""Characters of a text with a pattern, which takes some fifteen bytes for each."""


def pattern_of(
    statement: Cut, *, dialect: str, fixed: Collection[int] = ()
) -> re.Pattern[str] | None:
    """The pattern of bodies that are cut as this one, with a group for each slot but the `fixed`.

    A fixed slot's literal is part of the pattern. None where only `cut` can tell the shape.
    """
    if split_quickly(statement.body, dialect=dialect) is None:
        return None
    pattern = re.escape(statement.parts[0])
    for slot, kind in enumerate(statement.classes):
        if slot in fixed:
            pattern += re.escape(statement.literals[slot])
        elif kind in _FORMS:
            pattern += f"({_FORMS[kind]})"
        else:
            return None
        pattern += re.escape(statement.parts[2 * slot + 2])
    return re.compile(pattern)


class Cutter:
    """`cut` for the statements of one template, quicker for shapes that are met often."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._uses: dict[str, int] = {}
        self._known: list[tuple[Callable[[str, int, int], re.Match[str] | None], Cut]] = []

    def cut(self, sql: str) -> Cut:
        """As `cut` has it."""
        start, stop = bounds(sql)
        for match, known in self._known:
            found = match(sql, start, stop)
            if found is not None:
                parts = list(known.parts)
                parts[1::2] = found.groups()
                head, tail = sql[:start], sql[stop:]
                return Cut(head, tuple(parts), known.classes, tail, known.key, exact=False)
        statement = cut(sql, dialect=self._dialect)
        if not statement.exact and len(self._known) < _PATTERNS and len(sql) <= _LONGEST:
            self._count(statement)
        return statement

    def _count(self, statement: Cut) -> None:
        if len(self._uses) >= _COUNTED and statement.key not in self._uses:
            self._uses.clear()
        uses = self._uses[statement.key] = self._uses.get(statement.key, 0) + 1
        if uses == _WORTH_A_PATTERN:
            pattern = pattern_of(statement, dialect=self._dialect)
            if pattern is not None:
                self._known.append((pattern.fullmatch, statement))
