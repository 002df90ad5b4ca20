"""What a PostgreSQL log message says, whatever form of log it stands in.

Wording of messages: PostgreSQL manual, 19.8.3, and the server's postgres.c and elog.c. Bind values:
`errdetail_params`. Durations are logged at the end of what they time, texts alone at its start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import extract, mask
from replay.capture.record import Bools, Ints, What, records_of
from replay.template import has_markers, normalise

ERRORS = ("ERROR", "FATAL", "PANIC")
SEVERITIES = ("LOG", "INFO", "NOTICE", "WARNING", *ERRORS, *(f"DEBUG{n}" for n in range(1, 6)))

_MESSAGE = (
    r"(?s)^(?:duration: (?P<ms>\d+\.\d{3}) ms(?:  )?)?"
    r"(?P<verb>statement: |(?:execute|parse|bind) [^\n:]*: )?(?P<text>.*)$"
)
# Messages that are no statements, by how they begin.
_BEGINNINGS = (
    (r"connection received: ", What.CONNECT, "connection"),
    (r"(?:replication )?connection auth", What.SKIPPED, "connection"),
    (r"disconnection: ", What.DISCONNECT, "disconnection"),
    (r"database system is ready to accept", What.RESTART, "server message"),
    (r"plan:|\{\s*\"Query Text\"|Query Text:", What.SKIPPED, "plan"),
    (r"fastpath function call: ", What.SKIPPED, "fast-path call"),
    (r"AUDIT: ", What.SKIPPED, "audit"),
)
# Settings that decide which statements a log holds, and how much of them.
_CHANGED = re.compile(
    r'^parameter "(log_(?:min_duration|statement|duration|transaction_sample|parameter_max)\w*)" '
    r"changed to (\S+)"
)
_PREPARE = re.compile(
    r"prepare: PREPARE\s+(?:\"(?:[^\"]|\"\")*\"|\S+?)\s*(\([^)]*\))?\s+AS\s+", re.I
)
_EXECUTE = re.compile(
    r"\s*EXECUTE\s+(?:\"(?:[^\"]|\"\")*\"|[^\s(;]+)\s*(?:\((.*)\))?\s*;?\s*", re.I | re.S
)
_PARAMETER = re.compile(r"\$\d+ = (?:'((?:[^']|'')*)'|(NULL))(?:, |\Z)", re.DOTALL)
_PARAMETERS = "arameters: $1 = "
_CUT = "..."
"""What ends a value that `log_parameter_max_length` cut: inside its quotes."""


def records(lines: Ints, columns: Mapping[str, pa.StringArray], notes: set[str]) -> pa.Table:
    """Rows of RECORDS from the fields of log records.

    `columns` needs `severity` and `message`, and takes `sqlstate`, `detail`, `query` (the SQL of an
    error), and those of RECORDS that tell time, session and user. Null and empty are the same.
    `notes` gets what a user must know.
    """
    count = len(lines)
    absent = pa.nulls(count, pa.string())
    detail, query = columns.get("detail", absent), columns.get("query", absent)
    found = extract(columns["message"], _MESSAGE)
    verb, text = found["verb"], found["text"]
    duration_us = _duration_us(found["ms"])
    timed = duration_us.is_valid()
    failed = mask(pc.is_in(columns["severity"], pa.array(ERRORS)))
    logged = mask(pc.equal(columns["severity"], "LOG"))

    what = np.full(count, What.SKIPPED, dtype=np.int8)
    reason = np.full(count, "server message", dtype=object)
    simple = logged & mask(pc.equal(verb, "statement: "))
    for word in ("parse", "bind"):
        step = logged & mask(pc.starts_with(verb, word + " "))
        reason[step] = word
        what[step & mask(timed)] = What.STEP
    fetch = mask(pc.starts_with(verb, "execute fetch from "))
    execute = logged & mask(pc.starts_with(verb, "execute ")) & ~fetch
    reason[logged & fetch] = "cursor fetch"
    empty = mask(pc.equal(pc.ascii_ltrim_whitespace(text), ""))
    other = logged & mask(pc.equal(verb, ""))
    bare = other & empty & mask(timed)
    what[bare], reason[bare] = What.OUTCOME, "duration of earlier record"
    if other.any():
        _name_others(other & ~bare, text, what, reason, notes)
    statement = (simple | execute) & ~empty
    reason[(simple | execute) & empty] = "empty statement"
    what[statement] = What.STATEMENT

    with_query = failed & ~mask(pc.equal(pc.ascii_ltrim_whitespace(pc.fill_null(query, "")), ""))
    what[failed] = np.where(with_query[failed], What.FAILURE, What.OUTCOME)
    reason[failed] = "error without statement"
    reason[with_query | statement] = None

    stampless = mask(columns["at_us"].is_null()) & (what < What.SKIPPED)
    what[stampless], reason[stampless] = What.QUARANTINED, "no stamp"
    params = _params(detail, (what == What.STATEMENT) | (what == What.STEP))
    bad = params.bad & (what == What.STATEMENT)
    what[bad], reason[bad] = What.QUARANTINED, "bind values unreadable or cut"
    # Where quotes are misread nobody knows which words are a value: none is shown.
    sizes = pc.binary_join_element_wise(pc.utf8_length(text).cast(pa.string()), "characters", " ")
    excerpt = pc.if_else(pa.array(bad), sizes, pa.scalar(None, pa.string()))
    unbound = execute & (what == What.STATEMENT) & ~params.given
    unbound &= mask(pc.match_substring_regex(text, r"\$[1-9]"))
    for row in np.flatnonzero(unbound):
        if has_markers(text[row].as_py()):
            what[row], reason[row] = What.SKIPPED, "bind values not logged"
    sql = pc.if_else(pa.array(failed), query, text)
    sql = _expanded(sql, detail, what, reason)
    return records_of(
        count,
        {
            **{name: columns[name] for name in ("session", "at_us") if name in columns},
            **{
                name: _nulled(columns[name])
                for name in ("user", "database", "application")
                if name in columns
            },
            "line": lines,
            "what": what,
            "reason": pa.array(reason, type=pa.string()),
            "excerpt": excerpt,
            "ends": pc.or_(timed, pa.array(failed)),
            "duration_us": duration_us,
            "error": pc.if_else(pa.array(failed), columns.get("sqlstate", absent), absent),
            "sql": pc.if_else(pa.array(np.isin(what, _WITH_SQL)), sql, absent),
            "params": params.values,
            "extended": execute,
        },
    )


_WITH_SQL = (What.STATEMENT, What.FAILURE, What.STEP)


def _duration_us(ms: pa.StringArray) -> pa.Int64Array:
    given = pc.if_else(pc.equal(ms, ""), pa.scalar(None, pa.string()), ms)
    return pc.round(pc.multiply(given.cast(pa.float64()), 1000.0)).cast(pa.int64())


def _name_others(
    other: Bools,
    text: pa.StringArray,
    what: npt.NDArray[np.int8],
    reason: npt.NDArray[np.object_],
    notes: set[str],
) -> None:
    rows = np.flatnonzero(other)
    if not len(rows):
        return
    texts = text.take(pa.array(rows))
    changed = pc.filter(texts, pc.match_substring_regex(texts, _CHANGED.pattern))
    for message in changed.to_pylist():
        found = _CHANGED.match(message)
        assert found is not None, "both are the same expression"
        notes.add(f"while 1.0 logged, {found[1]} was changed to {found[2]}: what the log holds "
                  "differs before and after")  # fmt: skip
    for beginning, kind, name in _BEGINNINGS:
        fits = rows[mask(pc.match_substring_regex(texts, "^(?:" + beginning + ")"))]
        what[fits], reason[fits] = kind, name


class _Params:
    """Bind values of records: a list array, which rows have any, and which are not whole."""

    def __init__(self, values: pa.ListArray, given: Bools, bad: Bools) -> None:
        self.values, self.given, self.bad = values, given, bad


def _params(detail: pa.StringArray, wanted: Bools) -> _Params:
    """Values of details such as `Parameters: $1 = 'text', $2 = NULL`.

    A detail without a doubled quote or a NULL is split where one value's quote closes and the
    next one's opens, which its values cannot hold; others are read by hand.
    """
    count = len(detail)
    given = wanted & mask(pc.match_substring_regex(detail, r"^[Pp]arameters: "))
    bad = np.zeros(count, dtype=np.bool_)
    rows = np.flatnonzero(given)
    if not len(rows):
        return _Params(pa.nulls(count, pa.list_(pa.string())), given, bad)
    texts = detail.take(pa.array(rows))
    quick = mask(pc.match_substring_regex(texts, r"(?s)^[Pp]arameters: \$1 = '.*[^.]'$"))
    quick &= ~mask(pc.match_substring_regex(texts, r"''|= NULL|\.\.\.', \$"))
    lists: list[Any] = [None] * len(rows)
    inner = pc.utf8_slice_codeunits(texts.filter(pa.array(quick)), len("P" + _PARAMETERS) + 1, -1)
    split = pc.split_pattern_regex(inner, r"', \$\d+ = '")
    if quick.all():
        found = split
    else:
        for row, values in zip(np.flatnonzero(quick), split.to_pylist(), strict=True):
            lists[row] = values
        for row in np.flatnonzero(~quick):
            values, whole = parameters_of(texts[row].as_py())
            lists[row] = values
            bad[rows[row]] = not whole
        found = pa.array(lists, type=pa.list_(pa.string()))
    # Rows without values take a null from behind the last list.
    places = np.full(count, len(rows), dtype=np.int64)
    places[rows] = np.arange(len(rows))
    found = pa.concat_arrays([found, pa.nulls(1, pa.list_(pa.string()))])
    return _Params(found.take(pa.array(places)), given, bad)


def parameters_of(detail: str) -> tuple[list[str | None], bool]:
    """Bind values of one detail, and whether they are all there and whole."""
    values: list[str | None] = []
    position = len("parameters: ")
    while position < len(detail):
        found = _PARAMETER.match(detail, position)
        if not found:
            return values, False
        value = None if found[2] else found[1].replace("''", "'")
        if value is not None and value.endswith(_CUT):
            return values, False
        values.append(value)
        position = found.end()
    return values, True


def _expanded(
    sql: pa.StringArray,
    detail: pa.StringArray,
    what: npt.NDArray[np.int8],
    reason: npt.NDArray[np.object_],
) -> pa.StringArray:
    """SQL-level EXECUTE as the statement that it runs."""
    prepared = (what == What.STATEMENT) & mask(pc.starts_with(detail, "prepare: "))
    rows = np.flatnonzero(prepared)
    if not len(rows):
        return sql
    texts = sql.to_pylist()
    for row in rows:
        expanded = expand_execute(texts[row], detail[row].as_py())
        if expanded is None:
            what[row], reason[row] = What.QUARANTINED, "EXECUTE that cannot be expanded"
        else:
            texts[row] = expanded
    return pa.array(texts, type=pa.string())


def expand_execute(execute: str, detail: str) -> str | None:
    """The prepared statement with EXECUTE's arguments in place of its markers, or None.

    `detail` is `prepare: PREPARE name (types) AS statement`.
    """
    prepare, call = _PREPARE.match(detail), _EXECUTE.fullmatch(execute)
    if prepare is None or call is None:
        return None
    body = detail[prepare.end() :].rstrip().rstrip(";")
    types = _comma_separated((prepare[1] or "()")[1:-1])
    arguments = _comma_separated(call[1] or "")
    parts, at = [], 0
    for marker in normalise(body).markers:
        number = int(body[marker.start + 1 : marker.end])
        if not 1 <= number <= len(arguments):
            return None
        value = arguments[number - 1]
        if number <= len(types) and types[number - 1].lower() != "unknown":
            value = f"CAST({value} AS {types[number - 1]})"
        parts += [body[at : marker.start], value]
        at = marker.end
    return "".join([*parts, body[at:]])


def _comma_separated(text: str) -> list[str]:
    """Arguments at the top level of a list, with brackets and literals kept whole."""
    if not text.strip():
        return []
    found, depth, at = [], 0, 0
    literals = iter([*normalise(text).literals, None])
    literal = next(literals)
    position = 0
    while position < len(text):
        if literal is not None and position == literal.start:
            position, literal = literal.end, next(literals)
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[position], 0)
        if text[position] == "," and not depth:
            found.append(text[at:position].strip())
            at = position + 1
        position += 1
    return [*found, text[at:].strip()]


def _nulled(texts: pa.StringArray) -> pa.StringArray:
    """Empty and `[unknown]` as null."""
    absent = pc.is_in(texts, pa.array(["", "[unknown]"]))
    return pc.if_else(absent, pa.scalar(None, pa.string()), texts)
