"""Statements of Redshift as records: skipped where no user sent them or they cannot be sent again.

Redshift logs its own work among that of users: rewrites of subqueries into temporary tables
(`volt_tt_…`), samples taken by ANALYZE, statements within procedures. Replaying them would do work
twice. Words are looked for outside literals and comments only: a user may search for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools, What, records_of
from replay.capture.redshift.connections import Connections
from replay.template import has_markers

UNCONNECTED = ":"
"""Stands in the names of sessions whose connection is not known, and in no others."""
_MASKED = "******"
"""What the server shows instead of a text that names objects of the Glue Data Catalog."""
_FRONT = r"(?is)^(?:\s+|--[^\n]*\n|/\*.*?\*/)*"
_BEGINNINGS = _FRONT + r"(?:padb_fetch_sample:|undoing\s+(?:\d+\s+)?transactions?\b)"
_WORDS = r"(?i)/\*\s*internal query\s*\*/|\bvolt_tt_|\bcontext:\s+sql\b"
_QUOTED = r"(?i)'(?:[^'\\]|''|\\(?s:.))*'|--[^\n]*|(/\*\s*internal query\s*\*/)|/\*(?s:.)*?\*/"


def statement_records(
    columns: Mapping[str, Any],
    connections: Connections,
    *,
    resolution_us: int,
    skipped: Mapping[str, Bools],
    broken: Mapping[str, Bools],
) -> pa.Table:
    """Rows of RECORDS; without a known connection a session is its process, user and database.

    `columns` are those of RECORDS that the source tells, and `pid`; `skipped` and `broken` say by
    reason which rows it knows to be no statements. The first reason that fits counts.
    """
    sql, user, pid, at_us = (columns[name] for name in ("sql", "user", "pid", "at_us"))
    skips = {**skipped, **_not_to_be_sent(sql, user)}
    masked, stampless = mask(pc.equal(sql, _MASKED)), mask(at_us.is_null())
    faults = {**broken, "text masked by the server": masked, "no stamp": stampless}
    skip, fault = (np.logical_or.reduce(list(each.values())) for each in (skips, faults))
    what = np.select([skip, fault], [What.SKIPPED, What.QUARANTINED], What.STATEMENT)
    reasons = skips | faults
    number = np.select(list(reasons.values()), range(len(reasons)), -1)

    starts_us = pc.fill_null(at_us, 0).to_numpy()
    owner = connections.find(pid.to_numpy(), user, starts_us, resolution_us=resolution_us)
    by_process = pc.binary_join_element_wise(
        pid.cast(pa.string()), user, columns["database"], UNCONNECTED, null_handling="replace"
    )
    told = {
        **columns,
        "what": what,
        "reason": pa.array(list(reasons)).take(pa.array(number, mask=number < 0)),
        "session": pc.coalesce(owner["session"], by_process),
        "ends": False,
        "application": owner["application"],
        "sql": pc.if_else(pa.array(what == What.STATEMENT), sql, pa.scalar(None, pa.string())),
    }
    return records_of(len(what), told)


def _not_to_be_sent(sql: pa.StringArray, user: pa.StringArray) -> dict[str, Bools]:
    """By reason, which texts are not to be replayed."""

    def has(pattern: str) -> Bools:
        return mask(pc.match_substring_regex(sql, pattern))

    def where(pattern: str, test: Callable[[pa.StringArray], Bools]) -> Bools:
        """The slower test, of the texts that have the pattern."""
        found = has(pattern)
        if found.any():
            found[found] = test(sql.filter(pa.array(found)))
        return found

    return {
        "internal user": mask(pc.equal(user, "rdsdb")),
        "empty statement": has(r"^[\s;]*$"),
        "internal statement": has(_BEGINNINGS) | where(_WORDS, _have_words),
        "cursor fetch": has(_FRONT + r"fetch\s"),
        "bind values not logged": where(r"\$[1-9]", _have_markers),
    }


def _have_words(texts: pa.StringArray) -> Bools:
    bare = pc.replace_substring_regex(texts, _QUOTED, r" \1 ")
    return mask(pc.match_substring_regex(bare, _WORDS))


def _have_markers(texts: pa.StringArray) -> Bools:
    # Without its values the same text comes again and again.
    codes = texts.dictionary_encode()
    marked = np.array([has_markers(text) for text in codes.dictionary.to_pylist()])
    return np.asarray(marked[codes.indices.to_numpy()], dtype=np.bool_)
