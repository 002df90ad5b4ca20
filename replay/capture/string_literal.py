"""A string literal's value, and a value as a literal of the same form.

Forms are those that replay.template scans: PostgreSQL manual, 4.1.2; MySQL manual, 11.1.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL
)
_UNICODE = re.compile(r"\\(?:([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|(\\))")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_MYSQL_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}


class StringLiteral(NamedTuple):
    """`opens + encoded value + closes` is the literal."""

    opens: str
    value: str
    closes: str
    escape: str
    """How backslashes are read: `` not at all, `e` as in E'', `m` as MySQL, `u` as in U&''."""

    def with_value(self, value: str) -> str:
        """The literal of this form that stands for another value."""
        quote = self.closes
        if len(quote) != 1:
            return self.opens + value + quote
        if self.escape:
            value = value.replace("\\", "\\\\").replace("\0", "\\0")
        return self.opens + value.replace(quote, quote * 2) + quote


def string_literal(text: str, *, dialect: str) -> StringLiteral:
    """Take a string token apart; what an escape stands for is in the value."""
    if text[0] == "$":
        tag = text[: text.index("$", 1) + 1]
        return StringLiteral(tag, text[len(tag) : -len(tag)], tag, "")
    quote = text[-1]
    opens = text[: text.index(quote) + 1]
    body = text[len(opens) : -1]
    prefix = opens[:-1].lower()
    escape = "e" if prefix == "e" else "u" if prefix == "u&" else ""
    if dialect == "mysql" and not prefix:
        escape = "m"
    if escape and "\\" in body:
        return StringLiteral(opens, _unescaped(body, escape, quote), quote, escape)
    return StringLiteral(opens, body.replace(quote * 2, quote), quote, escape)


def _unescaped(body: str, escape: str, quote: str) -> str:
    pieces, at = [], 0
    pattern = _UNICODE if escape == "u" else _ESCAPE
    for found in pattern.finditer(body):
        pieces += [body[at : found.start()].replace(quote * 2, quote), _meant(found, escape)]
        at = found.end()
    value = "".join([*pieces, body[at:].replace(quote * 2, quote)])
    # A pair of surrogates is one character; half of one is none.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _meant(found: re.Match[str], escape: str) -> str:
    if escape == "u":
        return "\\" if found[3] else _character(int(found[1] or found[2], 16))
    if escape == "m":
        character = found[0][1]
        if character in "%_":
            return found[0]
        return _MYSQL_CONTROLS.get(character, character) + found[0][2:]
    if found[5]:
        return _CONTROLS.get(found[5], found[5])
    if found[4]:
        return _character(int(found[4], 8))
    return _character(int(found[1] or found[2] or found[3], 16))


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\ufffd"
