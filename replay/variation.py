"""Variation: clones of a session ask with other values, so that no cache answers them.

Values come from statements of their template, where WHERE, ON or HAVING compares a column with
them. A draw is a hash, the same on every worker. What this cannot do is in docs/replay.md.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from itertools import accumulate, combinations
from typing import Any

import numpy as np
import pyarrow as pa

from replay.cut import cut
from replay.template import scan
from replay.timetable import Dials, Ints, Timetable

LENDERS_AT_MOST, LEARN_AT_MOST = 2_000, 100_000  # statements, of a template and in all
TOGETHER_BELOW = 0.85  # groups stay together where less of the pairs expected by chance was seen
_MOSTLY = 0.9  # a group with one value in so many statements hardly ever breaks a pair
_EXACT_COST, _LONG = 30, 4_000  # of a text that one expression cannot cut; characters that cost one
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
_VALUE, _ELSEWHERE = re.compile("\1I(\\d+)"), re.compile("\1[IO](\\d+)(?!\\d|(?: :: \\w+)? is )")
_GOLDEN, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1

_Binds = Sequence[str | None] | None
_Lender = tuple[list[str], list[str | None], tuple[tuple[int, int], ...]]
"""Text and literals in turn, bind values, and place and commas of lists."""
_Group = tuple[list[int], bool, list[tuple[str | None, ...]], Ints]
"""Places (in the text or, below 0, in bind values), whether keys, what was seen, who has which."""
_Draw = tuple[list[_Group], dict[object, list[int]]]  # groups; lenders by lists, or of None


class Variation:
    """Texts and bind values of a worker's planned statements; those of clones vary."""

    def __init__(self, statements: pa.Table, plan: Timetable, dials: Dials, dialect: str) -> None:
        self.varied = 0
        """How many statements given so far have another text or bind value than the original."""
        self._sql, self._params = (statements[name].combine_chunks() for name in ("sql", "params"))
        self._clone = np.repeat(plan.clone, np.diff(plan.starts)).astype(np.int32)
        self._row, self._seed, self._dialect = plan.row, dials.seed & _MASK, dialect
        self._draws: dict[Hashable, list[_Draw]] = {}
        if dials.vary == "literals" and self._clone.any():
            self._learn(statements)

    def text(self, index: int) -> tuple[bytes, list[bytes | None] | None]:
        """Text and bind values of a planned statement."""
        row = self._row[index]
        sql, binds = self._sql[row].as_py(), self._params[row].as_py()
        if self._draws and self._clone[index] and self._template[row] >= 0:
            asked = self._vary(int(row), int(self._clone[index]), sql, binds)
            self.varied += asked != (sql, binds)
            sql, binds = asked
        return sql.encode(), binds and [b if b is None else b.encode() for b in binds]

    def _vary(self, row: int, clone: int, sql: str, binds: _Binds) -> tuple[str, _Binds]:
        shape, (parts, given, lists), _ = self._cut(int(self._template[row]), sql, binds)
        state = self._seed * _GOLDEN + (row << 24) + (clone << 8)
        for number, (groups, pools) in enumerate(self._draws.get(shape, ())):
            if pool := pools.get(None) or pools.get(lists):
                lender = pool[_mixed(state + number) % len(pool)]
                for places, _, rows, codes in groups:
                    for place, value in zip(places, rows[codes[lender]], strict=True):
                        (given if place < 0 else parts)[place] = value
        return "".join(parts), binds and given

    def _cut(self, template: int, sql: str, binds: _Binds) -> tuple[Hashable, _Lender, int]:
        """What texts with the same places share, the text's values, and what cutting it cost."""
        found = cut(sql, dialect=self._dialect)
        lists = tuple(
            (2 * slot + 1, literal.count(","))
            for slot, (literal, kind) in enumerate(zip(found.literals, found.classes, strict=True))
            if kind.isupper()
        )
        parts = list(found.parts)
        parts[0], parts[-1] = found.head + parts[0], parts[-1] + found.tail
        cost = (_EXACT_COST if found.exact else 1) * (1 + len(sql) // _LONG)
        return (template, len(binds or ()), found.key), (parts, list(binds or ()), lists), cost

    def _learn(self, statements: pa.Table) -> None:
        """Read a sample of each template that clones here have; it is the same on every worker."""
        # What failed on 1.0 must fail again where it did, and nowhere else.
        worked = pa.compute.is_null(statements["error"])
        lends = pa.compute.and_(pa.compute.equal(statements["kind"], "select"), worked).to_numpy()
        codes = statements["template_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        self._template = np.where(lends, codes, -1)
        rows = np.flatnonzero(lends)
        order = rows[np.lexsort((_mixed(rows.astype(np.uint64) ^ self._seed), codes[rows]))]
        counts, most = np.bincount(codes[rows]), LENDERS_AT_MOST
        while most > 1 and np.minimum(counts, most).sum() > LEARN_AT_MOST:
            most = most * 9 // 10
        for template in {*np.unique(self._template[self._row[self._clone > 0]]).tolist()} - {-1}:
            sample = order[counts[:template].sum() :][: min(most, counts[template])]
            texts, params = (c.take(pa.array(sample)) for c in (self._sql, self._params))
            lenders = dict[Hashable, list[_Lender]]()
            budget = max(most, 20 * _EXACT_COST)
            for sql, binds in zip(texts.to_pylist(), params.to_pylist(), strict=True):
                shape, lender, cost = self._cut(template, sql, binds)
                lenders.setdefault(shape, []).append(lender)
                budget -= cost
                if budget <= 0:
                    break
            for shape in sorted(lenders, key=lambda key: -len(lenders[key]))[: most // 32 + 1]:
                if len(lenders[shape]) > 1:
                    self._draws[shape] = _draws(lenders[shape], self._dialect)


def _mixed(value: Any) -> Any:  # noqa: ANN401  an integer or an array of uint64
    """The next number of splitmix64 after this state (Steele, Lea, Flood, OOPSLA 2014)."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _draws(lenders: list[_Lender], dialect: str) -> list[_Draw]:
    """What statements of one shape draw from these: groups, together where they depend."""
    found: list[_Group] = []
    for places, keyed in _groups(lenders[0][0], len(lenders[0][1]), dialect):
        seen: dict[tuple[str | None, ...], int] = {}
        rows = (tuple((b if at < 0 else p)[at] for at in places) for p, b, _ in lenders)
        codes = np.array([seen.setdefault(row, len(seen)) for row in rows])
        if len(seen) > 1:
            found.append((places, keyed, list(seen), codes))
    root = list(range(len(found)))
    for one, other in combinations(root, 2):
        keys = found[one][1] and found[other][1]
        if root[one] != root[other] and together(found[one][3], found[other][3], keys=keys):
            root = [root[one] if now == root[other] else now for now in root]
    drawn = [[g for g, r in zip(found, root, strict=True) if r == now] for now in sorted({*root})]
    alike: dict[object, list[int]] = {}
    for at, (_, _, lists) in enumerate(lenders):
        alike.setdefault(lists, []).append(at)
    listed = {place for _, _, lists in lenders for place, _ in lists}
    anyone: dict[object, list[int]] = {None: [*range(len(lenders))]}
    return [(d, alike if listed & {p for g in d for p in g[0]} else anyone) for d in drawn]


def together(one: Ints, other: Ints, *, keys: bool) -> bool:
    """Whether the values of two groups, as codes from 0, depend on each other, or of keys might."""
    n, counts = len(one), [np.bincount(codes) for codes in (one, other)]
    (a, a_times), (b, b_times) = (np.unique(count, return_counts=True) for count in counts)
    chance = 1 - (1 - np.outer(a, b) / n**2) ** n
    enough = TOGETHER_BELOW * float((np.outer(a_times, b_times) * chance).sum())
    # Where few values repeat. A range finds rows with a key that it was never asked with.
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
        values = (tokens[int(at)].end for at in _VALUE.findall(found["values"]))
        groups.setdefault(left, set()).update(values)
        if not found["range"]:
            keyed.add(left)
    used = set[int]().union(*groups.values())
    elsewhere = (tokens[int(at)] for at in _ELSEWHERE.findall(text + " "))
    kept = {"?", "$0", *(each.text for each in elsewhere if each.end not in used)}
    # A part between literals has an even index, so 0 is no place.
    place_of = {end: at for at, end in enumerate(accumulate(map(len, parts))) if at % 2}
    for each in tokens:
        if each.kind == "marker":
            place_of[each.end] = 0 if each.text in kept else min(int(each.text[1:]) - 1 - binds, 0)
    placed = {name: {place_of[e] for e in ends if e in place_of} for name, ends in groups.items()}
    return [(sorted(places), left in keyed) for left, places in placed.items() if 0 not in places]
