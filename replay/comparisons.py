"""Which values of a statement WHERE, ON or HAVING compares with a column.

A pattern finds them in a text of tokens with one space between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from replay.template import Token, scan

_CLAUSES = dict.fromkeys("where on having qualify".split(), True) | dict.fromkeys(
    "select from group order window limit union except intersect ;".split(), False
)
_SYMBOLS = frozenset("- + * / < > = <= >= <> != ~ ! @ # % ^ & | || ? :".split())

# A value there is \1, I where a clause compares or O elsewhere, and its token's number.
_NAME = r'(?:[^\W\d][\w$]*|"[^"]*"|`[^`]*`)'
# An expression in parentheses, or a call, with a name among its arguments.
_CALL = r'(?:(?!(?:where|on|having|and|or|not|in|when)\b)\w+ )?\( [^()a-z_"`]*+[a-z_"`][^()]*+\)'
_VALUE = "(?:(?:cast|\\(|date|datetime|time|timestamp|timestamptz|with|zone) )*\1I\\d++"
_CAST = r"(?: :: \w+| as \w+ \)| \))*"
_RANGE = rf"[<>]=? {_VALUE}|between (?:symmetric )?{_VALUE}{_CAST} and {_VALUE}"
_COMPARISON = re.compile(
    rf"(?<= )(?<!\. )(?P<left>(?:{_NAME}(?: \. {_NAME})*|{_CALL})(?: :: \w+)?) (?:not )?"
    rf"(?P<values>(?P<range>{_RANGE})|(?:=|<>|!=|i?like) {_VALUE}"
    rf"|in \( {_VALUE}{_CAST}(?: , {_VALUE}{_CAST})* \))(?! ,)"
)
_COMPARED = re.compile("\1I(\\d+)")
_ELSEWHERE = re.compile("\1[IO](\\d+)(?!\\d|(?: :: \\w+)? is )")


@dataclass(frozen=True, slots=True)
class Column:
    """The values that one column, call or expression is compared with."""

    places: tuple[int, ...]
    """Indexes of literals among the text's parts, and of bind values behind them."""
    keyed: bool
    """Compared by =, LIKE or IN: a value that no row has finds none, whatever other values are."""


def columns_of(parts: Sequence[str], *, binds: int, dialect: str) -> list[Column]:
    """Those of a text, given as text and literals in turn, with so many bind values.

    Not with markers that also occur outside comparisons, or have no bind value.
    """
    # The same length, and none of our marks in it.
    sql = "".join(parts).replace("\1", " ")
    tokens = scan(sql, dialect)
    text = _spelled(sql, tokens)
    ends: dict[str, set[int]] = {}
    keyed = set()
    for found in _COMPARISON.finditer(text):
        # A call's own literals make it no other call.
        left = re.sub("\1.\\d+", "?", found["left"])
        values = (tokens[int(at)].end for at in _COMPARED.findall(found["values"]))
        ends.setdefault(left, set()).update(values)
        if not found["range"]:
            keyed.add(left)
    compared = set[int]().union(*ends.values())
    others = (tokens[int(at)] for at in _ELSEWHERE.findall(text + " "))
    kept = {token.text for token in others if token.end not in compared}
    place_at = {end: at for at, end in enumerate(accumulate(map(len, parts))) if at % 2}
    for token in tokens:
        if token.kind == "marker":
            number = int(token.text[1:] or 0)
            varies = 1 <= number <= binds and token.text not in kept
            place_at[token.end] = len(parts) + number - 1 if varies else -1
    # Of a list only the last value's end is a literal's. Places of -1 must keep their values.
    placed = {left: {place_at[end] for end in of if end in place_at} for left, of in ends.items()}
    columns = [Column(tuple(sorted(places)), left in keyed) for left, places in placed.items()]
    return [column for column in columns if -1 not in column.places]


def _spelled(sql: str, tokens: list[Token]) -> str:
    # Whether in a clause that compares, here and around each parenthesis that is open.
    text, inside, around = "", False, [False]
    for at, token in enumerate(tokens):
        word = token.text.lower()
        before = tokens[at - 1] if at else token
        joins = before.end == token.start and {before.text, word} <= _SYMBOLS
        if token.kind in ("string", "number", "marker"):
            # What touches a word might become part of it.
            beside = sql[token.start - 1 : token.start], sql[token.end : token.end + 1]
            varies = inside and not any(character.isalnum() for character in beside)
            word = f"\1{'I' if varies else 'O'}{at}"
        elif word == "(":
            around.append(inside)
        elif word == ")":
            inside = around.pop() if len(around) > 1 else False
        # DISTINCT FROM compares; DISTINCT ON and FILTER (WHERE …) are the select list's.
        elif word in _CLAUSES and not text.endswith((" distinct", " filter (")):
            inside = _CLAUSES[word]
        text += word if joins else f" {word}"
    return text
