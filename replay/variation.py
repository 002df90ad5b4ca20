"""Variation: copies of a session ask with other values, so that no cache answers them.

A copy's statement draws from others of its template, by a hash that is the same on every worker.
What this cannot do is in docs/replay.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, cast

import numpy as np
import pyarrow as pa

from replay.comparisons import columns_of
from replay.cut import Cut
from replay.dependence import dependent
from replay.pattern import Cutter
from replay.timetable import Dials, Timetable

LENDERS_AT_MOST, LEARN_AT_MOST = 2_000, 100_000  # statements, of a template and in all
_LENDERS_OF_A_SHAPE = 32  # of the shapes of a template, as many vary as if each had so many
_EXACT_COST, _LONG = 30, 4_000  # cuts, of a text that only a scan can cut; characters that cost one
_GOLDEN, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1

_Binds = Sequence[str | None] | None
_Values = tuple[str | None, ...]
"""Of a statement: text and literals in turn, and then bind values; or those at some places."""


class Variation:
    """Texts and bind values of a worker's planned statements; those of copies vary."""

    def __init__(self, statements: pa.Table, plan: Timetable, dials: Dials, dialect: str) -> None:
        self.varied = 0
        """How many statements given so far have another text or bind value than the original."""
        self._sql, self._params = (statements[name].combine_chunks() for name in ("sql", "params"))
        copies = plan.clone if dials.vary == "literals" else np.zeros_like(plan.clone)
        self._clone = np.repeat(copies, np.diff(plan.starts)).astype(np.int32)
        self._row, self._seed = plan.row, dials.seed & _MASK
        self._lenders: dict[int, _Lenders] = {}
        if self._clone.any():
            self._learn(statements, dialect)

    def text(self, index: int) -> tuple[bytes, list[bytes | None] | None]:
        """Text and bind values of a planned statement."""
        row, clone = int(self._row[index]), int(self._clone[index])
        sql, binds = self._sql[row].as_py(), self._params[row].as_py()
        if clone and (lenders := self._lenders.get(int(self._template[row]))):
            asked = lenders.vary(sql, binds, self._seed * _GOLDEN + (row << 24) + (clone << 8))
            self.varied += asked != (sql, binds)
            sql, binds = asked
        return sql.encode(), binds and [b if b is None else b.encode() for b in binds]

    def _learn(self, statements: pa.Table, dialect: str) -> None:
        """Read a sample of each template that copies here have; it is the same on every worker."""
        # What failed on 1.0 must fail again where it did, and nowhere else.
        worked = pa.compute.is_null(statements["error"])
        lends = pa.compute.and_(pa.compute.equal(statements["kind"], "select"), worked).to_numpy()
        codes = statements["template_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        self._template = np.where(lends, codes, -1)
        rows = np.flatnonzero(lends)
        order = rows[np.lexsort((_mixed(rows.astype(np.uint64) ^ self._seed), codes[rows]))]
        counts = np.bincount(codes[rows])
        starts = np.cumsum(counts) - counts
        most = LENDERS_AT_MOST
        while most > 1 and np.minimum(counts, most).sum() > LEARN_AT_MOST:
            most = most * 9 // 10
        here = np.unique(self._template[self._row[self._clone > 0]])
        for template in here[here >= 0].tolist():
            sample = order[starts[template] :][: min(most, counts[template])]
            sql, params = (of.take(pa.array(sample)) for of in (self._sql, self._params))
            said = zip(sql.to_pylist(), params.to_pylist(), strict=True)
            self._lenders[template] = _Lenders(said, at_most=most, dialect=dialect)


class _Lenders:
    """Statements of one template: texts and bind values, fewer than `at_most` if they are long."""

    def __init__(self, sample: Iterable[tuple[str, _Binds]], *, at_most: int, dialect: str) -> None:
        self._cutter = Cutter(dialect)
        self._draws: dict[tuple[str, int], list[_Draw]] = {}
        read: dict[tuple[str, int], tuple[Cut, list[_Values]]] = {}
        budget = max(at_most, 20 * _EXACT_COST)
        for sql, binds in sample:
            statement = self._cutter.cut(sql)
            key = statement.key, len(binds or ())
            read.setdefault(key, (statement, []))[1].append((*statement.parts, *(binds or ())))
            budget -= (_EXACT_COST if statement.exact else 1) * (1 + len(sql) // _LONG)
            if budget <= 0:
                break
        commonest = sorted(read, key=lambda key: -len(read[key][1]))
        for key in commonest[: at_most // _LENDERS_OF_A_SHAPE + 1]:
            if len(read[key][1]) > 1:
                self._draws[key] = _draws(*read[key], dialect)

    def vary(self, sql: str, binds: _Binds, state: int) -> tuple[str, _Binds]:
        """A statement with values of the lenders that `state` decides on."""
        statement = self._cutter.cut(sql)
        draws = self._draws.get((statement.key, len(binds or ())), ())
        values = [*statement.parts, *(binds or ())]
        for number, draw in enumerate(draws):
            if lent := draw.lent.get(draw.lengths(values) if draw.lists else ()):
                lender = lent[_mixed(state + number) % len(lent)]
                for place, value in zip(draw.places, lender, strict=True):
                    values[place] = value
        body = cast("list[str]", values[: len(statement.parts)])
        return statement.head + "".join(body) + statement.tail, binds and values[len(body) :]


@dataclass(frozen=True, slots=True)
class _Draw:
    """Places whose values come from one lender together."""

    places: tuple[int, ...]
    lists: tuple[int, ...]
    """Those of all lists of literals if one is drawn: the lender's are as long."""
    lent: dict[tuple[int, ...], list[_Values]]
    """What lenders have at `places`, by the commas in each of `lists`."""

    def lengths(self, values: Sequence[str | None]) -> tuple[int, ...]:
        return tuple([str(values[place]).count(",") for place in self.lists])


def _draws(statement: Cut, lenders: list[_Values], dialect: str) -> list[_Draw]:
    """Of the columns that lenders ask about differently; together where they depend."""
    columns, codes = [], []
    binds = len(lenders[0]) - len(statement.parts)
    for column in columns_of(statement.parts, binds=binds, dialect=dialect):
        seen: dict[_Values, int] = {}
        asked = (tuple([values[place] for place in column.places]) for values in lenders)
        of_lenders = [seen.setdefault(values, len(seen)) for values in asked]
        if len(seen) > 1:
            columns.append(column)
            codes.append(np.array(of_lenders))
    lists = tuple(2 * slot + 1 for slot, kind in enumerate(statement.classes) if kind.isupper())
    draws = []
    for group in dependent(codes, [column.keyed for column in columns]):
        places = tuple(place for at in group for place in columns[at].places)
        draw = _Draw(places, () if set(places).isdisjoint(lists) else lists, {})
        known: dict[_Values, _Values] = {}
        for values in lenders:
            # The same value of many lenders is one object.
            lent = tuple([v and intern(v) for v in [values[place] for place in places]])
            draw.lent.setdefault(draw.lengths(values), []).append(known.setdefault(lent, lent))
        draws.append(draw)
    return draws


def _mixed(value: Any) -> Any:  # noqa: ANN401  an integer or an array of uint64
    """The next number of splitmix64 after this state (Steele, Lea, Flood, OOPSLA 2014)."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
