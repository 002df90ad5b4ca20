"""What the engine must know of a planned statement before it sends it, one byte each.

Most statements have no mark, and are sent without a further thought.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.kind import READING
from replay.offsets import Ints

SKIP, FAILED, BEGIN, END = 1, 2, 4, 8
TRANSACTION = BEGIN | END
"""Not sent; failed on 1.0; begins and ends a transaction."""
_SAVEPOINT = r"(?i)^\s*rollback\s+(work\s+|transaction\s+)?to\b"


class Marks:
    """Marks of planned statements."""

    def __init__(
        self, statements: pa.Table, row: Ints, *, writes: bool, unsupported: Iterable[str]
    ) -> None:
        self._kind, self._template = statements["kind"], statements["template_id"]
        self._row = row
        self._unsupported = pa.array(unsupported, pa.string())
        skip = _is(self._template, self._unsupported)
        if not writes:
            skip = pc.or_(skip, pc.invert(_is(self._kind, sorted(READING))))
        end = _is(self._kind, ["commit", "rollback"])
        savepoint = np.zeros(len(statements), np.bool_)
        at = np.flatnonzero(end)
        savepoint[at] = pc.match_substring_regex(statements["sql"].take(at), _SAVEPOINT)
        marks = np.zeros(len(statements), np.uint8)
        for mark, marked in (
            (SKIP, skip),
            (FAILED, pc.is_valid(statements["error"])),
            (BEGIN, _is(self._kind, ["begin"])),
            (END, np.asarray(end) & ~savepoint),
        ):
            marks |= np.asarray(marked).astype(np.uint8) * np.uint8(mark)
        self.of = marks[row].tobytes()
        """One byte a planned statement."""

    def reason(self, index: int) -> str:
        """Why a planned statement with the mark SKIP is not sent."""
        row = int(self._row[index])
        if pc.is_in(self._template[row], value_set=self._unsupported).as_py():
            return "unsupported"
        return f"may write: {self._kind[row]}"


def _is(column: pa.ChunkedArray, values: Iterable[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(values, pa.string()))
