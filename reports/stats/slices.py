"""Long columns looked at a slice at a time, so that no step needs memory of their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.stats.estimate import Bools, Int64s

_ROWS = 1 << 18
"""A slice of 64-bit numbers is two megabytes then, which stay in a processor's cache."""


def slices(n: int) -> Iterator[slice]:
    """Slices that cover a column of length n, in order."""
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def looked_up(table: npt.NDArray[Any], code: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """`table[code]` (n). numpy alone would make 64-bit numbers of all codes first."""
    found = np.empty(len(code), table.dtype)
    for part in slices(len(code)):
        found[part] = table[code[part]]
    return found


def count_codes(code: npt.NDArray[np.integer], chosen: Bools, *, number: int) -> Int64s:
    """How often each code (0..number-1) occurs in `code` (n) where `chosen` (n): (number)."""
    counts = np.zeros(number, np.int64)
    for part in slices(len(code)):
        counts += np.bincount(code[part][chosen[part]], minlength=number)
    return counts
