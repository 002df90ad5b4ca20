"""Names that are looked for among those that are known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def spelt(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant: the same, else the same but for its case if `name` has none."""
    others = None
    for each in known:
        if each == name:
            return each
        if others is None and each.lower() == name:
            others = each
    return others


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, as the end of a message."""
    spellings = {each.lower(): each for each in sorted(known)}
    close = difflib.get_close_matches(name.lower(), spellings, n=3)
    listed = ", ".join(f"`{spellings[each]}`" for each in close)
    return f", nearest: {listed}" if close else ""
