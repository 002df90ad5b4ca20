"""The result cache: answers as bytes by what was asked, until something is written.

Redshift's rules: same text, same rights, unchanged tables, nothing in it that varies (developer
guide, "Result caching"). Here any write forgets everything, and rights are the user's name.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

_ROOM, _LONGEST = 16_000_000, 1_000_000


class Cached(NamedTuple):
    """One answer and the query that made it."""

    query_id: int
    data: bytes
    rows: int
    row_bytes: int


class ResultCache:
    """Bounded in bytes; the oldest answers go first."""

    def __init__(self) -> None:
        self.answers: dict[Hashable, Cached] = {}
        self._room = _ROOM
        self.generation = 0
        """Counts writes: an answer is kept only if none came while it was made."""

    def keep(self, key: Hashable, answer: Cached, *, generation: int) -> None:
        """Keep an answer that was begun at `generation`, unless it is long or too old."""
        if generation != self.generation or len(answer.data) > _LONGEST or key in self.answers:
            return
        self.answers[key] = answer
        self._room -= len(answer.data)
        while self._room < 0:
            self._room += len(self.answers.pop(next(iter(self.answers))).data)

    def forget(self) -> None:
        """Something was written."""
        self.generation += 1
        self.answers.clear()
        self._room = _ROOM
