"""Markers: what stands for a literal or a bind while a shape is translated.

They are literals that no user writes, so that parsers, rules and generators pass them on. A rule
that reads a literal's value must give another text for a marker than for any value: that is how the
translator learns which slots decide.
"""

from __future__ import annotations

import re

LITERAL = re.compile(r"'fsq(\d{5})q'|(?<![\w.])77(\d{5})077(?:\.5)?(?![\w.])")
"""A marker in a text: a group with the slot's number for strings, and one for numbers."""
VALUE = re.compile(r"77\d{5}077|fsq\d{5}q")
"""A marker within a literal's value."""
BIND = re.compile(r"(?<![\w.])78(\d{5})078(?![\w.])")
MOST_SLOTS = 100_000


def literal_marker(slot: int, *, kind: str) -> str:
    """The marker of a slot whose literal is of this kind, a letter of `replay.cut`."""
    if kind in "spe":
        return f"'fsq{slot:05d}q'"
    return f"77{slot:05d}077" + (".5" if kind == "d" else "")


def bind_marker(number: int) -> str:
    """The marker of a bind value, counted from 0."""
    return f"78{number:05d}078"
