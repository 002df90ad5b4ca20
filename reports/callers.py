"""Who asked: the user, application and database of each sample, which the workload tells.

Apart from the samples because they do not repeat it; one code a sample stands for all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.workload import Workload, coded
from reports.stats.estimate import Int64s

FIELDS = ("user", "application", "database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """`code` (n) indexes `known`, the distinct combinations of `FIELDS`; None is not known."""

    code: npt.NDArray[np.unsignedinteger[Any]]
    known: tuple[tuple[str | None, ...], ...]


def read_callers(workload: Workload, statement: Int64s) -> Callers:
    """The caller of each sample from the numbers of its statement (n).

    Raises:
        Unreadable: the workload is damaged.
    """
    table = workload.coded_statements(FIELDS)
    # The last stands for a statement that the workload does not have: nothing is known of it.
    key = np.zeros(len(table) + 1, np.int64)
    words = []
    for name in FIELDS:
        column = coded(table[name])
        words.append([None, *column.dictionary.to_pylist()])
        key *= len(words[-1])
        key[:-1] += pc.fill_null(column.indices, -1).to_numpy() + 1
    found = pa.array(key).dictionary_encode()
    code = found.indices.to_numpy()
    if len(found.dictionary) <= 1 << 16:
        code = code.astype(np.uint16)
    known = []
    for number in found.dictionary.to_pylist():
        at = np.unravel_index(number, [len(each) for each in words])
        known.append(tuple(each[place] for each, place in zip(words, at, strict=True)))
    return Callers(code=code[np.minimum(statement, len(table))], known=tuple(known))
