"""What a literal or marker is in its statement, as far as redaction cares."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from replay.template import Token


class Role(IntEnum):
    """How the value in a place is to be treated."""

    KEPT = 0
    """Stays, but for secrets that can be told by their look."""
    SECRET = 1
    GUARDED = 2
    """A secret unless it is a number, a date or a truth value: `password_changed_at = …`."""
    NESTED = 3
    """A secret unless it names an algorithm or an encoding: `digest(…, 'sha256')`."""
    VALUE = 4
    PATTERN = 5
    """A value that is a regular expression."""
    CODE = 6
    """SQL in a string."""
    UNIT = 7
    """A value unless it is a unit of time, as `date_trunc('day', …)` has it."""


class Roles(NamedTuple):
    """The role of each token that has one; others are none's business."""

    of: dict[int, Role]
    varies: bool
    """Some roles hang on what literals say, so like statements may differ in them."""


def brackets(tokens: list[Token]) -> dict[int, int]:
    """The partner of each bracket; `case` and its `end` are a pair, too."""
    partner: dict[int, int] = {}
    stack: list[int] = []
    closes = {")": "(", "]": "[", "end": "case"}
    for index, token in enumerate(tokens):
        if token.kind not in ("word", "operator"):
            continue
        text = token.text.lower()
        if text in ("(", "[", "case"):
            stack.append(index)
        elif text in closes and stack and tokens[stack[-1]].text.lower() == closes[text]:
            opening = stack.pop()
            partner[opening], partner[index] = index, opening
    return partner
