"""What the engine must know of a planned statement before it sends it, one byte each.

Most statements have no mark, and are sent without a further thought.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.denied import OWN_USERS, denial
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
        self._user = coded(statements["user"])
        texts = self._template_texts(statements)
        reasons = (denial(text.decode(errors="replace")) for text in texts)
        denied = zip(self._template.dictionary.to_pylist(), reasons, strict=True)
        self._denied = {name: reason for name, reason in denied if reason}
        skip = _is(self._template, {*self._unsupported, *self._denied})
        skip |= _is(self._user, OWN_USERS)
        if not writes:
            skip |= ~_is(self._kind, READING)
        if alone:
            skip |= _is(self._kind, _OF_SESSIONS)
        partial = np.array([bool(_SAVEPOINT.match(text)) for text in texts], np.bool_)
        end = _is(self._kind, ["commit", "rollback"])
        end &= ~(_is(self._kind, ["rollback"]) & partial[self._template.indices.to_numpy()])
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

    def _template_texts(self, statements: pa.Table) -> list[bytes]:
        """The text of each template's first statement, which tells for all; Arrow would copy all
        texts to take some. Empty for a template without one.
        """
        codes, texts = self._template.indices.to_numpy(), Texts(statements)
        first = np.full(len(self._template.dictionary), -1)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        return [b"" if row < 0 else texts[row][0] for row in first.tolist()]

    def reason(self, index: int) -> str:
        """Why a planned statement with the mark SKIP is not sent."""
        row = int(self._row[index])
        template = self._template[row].as_py()
        if template in self._unsupported:
            return "unsupported"
        if self._user[row].as_py() in OWN_USERS:
            return f"denied: user {self._user[row].as_py()}"
        if template in self._denied:
            return self._denied[template]
        kind = self._kind[row].as_py()
        return f"not drawn alone: {kind}" if kind in _OF_SESSIONS else f"may write: {kind}"


def _is(column: pa.DictionaryArray, values: Collection[str]) -> npt.NDArray[np.bool_]:
    # The last stands for null.
    of_words = [*(word in values for word in column.dictionary.to_pylist()), False]
    codes = column.indices.fill_null(len(of_words) - 1).to_numpy()
    marked: npt.NDArray[np.bool_] = np.array(of_words, np.bool_)[codes]
    return marked
