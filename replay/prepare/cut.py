"""A statement's text cut at its literals, so that one translation serves many statements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from replay.template import shape, split_exactly, split_quickly, trim

_WRAPPING = re.compile(
    r"(?:declare\s+\w+\s+(?:(?:binary|asensitive|insensitive|no|scroll)\s+)*cursor\s+"
    r"(?:with(?:out)?\s+hold\s+)?for\s+"
    r"|explain\s+(?:\([\w\s,]*\)\s*(?=select|with)|(?:analyze\s+|verbose\s+)*(?=select|with))"
    r"|prepare\s+\w+\s*(?:\([\w\s,()]*\))?\s+as\s+)",
    re.IGNORECASE,
)
_PLAIN_STRING = re.compile(r"'[^\\'\x00-\x1f\x7f]*'\Z")
_DECIMAL = re.compile(r"\d+\.\d+\Z", re.ASCII)
_INTEGER_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Cut:
    """A statement as `head`, its body's text and literals in turn (`parts`), and `tail`.

    `head` holds leading comments and what wraps a query (`DECLARE c CURSOR FOR`), `tail` semicolons
    and a trailing comment. Statements of one `key` differ only in head, tail, literals and white
    space. `classes` has one letter a literal: `s` string, `p` string with %, `e` string with a
    quote, an escape or a control character in it, `i` integer, `d` decimal, `f` any other form,
    which no marker can stand for.
    """

    head: str
    parts: tuple[str, ...]
    classes: str
    tail: str
    key: str

    @property
    def literals(self) -> tuple[str, ...]:
        """The literals as 1.0 had them, quotes included, signs not."""
        return self.parts[1::2]

    @property
    def body(self) -> str:
        """The statement without head and tail."""
        return "".join(self.parts)


def cut(sql: str, *, dialect: str) -> Cut:
    """Cut one statement's text; never fails, whatever the text."""
    start, stop = trim(sql)
    wrapping = _WRAPPING.match(sql, start)
    if wrapping:
        start = wrapping.end()
        stop = max(start, stop)
    body = sql[start:stop]
    parts = split_quickly(body, dialect=dialect)
    if parts is not None:
        key = "\0".join(parts[::2])
    else:
        parts = split_exactly(body, dialect=dialect)
        # Signs stay outside the literals, so a shape that hides them needs them beside it.
        signs = (text.rstrip()[-1:] for text in parts[::2])
        key = "\0".join((shape(body, dialect=dialect), *signs))
    classes = "".join(map(_class_of, parts[1::2]))
    return Cut(sql[:start], tuple(parts), classes, sql[stop:], f"{classes}\0{key}")


def fill(parts: Sequence[str], literals: Sequence[str]) -> str:
    """Text with these literals between its parts, in place of those it had."""
    filled = list(parts)
    filled[1::2] = literals
    return "".join(filled)


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
