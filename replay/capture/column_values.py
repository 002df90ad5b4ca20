"""Values of table columns, however they are typed or written, as RECORDS has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import extract, mask
from replay.capture.record import Bools
from replay.capture.stamp import stamps_us

_STAMP = (
    r"^\s*(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d*"
    r"\s*(?P<zone>[A-Za-z]{1,5}|[+-]\d\d(?::?\d\d)?)?\s*$"
)
_NUMBER = r"^\s*-?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*$"
_MOST = 2.0**62
_LISTS = """
SELECT CASE WHEN json_valid(value) THEN CASE WHEN json_type(value) = 'ARRAY'
THEN json_extract_string(value, '$[*]') END END AS value FROM given
"""
_OBJECTS = """
SELECT CASE WHEN json_valid(value) THEN CASE WHEN json_type(value) = 'OBJECT'
THEN json_extract_string(value, [{}]) END END AS value FROM given
"""


def texts_of(column: pa.Array, *, null: Sequence[str] = ()) -> pa.StringArray:
    """Values as text; empty ones and those in `null` are null."""
    texts = column if column.type == pa.string() else column.cast(pa.string())
    absent = pc.is_in(texts, pa.array(["", *null]))
    return pc.if_else(absent, pa.scalar(None, pa.string()), texts)


def integers_of(column: pa.Array, *, scale: float = 1) -> pa.Int64Array:
    """Numbers, typed or as text, times `scale` and rounded; null where a value is none."""
    if pa.types.is_string(column.type):
        numeric = pc.match_substring_regex(column, _NUMBER)
        given = pc.if_else(numeric, column, pa.scalar(None, pa.string()))
        column = pc.utf8_trim_whitespace(given)
    values = pc.multiply(column.cast(pa.float64(), safe=False), float(scale))
    sound = pc.less(pc.abs(values), _MOST)
    values = pc.if_else(sound, values, pa.scalar(None, pa.float64()))
    return pc.round(values).cast(pa.int64())


def durations_us_of(column: pa.Array, *, unit_us: float) -> pa.Int64Array:
    """Durations in microseconds; null where a value is none, or negative."""
    if pa.types.is_duration(column.type):
        values = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    else:
        values = integers_of(column, scale=unit_us)
    return pc.if_else(pc.greater_equal(values, 0), values, pa.scalar(None, pa.int64()))


def moments_us_of(
    column: pa.Array, *, unit_us: float | None, zone: tzinfo | None, local: tzinfo | None
) -> tuple[pa.Int64Array, bool]:
    """Stamps in microseconds since the epoch, null where a value is none; and whether some of them
    name no zone, and were taken for UTC.

    Numbers have the unit `unit_us`. `zone` overrides the zone of texts and of times without one;
    `local` is that of those that name none.

    Raises:
        UsageError: a text names a zone that is not one offset.
    """
    kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("us")), pa.timestamp("us")
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp("us", kind.tz), safe=False)
        if kind.tz is not None:
            return moments.cast(pa.int64()), False
        return stamps_us(moments, zone=zone or local), zone is None and local is None
    if unit_us is not None:
        return integers_of(column, scale=unit_us), False
    texts = texts_of(column)
    # Much the quickest, where all texts are in ISO 8601 and name no zone, or all an offset.
    if (moments := _cast(texts, pa.timestamp("us"))) is not None:
        return stamps_us(moments, zone=zone or local), not (zone or local)
    if zone is None and (moments := _cast(texts, pa.timestamp("us", tz="UTC"))) is not None:
        return moments.cast(pa.int64()), False
    parts = extract(texts, _STAMP)
    texts = pc.binary_join_element_wise(parts["day"], parts["time"], " ")
    if zone is not None:
        return stamps_us(texts, zone=zone), False
    bare = mask(pc.equal(parts["zone"], ""))
    moments = stamps_us(texts, pc.utf8_upper(parts["zone"]))
    if local is not None and bare.any():
        moments = pc.if_else(pa.array(bare), stamps_us(texts, zone=local), moments)
    return moments, local is None and bool(bare.any())


def _cast(texts: pa.StringArray, kind: pa.DataType) -> pa.TimestampArray | None:
    """All of them as times, or None where one cannot be."""
    try:
        # Arrow is slow to fail, so one is tried first.
        texts[:1].cast(kind)
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return None


def lists_of(column: pa.Array) -> tuple[pa.ListArray, Bools]:
    """Lists of texts from lists or from JSON arrays, and which values are neither nor null."""
    lists = pa.list_(pa.string())
    if pa.types.is_string(column.type):
        found = _asked(column, _LISTS)
    else:
        try:
            found = column.cast(lists)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            found = pa.nulls(len(column), lists)
    return found, mask(pc.and_(column.is_valid(), found.is_null()))


def members_of(objects: pa.StringArray, names: Sequence[str]) -> tuple[list[pa.StringArray], Bools]:
    """Members of JSON objects as text, and which of the texts are objects at all.

    There is a value for each object; numbers are written shortest. A name with dots that no member
    has itself is a path to a member of members.
    """
    paths = []
    for name in names:
        pointer = name.replace("~", "~0").replace("/", "~1")
        paths += [pointer, pointer.replace(".", "/")]
    literals = ", ".join("'/" + path.replace("'", "''") + "'" for path in paths)
    found = _asked(objects, _OBJECTS.format(literals))
    good = mask(found.is_valid())
    values = found.filter(pa.array(good)).flatten()
    columns = [
        values.take(pa.array(np.arange(n, len(values), len(paths)))) for n in range(len(paths))
    ]
    pairs = zip(columns[::2], columns[1::2], strict=True)
    return [pc.coalesce(plain, nested) for plain, nested in pairs], good


def _asked(texts: pa.StringArray, query: str) -> pa.ListArray:
    # yyjson reads values of any type as text; Arrow's reader wants one type for a whole column.
    with _database().cursor() as database:
        database.register("given", pa.table({"value": texts}))
        answer = database.sql(query).to_arrow_table()["value"]
    return answer.combine_chunks().cast(pa.list_(pa.string()))


@cache
def _database() -> duckdb.DuckDBPyConnection:
    # One thread: more would change the order of rows.
    return duckdb.connect(config={"threads": 1})
