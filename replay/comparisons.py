"""Which values of a statement WHERE, ON or HAVING compares with a column.

A text's tokens are spelled with one space between, and each value as a mark with its token's
number; a pattern finds the comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from replay.template import Token, scan

_COMPARING = frozenset("where on having qualify".split())
_OTHER_CLAUSES = frozenset("select from group order window limit union except intersect ;".split())
_SYMBOLS = frozenset("- + * / < > = <= >= <> != ~ ! @ # % ^ & | || ? :".split())

# A value is \1, I inside the comparing clauses or O outside, and its token's number.
_INSIDE = re.compile("\1I(\\d+)")
# The last value of a text is followed by a space too.
_UNCOMPARED = re.compile("\1[IO](\\d+)(?!\\d|(?: :: \\w+)? is )")
_MARK = re.compile("\1.\\d+")

_NAME = r'(?:[^\W\d][\w$]*|"[^"]*"|`[^`]*`)'
_COLUMN = rf"{_NAME}(?: \. {_NAME})*"
# An expression in parentheses, or a call, with a name among its arguments.
_CALL = r'(?:(?!(?:where|on|having|and|or|not|in|when)\b)\w+ )?\( [^()a-z_"`]*+[a-z_"`][^()]*+\)'
_TYPED = r"(?:(?:cast|\(|date|datetime|time|timestamp|timestamptz|with|zone) )*"
_VALUE = f"{_TYPED}\1I\\d++"
_CAST = r"(?: :: \w+| as \w+ \)| \))*"
_RANGE = rf"[<>]=? {_VALUE}|between (?:symmetric )?{_VALUE}{_CAST} and {_VALUE}"
_EQUAL = rf"(?:=|<>|!=|i?like) {_VALUE}"
_IN = rf"in \( {_VALUE}{_CAST}(?: , {_VALUE}{_CAST})* \)"
_COMPARISON = re.compile(
    rf"(?<= )(?<!\. )(?P<left>(?:{_COLUMN}|{_CALL})(?: :: \w+)?) (?:not )?"
    rf"(?P<values>(?P<range>{_RANGE})|{_EQUAL}|{_IN})(?! ,)"
)


@dataclass(frozen=True, slots=True)
class Column:
    """The values of a statement that one column, call or expression is compared with.

    `places` count its literals from 0, a list as one, and on with its bind values.
    """

    places: tuple[int, ...]
    keyed: bool
    """Compared by =, LIKE or IN: a value that no row has finds none, whatever other values are."""


def columns_of(parts: Sequence[str], *, binds: int, dialect: str) -> list[Column]:
    """The columns of a text, given as text and literals in turn; it has `binds` bind values.

    A column is left out if it is compared with a marker that has no bind value, or one that also
    occurs outside comparisons.
    """
    # The same length, and none of our marks in it.
    sql = "".join(parts).replace("\1", " ")
    tokens = scan(sql, dialect)
    text = _spelled(sql, tokens)
    ends: dict[str, set[int]] = {}
    keyed = set()
    for found in _COMPARISON.finditer(text):
        # A call's own literals make it no other call.
        left = _MARK.sub("?", found["left"])
        values = (tokens[int(at)].end for at in _INSIDE.findall(found["values"]))
        ends.setdefault(left, set()).update(values)
        if not found["range"]:
            keyed.add(left)
    compared = set[int]().union(*ends.values())
    others = (tokens[int(at)] for at in _UNCOMPARED.findall(text + " "))
    kept = {token.text for token in others if token.end not in compared}
    place_at: dict[int, int | None] = {}
    for place, end in enumerate(list(accumulate(map(len, parts)))[1::2]):
        place_at[end] = place
    for token in tokens:
        if token.kind == "marker":
            number = int(token.text[1:] or 0)
            varies = 1 <= number <= binds and token.text not in kept
            place_at[token.end] = len(parts) // 2 + number - 1 if varies else None
    # Of a list only the last value's end is a literal's.
    places = {left: {place_at[end] for end in of if end in place_at} for left, of in ends.items()}
    return [
        Column(tuple(sorted(of)), left in keyed) for left, of in places.items() if None not in of
    ]


def _spelled(sql: str, tokens: list[Token]) -> str:
    text = ""
    inside, around = False, [False]
    """Whether in a comparing clause, here and around each parenthesis that is open."""
    before: Token | None = None
    for at, token in enumerate(tokens):
        word = token.text.lower()
        joins = before is not None and before.end == token.start and {before.text, word} <= _SYMBOLS
        before = token
        if token.kind in ("string", "number", "marker"):
            # What touches a word might become part of it.
            beside = sql[token.start - 1 : token.start], sql[token.end : token.end + 1]
            varies = inside and not any(character.isalnum() for character in beside)
            word = f"\1{'I' if varies else 'O'}{at}"
        elif word == "(":
            around.append(inside)
        elif word == ")":
            inside = around.pop() if len(around) > 1 else False
        elif text.endswith((" distinct", " filter (")):
            # DISTINCT FROM compares; DISTINCT ON and FILTER (WHERE …) are the select list's.
            pass
        elif word in _COMPARING:
            inside = True
        elif word in _OTHER_CLAUSES:
            inside = False
        text += word if joins else f" {word}"
    return text
