"""Who asked: user, application, database and tag of each sample, which the workload tells.

Apart from the samples because they do not repeat it; one code a sample stands for all four. The
tag is what an application notes in a comment of its statements, such as the name of a report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.workload import CODED, STATEMENTS, Workload, coded
from reports.stats.estimate import Int64s

FIELDS = ("user", "application", "database", "tag")
_LOGGED = FIELDS[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """`code` (n) indexes `known`, the distinct combinations of `FIELDS`; None is not known."""

    code: npt.NDArray[np.unsignedinteger[Any]]
    known: tuple[tuple[str | None, ...], ...]


def read_callers(workload: Workload, statement: Int64s, *, tag: str | None) -> Callers:
    """The caller of each sample from the numbers of its statement (n).

    `tag` is the key in comments, see `read_tags`; without it no tag is known.

    Raises:
        Unreadable: the workload is damaged.
    """
    table = workload.coded_statements(_LOGGED)
    columns = [coded(table[name]) for name in _LOGGED]
    columns.append(pa.nulls(len(table), CODED) if tag is None else read_tags(workload, tag))
    # The last stands for a statement that the workload does not have: nothing is known of it.
    key = np.zeros(len(table) + 1, np.int64)
    words = []
    for column in columns:
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


_SQL = pa.schema([STATEMENTS.field("sql")])


def read_tags(workload: Workload, key: str) -> pa.DictionaryArray:
    """The value of `key` in each statement's comments (statements), null where it has none.

    As `/* key: value */`, `-- key=value` or, by sqlcommenter, `/*key='an%20encoded%20value'*/`.
    """
    pattern = (
        rf"(?i)(?:/\*|--)(?:[^*\n]|\*[^/])*?\b{re.escape(key)}\s*[=:]\s*"
        r"(?:'(?P<quoted>[^']*)'|(?P<plain>[^'\",;*\s]+))"
    )
    found = []
    for batch in workload.statement_batches(_SQL):
        groups = pc.extract_regex(batch["sql"], pattern)
        # RE2 gives an empty text for the group that took no part.
        texts = [pc.struct_field(groups, name) for name in ("quoted", "plain")]
        found.append(pc.binary_join_element_wise(*texts, "").dictionary_encode())
    tags = coded(pa.chunked_array(found, CODED))
    words = pc.dictionary_encode(pa.array([unquote(w) for w in tags.dictionary.to_pylist()]))
    return pa.DictionaryArray.from_arrays(words.indices.take(tags.indices), words.dictionary)
