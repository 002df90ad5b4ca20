"""A statement's text cut at its literals: what many statements share, and what is its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from replay.template import shape, split_exactly, split_quickly, trim

_WRAPPING = re.compile(
    r"(?:explain\s+(?:\([\w\s,]*\)\s*(?=select|with)|(?:analyze\s+|verbose\s+)*(?=select|with))"
    r"|prepare\s+\w+\s*(?:\([\w\s,()]*\))?\s+as\s+)",
    re.IGNORECASE,
)
_PLAIN_STRING = re.compile(r"'[^\\'\x00-\x1f\x7f]*'\Z")
_DECIMAL = re.compile(r"\d+\.\d+\Z", re.ASCII)
_INTEGER_DIGITS = 18


class Cut(NamedTuple):
    """A statement as `head`, its body's text and literals in turn (`parts`), and `tail`.

    `head` holds leading comments and what wraps a query (`EXPLAIN`, `PREPARE p AS`), `tail`
    semicolons and a trailing comment. Statements of one `key` differ only in head, tail, literals
    and white space. `classes` has one letter a literal: `s` string, `p` string with %, `e` string
    with a quote, an escape or a control character in it, `i` integer, `d` decimal, `f` any other
    form, which no marker can stand for. The list of an IN counts as one literal, with the letter
    of its members in upper case, so that its length makes no other key.
    """

    head: str
    parts: tuple[str, ...]
    classes: str
    tail: str
    key: str
    exact: bool
    """Whether it took the exact scan, which costs some thirty times as much."""

    @property
    def literals(self) -> tuple[str, ...]:
        """The literals as 1.0 had them, quotes included, signs not."""
        return self.parts[1::2]

    @property
    def body(self) -> str:
        """The statement without head and tail."""
        return "".join(self.parts)


def bounds(sql: str) -> tuple[int, int]:
    """Where a statement's body begins and ends."""
    if sql[:1] in "sSwW" and sql[-1:] not in "; \t\r\n/":
        # Most texts are SELECT or WITH and nothing around it.
        return 0, len(sql)
    start, stop = trim(sql)
    wrapping = _WRAPPING.match(sql, start)
    if wrapping:
        start = wrapping.end()
        stop = max(start, stop)
    return start, stop


def cut(sql: str, *, dialect: str) -> Cut:
    """Cut one statement's text; never fails, whatever the text."""
    start, stop = bounds(sql)
    body = sql[start:stop]
    parts = split_quickly(body, dialect=dialect)
    exact = parts is None
    if parts is None:
        parts = split_exactly(body, dialect=dialect)
    classes = "".join(map(_class_of, parts[1::2]))
    parts, classes = _lists_as_one(parts, classes)
    texts = parts[::2]
    if exact:
        # Comments and white space make no key of their own.
        texts = [shape(text, dialect=dialect) for text in texts]
    return Cut(sql[:start], tuple(parts), classes, sql[stop:], "\0".join((classes, *texts)), exact)


def members(literal: str, *, dialect: str) -> list[str]:
    """The literals of a list, which `Cut` counts as one."""
    parts = split_quickly(literal, dialect=dialect) or split_exactly(literal, dialect=dialect)
    return parts[1::2]


def fill(parts: Sequence[str], literals: Sequence[str]) -> str:
    """Text with these literals between its parts, in place of those it had."""
    filled = list(parts)
    filled[1::2] = literals
    return "".join(filled)


def _lists_as_one(parts: list[str], classes: str) -> tuple[list[str], str]:
    """The same with each IN list that holds nothing but literals as one of them."""
    opening = [at for at in range(0, len(parts) - 1, 2) if _opens_list(parts[at])]
    for at in reversed(opening):
        stop = at + 2
        while stop < len(parts) - 1 and parts[stop].strip() == ",":
            stop += 2
        if parts[stop].lstrip().startswith(")"):
            of_list = slice(at // 2, stop // 2)
            letter = _letter_of(set(classes[of_list])).upper()
            classes = classes[: of_list.start] + letter + classes[of_list.stop :]
            parts[at + 1 : stop] = ["".join(parts[at + 1 : stop])]
    return parts, classes


def _opens_list(text: str) -> bool:
    if text.rstrip()[-1:] != "(":
        return False
    word = text.rstrip()[:-1].rstrip()
    before = word[-3:-2]
    return word[-2:].lower() == "in" and not (before.isalnum() or before in ("_", "$"))


def _letter_of(classes: set[str]) -> str:
    if len(classes) == 1:
        return classes.pop()
    if classes <= {"s", "p", "e"}:
        return "e" if "e" in classes else "p"
    return "d" if classes == {"i", "d"} else "f"


def _class_of(literal: str) -> str:
    if literal.isdecimal() and literal.isascii() and len(literal) <= _INTEGER_DIGITS:
        return "i"
    if literal[0] == "'":
        if not _PLAIN_STRING.match(literal):
            return "e"
        # Where a dialect interprets formats, a text without % hides that it does.
        return "p" if "%" in literal else "s"
    if _DECIMAL.match(literal):
        return "d"
    return "e" if literal[0] in 'eE"$' else "f"
