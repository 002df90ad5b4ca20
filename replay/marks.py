"""What the engine must know of a planned statement before it sends it, one byte each.

Most statements have no mark, and are sent without a further thought.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.kind import READING
from replay.offsets import Ints
from replay.texts import Texts
from replay.workload import coded

SKIP, FAILED, BEGIN, END = 1, 2, 4, 8
TRANSACTION = BEGIN | END
"""Not sent; failed on 1.0; begins and ends a transaction."""
_OF_SESSIONS = READING - {"select"}
_SAVEPOINT = re.compile(rb"\s*rollback\s+(work\s+|transaction\s+)?to\b", re.IGNORECASE)


class Marks:
    """Marks of planned statements."""

    def __init__(
        self,
        statements: pa.Table,
        row: Ints,
        *,
        writes: bool,
        unsupported: Collection[str],
        alone: bool = False,
    ) -> None:
        """`alone`: each is sent without its session, which some kinds make no sense without."""
        self._kind, self._template = coded(statements["kind"]), coded(statements["template_id"])
        self._row = row
        self._unsupported = unsupported
        skip = _is(self._template, self._unsupported)
        if not writes:
            skip |= ~_is(self._kind, READING)
        if alone:
            skip |= _is(self._kind, _OF_SESSIONS)
        end = _is(self._kind, ["commit", "rollback"])
        at = np.flatnonzero(_is(self._kind, ["rollback"]))
        # One text of each template tells: Arrow would copy all texts to take some.
        codes, texts = self._template.indices.to_numpy()[at], Texts(statements)
        _, firsts, of_row = np.unique(codes, return_index=True, return_inverse=True)
        whole = [not _SAVEPOINT.match(texts[row][0]) for row in at[firsts].tolist()]
        end[at] = np.array(whole, np.bool_)[of_row]
        marks = np.zeros(len(statements), np.uint8)
        for mark, marked in (
            (SKIP, skip),
            (FAILED, statements["error"].is_valid().to_numpy()),
            (BEGIN, _is(self._kind, ["begin"])),
            (END, end),
        ):
            marks[marked] |= mark
        self.of = marks[row].tobytes()
        """One byte a planned statement."""

    def reason(self, index: int) -> str:
        """Why a planned statement with the mark SKIP is not sent."""
        row = int(self._row[index])
        if self._template[row].as_py() in self._unsupported:
            return "unsupported"
        kind = self._kind[row].as_py()
        return f"not drawn alone: {kind}" if kind in _OF_SESSIONS else f"may write: {kind}"


def _is(column: pa.DictionaryArray, values: Collection[str]) -> npt.NDArray[np.bool_]:
    of_words = np.array([word in values for word in column.dictionary.to_pylist()], np.bool_)
    marked: npt.NDArray[np.bool_] = of_words[column.indices.to_numpy()]
    return marked
