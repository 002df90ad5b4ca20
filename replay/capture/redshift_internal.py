"""Statements of Redshift that no user sent, or that cannot be sent again as they were told.

Redshift logs its own work among that of users: rewrites of subqueries into temporary tables
(`volt_tt_…`), samples taken by ANALYZE, statements within procedures. Replaying them would do work
twice. Words are looked for outside literals and comments only: a user may search for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools
from replay.template import has_markers

MASKED = "******"
"""What the server shows instead of a text that names objects of the Glue Data Catalog."""
MASKED_REASON = "text masked by the server"

_INTERNAL_USER = "rdsdb"
_FRONT = r"(?is)^(?:\s+|--[^\n]*\n|/\*.*?\*/)*"
_BEGINNINGS = _FRONT + r"(?:padb_fetch_sample:|undoing\s+(?:\d+\s+)?transactions?\b)"
_FETCH = _FRONT + r"fetch\s"
_TELLING = r"(?i)internal query|volt_tt_|context:\s+sql"
_LITERALS = r"'(?:[^']|'')*'|--[^\n]*|(/\*(?s:.)*?\*/)"
_COMMENTS = r"/\*(?s:.)*?\*/"
_INTERNAL_COMMENT = r"/\*\s*INTERNAL QUERY\s*\*/"
_INTERNAL_WORDS = r"(?i)\bvolt_tt_|\bcontext:\s+sql\b"


def why_skipped(sql: pa.StringArray, user: pa.StringArray) -> npt.NDArray[np.object_]:
    """Why each text is not to be replayed; None where it is. Null texts are not looked at."""
    reasons = np.full(len(sql), None, dtype=object)
    for reason, fits in (
        ("bind values not logged", _has_markers(sql)),
        ("cursor fetch", mask(pc.match_substring_regex(sql, _FETCH))),
        ("internal statement", _is_internal(sql)),
        ("empty statement", mask(pc.match_substring_regex(sql, r"^[\s;]*$"))),
        ("internal user", mask(pc.equal(user, _INTERNAL_USER))),
    ):
        reasons[fits] = reason
    return reasons


def is_masked(sql: pa.StringArray) -> Bools:
    """Whether the server hides the text."""
    return mask(pc.equal(pc.ascii_trim_whitespace(sql), MASKED))


def _is_internal(sql: pa.StringArray) -> Bools:
    internal = mask(pc.match_substring_regex(sql, _BEGINNINGS))

    def tells(texts: pa.StringArray) -> Bools:
        bare = pc.replace_substring_regex(texts, _LITERALS, r" \1 ")
        found = mask(pc.match_substring_regex(bare, _INTERNAL_COMMENT))
        bare = pc.replace_substring_regex(bare, _COMMENTS, " ")
        return found | mask(pc.match_substring_regex(bare, _INTERNAL_WORDS))

    _add_where(internal, sql, _TELLING, tells)
    return internal


def _has_markers(sql: pa.StringArray) -> Bools:
    found = np.zeros(len(sql), dtype=np.bool_)

    def have(texts: pa.StringArray) -> Bools:
        # Without its values the same text comes again and again.
        codes = texts.dictionary_encode()
        marked = np.array([has_markers(text) for text in codes.dictionary.to_pylist()])
        return np.asarray(marked[codes.indices.to_numpy()], dtype=np.bool_)

    _add_where(found, sql, r"\$[1-9]", have)
    return found


def _add_where(found: Bools, sql: pa.StringArray, pattern: str, test: Any) -> None:  # noqa: ANN401
    """Put the slower test to the texts that have the pattern."""
    rows = np.flatnonzero(mask(pc.match_substring_regex(sql, pattern)))
    if len(rows):
        found[rows] |= test(sql.take(pa.array(rows)))
