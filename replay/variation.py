"""Variation: copies of a session ask with other values, so that no cache answers them.

A copy's statement draws from others of its template, by a hash that is the same on every worker.
What this cannot do is in docs/replay.md.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from replay.lenders import GOLDEN, MASK, Lenders, mixed
from replay.timetable import Dials, Ints, Timetable

LENDERS_AT_MOST, LEARN_AT_MOST = 2_000, 100_000
"""Statements that are read, of a template and in all."""


class Variation:
    """Texts and bind values of a worker's planned statements; those of copies vary."""

    def __init__(self, statements: pa.Table, plan: Timetable, dials: Dials, dialect: str) -> None:
        self.varied = 0
        """How many statements given so far have another text or bind value than the original."""
        self._sql, self._params = (statements[name].combine_chunks() for name in ("sql", "params"))
        self._row = plan.row
        self._clone = np.repeat(plan.clone, np.diff(plan.starts)).astype(np.int32)
        self._seed = dials.seed & MASK
        self._state = self._seed * GOLDEN & MASK
        self._lenders: dict[int, Lenders] = {}
        if dials.vary == "literals" and self._clone.any():
            self._template = _templates(statements)
            self._learn(dialect)

    def text(self, index: int) -> tuple[bytes, list[bytes | None] | None]:
        """Text and bind values of a planned statement."""
        row = self._row[index]
        sql, binds = self._sql[row].as_py(), self._params[row].as_py()
        if self._lenders and self._clone[index]:
            lenders = self._lenders.get(int(self._template[row]))
            if lenders:
                state = self._state + (int(row) << 24) + (int(self._clone[index]) << 8)
                asked = lenders.vary(sql, binds, state)
                self.varied += asked != (sql, binds)
                sql, binds = asked
        return sql.encode(), binds and [b if b is None else b.encode() for b in binds]

    def _learn(self, dialect: str) -> None:
        """Read a sample of each template that copies here have; it is the same on every worker."""
        rows = np.flatnonzero(self._template >= 0)
        templates = self._template[rows]
        order = rows[np.lexsort((mixed(rows.astype(np.uint64) ^ self._seed), templates))]
        counts = np.bincount(templates)
        starts = np.cumsum(counts) - counts
        most = LENDERS_AT_MOST
        while most > 1 and np.minimum(counts, most).sum() > LEARN_AT_MOST:
            most = most * 9 // 10
        here = np.unique(self._template[self._row[self._clone > 0]])
        for template in here[here >= 0].tolist():
            sample = order[starts[template] :][: min(most, counts[template])]
            sql, params = (of.take(pa.array(sample)) for of in (self._sql, self._params))
            said = zip(sql.to_pylist(), params.to_pylist(), strict=True)
            self._lenders[template] = Lenders(said, at_most=most, dialect=dialect)


def _templates(statements: pa.Table) -> Ints:
    """A number for each statement; -1 where it neither varies nor lends."""
    # What failed on 1.0 must fail again where it did, and nowhere else.
    worked = pa.compute.is_null(statements["error"])
    lends = pa.compute.and_(pa.compute.equal(statements["kind"], "select"), worked)
    ids = statements["template_id"].combine_chunks().dictionary_encode().indices
    return np.where(lends.to_numpy(), ids.to_numpy(), -1).astype(np.int64)
