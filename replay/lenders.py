"""Statements of one template, which lend their values to copies of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

import numpy as np

from replay.comparisons import columns_of
from replay.cut import Cut, fill
from replay.dependence import dependent
from replay.pattern import Cutter

Binds = Sequence[str | None] | None
Values = tuple[str | None, ...]

GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
_SHARE_OF_A_SHAPE = 32
"""A template has no more shapes that vary than if each had so many lenders, and one."""
_EXACT_COST, _LONG = 30, 4_000
"""In cuts: of a text that one expression cannot cut; and the characters that cost one."""


@dataclass(frozen=True, slots=True)
class _Draw:
    """Places whose values come from one lender together: literals, then bind values."""

    places: tuple[int, ...]
    listed: bool
    """Whether a list of literals, which counts as one, is among them."""
    lent: dict[tuple[int, ...], list[Values]]
    """What lenders have there, by the lengths of all their lists if `listed`, or else by ()."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Statements with the same text between literals and as many bind values."""

    lists: tuple[int, ...]
    draws: list[_Draw]

    def lengths(self, values: Sequence[str | None]) -> tuple[int, ...]:
        """How many commas each list has."""
        return tuple([str(values[place]).count(",") for place in self.lists])


class Lenders:
    """Those of one template."""

    def __init__(self, sample: Iterable[tuple[str, Binds]], *, at_most: int, dialect: str) -> None:
        """Read texts and bind values; fewer than `at_most` where they are long."""
        self._cutter = Cutter(dialect)
        self._shapes: dict[tuple[str, int], _Shape] = {}
        read: dict[tuple[str, int], tuple[Cut, list[Values]]] = {}
        budget = max(at_most, 20 * _EXACT_COST)
        for sql, binds in sample:
            statement = self._cutter.cut(sql)
            # The same value of many lenders is one object.
            values = [value and intern(value) for value in (*statement.literals, *(binds or ()))]
            key = statement.key, len(binds or ())
            read.setdefault(key, (statement, []))[1].append(tuple(values))
            budget -= (_EXACT_COST if statement.exact else 1) * (1 + len(sql) // _LONG)
            if budget <= 0:
                break
        commonest = sorted(read, key=lambda key: -len(read[key][1]))
        for key in commonest[: at_most // _SHARE_OF_A_SHAPE + 1]:
            shape = _shape(*read[key], dialect)
            if shape.draws:
                self._shapes[key] = shape

    def vary(self, sql: str, binds: Binds, state: int) -> tuple[str, Binds]:
        """A statement with values of the lenders that `state` decides on."""
        statement = self._cutter.cut(sql)
        shape = self._shapes.get((statement.key, len(binds or ())))
        if shape is None:
            return sql, binds
        values = [*statement.literals, *(binds or ())]
        lengths = shape.lengths(values)
        for number, draw in enumerate(shape.draws):
            lent = draw.lent.get(lengths if draw.listed else ())
            if lent:
                lender = lent[mixed(state + number) % len(lent)]
                for place, value in zip(draw.places, lender, strict=True):
                    values[place] = value
        literals = len(statement.classes)
        body = fill(statement.parts, values[:literals])  # type: ignore
        return statement.head + body + statement.tail, binds and values[literals:]


def _shape(statement: Cut, lenders: list[Values], dialect: str) -> _Shape:
    """Draws of the columns that lenders ask about differently; together where they depend."""
    lists = tuple(slot for slot, kind in enumerate(statement.classes) if kind.isupper())
    shape = _Shape(lists, [])
    columns, codes = [], []
    binds = len(lenders[0]) - len(statement.classes)
    for column in columns_of(statement.parts, binds=binds, dialect=dialect):
        seen: dict[Values, int] = {}
        asked = (tuple([values[place] for place in column.places]) for values in lenders)
        of_lenders = [seen.setdefault(values, len(seen)) for values in asked]
        if len(seen) > 1:
            columns.append(column)
            codes.append(np.array(of_lenders))
    for group in dependent(codes, [column.keyed for column in columns]):
        places = tuple(place for at in group for place in columns[at].places)
        draw = _Draw(places, not set(places).isdisjoint(lists), {})
        known: dict[Values, Values] = {}
        for values in lenders:
            lent = tuple([values[place] for place in places])
            lengths = shape.lengths(values) if draw.listed else ()
            draw.lent.setdefault(lengths, []).append(known.setdefault(lent, lent))
        shape.draws.append(draw)
    return shape


def mixed(value: Any) -> Any:  # noqa: ANN401  an integer or an array of uint64
    """The next number of splitmix64 after this state (Steele, Lea, Flood, OOPSLA 2014)."""
    value = (value + GOLDEN) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)
