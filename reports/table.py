"""A table of figures, the same cells in whatever form it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Value = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A figure with the ends of its interval and a remark; None where there is none.

    Numbers are rounded to four significant digits here, so that no form shows more than another.
    Counts are whole and stay as they are.
    """

    value: Value = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, _four(getattr(self, name)))

    @property
    def parts(self) -> dict[str, Value]:
        """The cell by the names that its parts have in JSON and in heads of columns."""
        return {"value": self.value, "low": self.low, "high": self.high, "note": self.note}

    @property
    def text(self) -> str:
        """All of it: `1.083 [1.021, 1.152] worse`; an end that is not known is `…`."""
        ends = (self.low, self.high)
        known = [plain(end) or "…" for end in ends] if ends != (None, None) else []
        interval = f"[{', '.join(known)}]" if known else ""
        return " ".join(filter(None, (plain(self.value), interval, self.note)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by head: a text where a column only labels, a cell where it is in `measured`."""

    heads: tuple[str, ...]
    measured: frozenset[str]
    rows: tuple[Mapping[str, str | Cell], ...]


def plain(value: Value) -> str:
    """A number as programs read it too: no exponent, nothing between thousands; None is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return np.format_float_positional(value, trim="-")


def _four(value: Value) -> Value:
    return float(f"{value:.4g}") if isinstance(value, float) else value
