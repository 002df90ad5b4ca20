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
from replay.dials import Dials
from replay.offsets import Ints
from replay.pattern import Cutter
from replay.texts import Asked, Texts
from replay.timetable import Timetable
from replay.workload import coded

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
        self._texts = Texts(statements)
        copies = plan.clone if dials.vary == "literals" else np.zeros_like(plan.clone)
        self._row = plan.row.data
        self._seed = dials.seed & _MASK
        self._lenders: dict[int, _Lenders] = {}
        endless = dials.endless and dials.vary == "literals"
        if copies.any() or endless:
            copied = np.repeat((copies > 0) | endless, np.diff(plan.starts))
            self._learn(statements, plan.row[copied], dialect)

    def text(self, index: int, clone: int) -> Asked:
        """Text and bind values of a planned statement for a clone of its session."""
        row = self._row[index]
        asked = self._texts[row]
        if clone and self._lenders and (lenders := self._lenders.get(int(self._template[row]))):
            state = self._seed * _GOLDEN + (row << 24) + (clone << 8)
            original, asked = asked, _encoded(*lenders.vary(*_decoded(asked), state))
            self.varied += asked != original
        return asked

    def _learn(self, statements: pa.Table, copied: Ints, dialect: str) -> None:
        """Read a sample of each template of `copied` rows; it is the same on every worker."""
        # What failed on 1.0 must fail again where it did, and nowhere else.
        lends = statements["error"].is_null().to_numpy()
        kind = coded(statements["kind"])
        lends &= kind.indices.to_numpy() == kind.dictionary.index("select").as_py()
        codes = coded(statements["template_id"]).indices.to_numpy()
        self._template = np.where(lends, codes, np.int32(-1))
        rows = np.flatnonzero(lends)
        codes = codes[rows]
        counts = np.bincount(codes)
        most = LENDERS_AT_MOST
        while most > 1 and np.minimum(counts, most).sum() > LEARN_AT_MOST:
            most = most * 9 // 10
        mixed = _mixed(rows.astype(np.uint64) ^ self._seed)
        # Only the lowest numbers lend; sorting all of ten million would take seconds.
        low = mixed <= (_MASK * np.minimum(1, (4 * most + 64) / np.maximum(counts, 1)))[codes]
        rows, codes = rows[low], codes[low]
        order = rows[np.lexsort((mixed[low], codes))]
        starts = np.searchsorted(np.sort(codes), np.arange(len(counts) + 1))
        here = np.bincount(self._template[copied] + 1)[1:]
        for template in np.flatnonzero(here).tolist():
            sample = order[starts[template] : starts[template + 1]][:most]
            said = (_decoded(self._texts[row]) for row in sample.tolist())
            self._lenders[template] = _Lenders(said, at_most=most, dialect=dialect)


def _decoded(asked: Asked) -> tuple[str, _Binds]:
    sql, binds = asked
    return sql.decode(), None if binds is None else [b if b is None else b.decode() for b in binds]


def _encoded(sql: str, binds: _Binds) -> Asked:
    return sql.encode(), None if binds is None else [b if b is None else b.encode() for b in binds]


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
