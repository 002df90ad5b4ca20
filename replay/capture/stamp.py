"""Time zones as logs write them: an abbreviation or an offset."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

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
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")


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
