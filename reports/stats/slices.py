"""Long columns: looked at a slice at a time, in a file where memory would not hold them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.stats.estimate import Bools, Int64s

_ROWS = 1 << 18
"""A slice of 64-bit numbers is two megabytes then, which stay in a processor's cache."""


IN_MEMORY_BYTES = 3 << 26
"""A column up to this size, 200 megabytes, is kept in memory: 20 million numbers of 64 bits are."""


def column(n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A column (n) to be filled; a large one lies in a file without a name, in TMPDIR.

    The machine may then write it out when it needs the memory for something else.

    Raises:
        OSError: there is no room for the file.
    """
    size = n * np.dtype(dtype).itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(n, dtype)
    with tempfile.TemporaryFile(prefix="fourstep-") as file:
        # Taken at once: a write to a map that finds the disk full kills a process.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.frombuffer(mmap(file.fileno(), size), dtype)


def chosen_of(values: npt.NDArray[Any], chosen: Bools) -> npt.NDArray[Any]:
    """`values[chosen]` (n), as a column."""
    found, start = column(int(np.count_nonzero(chosen)), values.dtype), 0
    for part in slices(len(values)):
        some = values[part][chosen[part]]
        found[start : start + len(some)] = some
        start += len(some)
    return found


def ascending(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values (n) in order, as a column of their own."""
    found = column(len(values), values.dtype)
    found[:] = values
    found.sort()
    return found


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One column of several, one after the other, of the widest type."""
    found, start = column(sum(map(len, parts)), np.result_type(*parts)), 0
    for part in parts:
        found[start : start + len(part)] = part
        start += len(part)
    return found


def slices(n: int) -> Iterator[slice]:
    """Slices that cover a column of length n, in order."""
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def looked_up(table: npt.NDArray[Any], code: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """`table[code]` (n). numpy alone would make 64-bit numbers of all codes first."""
    found = column(len(code), table.dtype)
    for part in slices(len(code)):
        found[part] = table[code[part]]
    return found


def count_codes(code: npt.NDArray[np.integer], chosen: Bools, *, number: int) -> Int64s:
    """How often each code (0..number-1) occurs in `code` (n) where `chosen` (n): (number)."""
    counts = np.zeros(number, np.int64)
    for part in slices(len(code)):
        counts += np.bincount(code[part][chosen[part]], minlength=number)
    return counts
