"""The result cache: answers as bytes by what was asked, until something is written.

Redshift's rules: same text, same rights, unchanged tables, nothing in it that varies (developer
guide, "Result caching"). Here any write forgets everything, and rights are the user's name.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

_ROOM = 16_000_000
_LONGEST = 1_000_000


class Cached(NamedTuple):
    """One answer and the query that made it."""

    query_id: int
    data: bytes
    rows: int
    row_bytes: int


class ResultCache:
    """Bounded in bytes; the oldest answers go first."""

    def __init__(self) -> None:
        self.generation = 0
        """Counts writes: an answer may be kept only if none came while it was made."""
        self._kept: dict[Hashable, Cached] = {}
        self._bytes = 0

    def find(self, key: Hashable) -> Cached | None:
        """The answer to the same question."""
        return self._kept.get(key)

    def keep(self, key: Hashable, answer: Cached, *, generation: int) -> None:
        """Keep an answer that was begun at `generation`, unless it is long or too old."""
        if generation != self.generation or len(answer.data) > _LONGEST or key in self._kept:
            return
        self._kept[key] = answer
        self._bytes += len(answer.data)
        while self._bytes > _ROOM:
            self._bytes -= len(self._kept.pop(next(iter(self._kept))).data)

    def forget(self) -> None:
        """Something was written."""
        self.generation += 1
        self._kept.clear()
        self._bytes = 0
