"""Stamps as logs write them: text, with an abbreviation or an offset of a zone, to microseconds."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from replay.errors import UsageError

# Only abbreviations that mean one offset wherever they are used; CST and IST, for example, do not.
_HOURS = {
    **dict.fromkeys(["UTC", "GMT", "Z", "UCT", "WET"], 0),
    **dict.fromkeys(["CET", "WEST", "MEZ"], 1),
    **dict.fromkeys(["CEST", "EET", "MESZ"], 2),
    **dict.fromkeys(["EEST", "MSK"], 3),
    **dict.fromkeys(["EDT"], -4),
    **dict.fromkeys(["EST", "CDT"], -5),
    **dict.fromkeys(["MDT"], -6),
    **dict.fromkeys(["PDT", "MST"], -7),
    **dict.fromkeys(["PST"], -8),
    **dict.fromkeys(["JST", "KST"], 9),
    **dict.fromkeys(["AEST"], 10),
    **dict.fromkeys(["AEDT"], 11),
}
_MOMENT_CHARACTERS = len("2026-03-01 10:00:00.123")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")


def stamps_us(
    texts: pa.StringArray, zones: pa.StringArray | None = None, *, zone: tzinfo | None = None
) -> pa.Int64Array:
    """Microseconds since the epoch of stamps such as `2026-03-01 10:00:00.123`; null where a text
    is none.

    `zones` has what each stamp says of its zone (empty or null: UTC); `zone` overrides it.

    Raises:
        UsageError: the zone of most stamps does not name one offset; others are null.
    """
    naive = _naive(texts)
    if zone is not None:
        return _in_zone(naive, zone)
    local_us = naive.cast(pa.int64())
    if zones is None:
        return local_us
    codes = pc.fill_null(zones, "").dictionary_encode()
    code = codes.indices.to_numpy()
    unknown: UsageError | None = None
    offsets: list[int | None] = []
    for name in codes.dictionary.to_pylist():
        try:
            offsets.append(_offset_us(offset_of_zone(name)) if name else 0)
        except UsageError as error:
            unknown = error
            offsets.append(None)
    if not any(offset != 0 for offset in offsets):
        return local_us
    shifts = pa.array(offsets, type=pa.int64()).take(pa.array(code))
    # One damaged record does not make the whole log's zone unknown.
    if unknown is not None and shifts.null_count * 2 > len(shifts):
        raise unknown
    return pc.subtract(local_us, shifts)


def zoned_stamps_us(texts: pa.StringArray, *, zone: tzinfo | None = None) -> pa.Int64Array:
    """The same of `2026-03-01 10:00:00.123 UTC`, as csvlog and jsonlog write stamps.

    Raises:
        UsageError: as stamps_us.
    """
    moments = pc.utf8_slice_codeunits(texts, 0, _MOMENT_CHARACTERS)
    zones = pc.utf8_slice_codeunits(texts, _MOMENT_CHARACTERS + 1)
    return stamps_us(moments, zones, zone=zone)


def _naive(texts: pa.StringArray) -> pa.TimestampArray:
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return pa.array([_one(text) for text in texts.to_pylist()], type=pa.timestamp("us"))


def _one(text: str | None) -> object:
    try:
        return pa.scalar(text).cast(pa.timestamp("us")).as_py()
    except pa.ArrowInvalid:
        return None


def _in_zone(naive: pa.TimestampArray, zone: tzinfo) -> pa.Int64Array:
    if isinstance(zone, ZoneInfo):
        # An hour that happens twice is taken for the first; --timezone UTC never has one.
        local = pc.assume_timezone(naive, zone.key, ambiguous="earliest", nonexistent="latest")
        return local.cast(pa.int64())
    return pc.subtract(naive.cast(pa.int64()), _offset_us(zone))


def _offset_us(zone: tzinfo) -> int:
    offset = zone.utcoffset(None)
    assert offset is not None, "a zone read off a log has one offset"
    return int(offset.total_seconds()) * 1_000_000


@lru_cache(maxsize=64)
def offset_of_zone(text: str) -> tzinfo:
    """The zone of a stamp's abbreviation (`CEST`) or offset (`-03`, `+05:30`).

    Raises:
        UsageError: the abbreviation is unknown or means different offsets in different places.
    """
    if text in _HOURS:
        return timezone(timedelta(hours=_HOURS[text])) if _HOURS[text] else UTC
    found = _OFFSET.fullmatch(text)
    if found:
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return timezone(timedelta(minutes=minutes if found[1] == "+" else -minutes))
    raise UsageError(
        f"the log's time zone `{text}` does not name one offset",
        hint="say which it is with --timezone, for example --timezone America/Chicago",
    )


def zone_named(name: str) -> tzinfo:
    """The zone of `--timezone`.

    Raises:
        UsageError: no zone has that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(
            f"`{name}` is not a time zone", hint="use a name such as Europe/Berlin or UTC"
        ) from error
