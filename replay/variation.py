"""Variation: clones of a session ask with other values, so that no cache answers them.

Its values come from statements of its template, where WHERE, ON or HAVING compares a column with
them. A draw is a hash, the same on every worker. What this cannot do is in docs/replay.md.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from itertools import accumulate, combinations
from typing import Any

import numpy as np
import pyarrow as pa

from replay.template import scan, split_exactly, split_quickly, trim
from replay.timetable import Dials, Ints, Timetable

LENDERS_AT_MOST, LEARN_AT_MOST = 2_000, 150_000
"""Statements that lend values, of a template and in all."""
_EXACT_COST, _LONG = 30, 4_000  # short texts' worth of time; characters of a short one
_SHAPES_AT_MOST = 32  # spellings and lengths of lists that vary, of a template
TOGETHER_BELOW = 0.85
"""Groups stay together where less than this part of the pairs expected by chance was seen."""
_MOSTLY = 0.9  # a group with one value in so many statements hardly ever breaks a pair

_CLAUSES = dict.fromkeys("where on having qualify".split(), True) | dict.fromkeys(
    "select from group order window limit union except intersect ;".split(), False
)
_SYMBOLS = frozenset("- + * / < > = <= >= <> != ~ ! @ # % ^ & | || ? :".split())
# Of words with one space between; a value is \1, I inside these clauses or O, and its token.
_NAME = r'(?:[^\W\d][\w$]*|"[^"]*"|`[^`]*`)'
_CALL = r'(?:(?!(?:where|on|having|and|or|not|in|when)\b)\w+ )?\( [^()a-z_"`]*+[a-z_"`][^()]*+\)'
_ITEM = "(?:(?:cast|\\(|date|datetime|time|timestamp|timestamptz|with|zone) )*\1I\\d++"
_CAST = r"(?: :: \w+| as \w+ \)| \))*"
_COMPARISON = re.compile(
    rf"(?<= )(?<!\. )(?P<left>(?:{_NAME}(?: \. {_NAME})*|{_CALL})(?: :: \w+)?) (?:not )?(?P<values>"
    rf"(?P<range>[<>]=? {_ITEM}|between (?:symmetric )?{_ITEM}{_CAST} and {_ITEM})"
    rf"|(?:=|<>|!=|i?like) {_ITEM}|in \( {_ITEM}{_CAST}(?: , {_ITEM}{_CAST})* \))(?! ,)"
)
_VALUE, _ELSEWHERE = (re.compile(f"\1{x}") for x in (r"I(\d+)", r"[IO](\d+)(?!\d|( :: \w+)? is )"))
_GOLDEN, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1

_Binds = list[str | None]
_Cut = tuple[Hashable, str, list[str], str, int]
"""What texts with equal places share; head, text and literals in turn, tail; what it cost."""
_Group = tuple[list[int], bool, list[tuple[str | None, ...]], Ints]
"""Places (indexes of a text's parts, or below 0 of bind values), whether a row may have to equal a
value there, what was seen there, and which of it each lender has."""


class Variation:
    """Texts and bind values of a worker's planned statements; those of clones vary."""

    def __init__(
        self, statements: pa.Table, timetable: Timetable, dials: Dials, *, dialect: str
    ) -> None:
        self.varied = 0
        """How many statements given so far have another text or bind value than the original."""
        self._sql, self._params = (statements[name].combine_chunks() for name in ("sql", "params"))
        self._clone = np.repeat(timetable.clone, np.diff(timetable.starts)).astype(np.int32)
        self._row, self._seed, self._dialect = timetable.row, dials.seed, dialect
        self._draws: dict[Hashable, list[list[_Group]]] = {}
        if dials.vary == "literals" and self._clone.any():
            self._learn(statements)

    def text(self, index: int) -> tuple[bytes, list[bytes | None] | None]:
        """Text and bind values of a planned statement."""
        row, clone = self._row[index], self._clone[index]
        sql, binds = self._sql[row].as_py(), self._params[row].as_py()
        if clone and self._draws and self._template[row] >= 0:
            asked = self._vary(int(row), int(clone), sql, binds or [])
            self.varied += asked != (sql, binds or [])
            sql, binds = asked[0], binds and asked[1]
        return sql.encode(), binds and [b if b is None else b.encode() for b in binds]

    def _vary(self, row: int, clone: int, sql: str, binds: _Binds) -> tuple[str, _Binds]:
        shape, head, parts, tail, _ = self._cut(int(self._template[row]), sql, binds)
        binds = binds.copy()
        state = self._seed * _GOLDEN + (row << 24) + (clone << 8)
        for number, groups in enumerate(self._draws.get(shape, ())):
            lender = _mixed(state + number) % len(groups[0][-1])
            for places, _, rows, codes in groups:
                for place, value in zip(places, rows[codes[lender]], strict=True):
                    (binds if place < 0 else parts)[place] = value
        return head + "".join(parts) + tail, binds

    def _cut(self, template: int, sql: str, binds: _Binds) -> _Cut:
        start, stop = trim(sql)
        quick = split_quickly(sql[start:stop], dialect=self._dialect)
        parts = quick or split_exactly(sql[start:stop], dialect=self._dialect)
        shape = (template, len(binds), "\0".join(parts[::2]))
        cost = (1 if quick else _EXACT_COST) * (1 + len(sql) // _LONG)
        return shape, sql[:start], parts, sql[stop:], cost

    def _learn(self, statements: pa.Table) -> None:
        """Read a sample of each template that clones here have; it is the same on every worker."""
        # What failed on 1.0 must fail again where it did, and nowhere else.
        worked = pa.compute.is_null(statements["error"])
        lends = pa.compute.and_(pa.compute.equal(statements["kind"], "select"), worked).to_numpy()
        codes = statements["template_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        self._template = np.where(lends, codes, -1)
        rows = np.flatnonzero(lends)
        chance = _mixed(rows.astype(np.uint64) ^ (self._seed & _MASK))
        order, counts = rows[np.lexsort((chance, codes[rows]))], np.bincount(codes[rows])
        most = LENDERS_AT_MOST
        while most > 1 and np.minimum(counts, most).sum() > LEARN_AT_MOST:
            most = most * 9 // 10
        asked = np.unique(self._template[self._row[self._clone > 0]])
        for template in asked[asked >= 0].tolist():
            sample = order[counts[:template].sum() :][: min(most, counts[template])]
            texts, params = (c.take(pa.array(sample)) for c in (self._sql, self._params))
            lenders = dict[Hashable, list[tuple[list[str], _Binds]]]()
            budget = max(most, 20 * _EXACT_COST)
            for sql, binds in zip(texts.to_pylist(), params.to_pylist(), strict=True):
                shape, _, parts, _, cost = self._cut(template, sql, binds or [])
                lenders.setdefault(shape, []).append((parts, binds or []))
                budget -= cost
                if budget <= 0:
                    break
            for shape in sorted(lenders, key=lambda key: -len(lenders[key]))[: most // 20 + 2]:
                if len(lenders[shape]) > 1:
                    self._draws[shape] = _draws(lenders[shape], self._dialect)


def _mixed(value: Any) -> Any:  # noqa: ANN401  an integer or an array of uint64
    """The next number of splitmix64 after this state (Steele, Lea, Flood, OOPSLA 2014)."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _draws(lenders: list[tuple[list[str], _Binds]], dialect: str) -> list[list[_Group]]:
    """What statements of one shape draw from these: groups, together where they depend."""
    found: list[_Group] = []
    for places, keyed in _groups(lenders[0][0], len(lenders[0][1]), dialect):
        seen: dict[tuple[str | None, ...], int] = {}
        rows = (tuple((b if at < 0 else p)[at] for at in places) for p, b in lenders)
        codes = np.array([seen.setdefault(row, len(seen)) for row in rows])
        if len(seen) > 1:
            found.append((places, keyed, list(seen), codes))
    root = list(range(len(found)))
    for one, other in combinations(root, 2):
        keys = found[one][1] and found[other][1]
        if root[one] != root[other] and together(found[one][3], found[other][3], keys=keys):
            root = [root[one] if now == root[other] else now for now in root]
    return [[g for g, r in zip(found, root, strict=True) if r == now] for now in sorted({*root})]


def together(one: Ints, other: Ints, *, keys: bool) -> bool:
    """Whether the values of two groups, as codes from 0, depend on each other, or of keys might.

    They might where few values repeat. A range finds rows with a key it was never asked with.
    """
    n, counts = len(one), [np.bincount(codes) for codes in (one, other)]
    (a, a_times), (b, b_times) = (np.unique(count, return_counts=True) for count in counts)
    chance = 1 - (1 - np.outer(a, b) / n**2) ** n
    enough = TOGETHER_BELOW * float((np.outer(a_times, b_times) * chance).sum())
    blind = max(map(len, counts)) >= enough and max(a[-1], b[-1]) < _MOSTLY * n
    return len(np.unique(one * n + other)) < enough or (keys and bool(blind))


def _groups(parts: list[str], binds: int, dialect: str) -> list[tuple[list[int], bool]]:
    """Places of the values that one column is compared with, and whether it may have to be one."""
    sql = "".join(parts).replace("\1", " ")
    tokens = scan(sql, dialect)
    text, inside, opened = "", False, [False]
    for at, token in enumerate(tokens):
        word = token.text.lower()
        joins = at and tokens[at - 1].end == token.start and {word, tokens[at - 1].text} <= _SYMBOLS
        if token.kind in ("string", "number", "marker"):
            # What touches a word might become part of it.
            beside = sql[token.start - 1 : token.start], sql[token.end : token.end + 1]
            word = f"\1{'I' if inside and not any(map(str.isalnum, beside)) else 'O'}{at}"
        elif word == "(":
            opened.append(inside)
        elif word == ")":
            inside = len(opened) > 1 and opened.pop()
        # DISTINCT FROM compares; DISTINCT ON and FILTER (WHERE …) are the select list's.
        elif word in _CLAUSES and not text.endswith((" distinct", " filter (")):
            inside = _CLAUSES[word]
        text += word if joins else f" {word}"
    groups, keyed = dict[str, set[int]](), set()
    for found in _COMPARISON.finditer(text):
        left = re.sub("\1.\\d+", "?", found["left"])
        groups.setdefault(left, set()).update(map(int, _VALUE.findall(found["values"])))
        if not found["range"]:
            keyed.add(left)
    elsewhere = {int(at) for at, _ in _ELSEWHERE.findall(text + " ")}.difference(*groups.values())
    kept = {tokens[at].text for at in elsewhere} | {"?", "$0"}
    # A part between literals has an even index, so 0 is no place.
    place_of = {end: at for at, end in enumerate(accumulate(map(len, parts))) if at % 2}
    for token in tokens:
        if token.kind == "marker":
            place = 0 if token.text in kept else min(int(token.text[1:]) - 1 - binds, 0)
            place_of[token.end] = place
    placed = {left: {place_of.get(tokens[at].end, 0) for at in groups[left]} for left in groups}
    return [(sorted(places), left in keyed) for left, places in placed.items() if 0 not in places]
