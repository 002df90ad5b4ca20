"""The quick way for statements of a shape that is known: one match, one join.

What does not match is cut and looked up as ever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class Stencil:
    """One shape's pattern, and what becomes of a body that matches it."""

    def __init__(
        self,
        pattern: re.Pattern[str],
        *,
        fixed: Sequence[int],
        parts: Sequence[str],
        slots: Sequence[int],
    ) -> None:
        self._match = pattern.fullmatch
        self._parts = list(parts)
        # Literals of fixed slots have no group, and do not occur among `slots`.
        self._groups = [slot - sum(other < slot for other in fixed) for slot in slots]

    def apply(self, sql: str, start: int, stop: int) -> str | None:
        """The text for the body `sql[start:stop]`, or None where it has another shape.

        A shape that stays as it is has no parts; its text is the body's.
        """
        found = self._match(sql, start, stop)
        if found is None:
            return None
        if not self._parts:
            return found[0]
        literals = found.groups()
        filled = self._parts.copy()
        filled[1::2] = [literals[group] for group in self._groups]
        return "".join(filled)
