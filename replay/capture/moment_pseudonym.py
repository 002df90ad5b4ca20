"""Stable pseudonyms of dates and times: valid ones in the same form, the year kept.

Midnight, the day's last second and days that stand for no day stay. A date has one pseudonym,
whether or not a time follows it.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from replay.capture.permutation import Permutation

_KEPT_DATES = frozenset("9999-12-31 9999-01-01 1970-01-01 1900-01-01 0001-01-01".split())
_KEPT_TIME = re.compile(r"(?:0?0:00|24:00)(?::00(?:\.0+)?)?|23:59(?::59(?:\.9+)?)?")

_TIME = (
    r"(?P<hour>[01]?\d|2[0-3]|24(?=:00)):(?P<minute>[0-5]\d)"
    r"(?::(?P<second>[0-5]\d|60)(?P<fraction>[.,]\d{1,9})?)?"
)
_ZONE = r"(?P<zone>\s*(?:Z|[+-]\d\d(?::?\d\d)?)|\s+[A-Z][A-Za-z]+(?:/\w+)*)?"
_DATE = r"(?P<year>\d{4})(?P<dash>[-/.])(?P<month>\d{1,2})(?P=dash)(?P<day>\d{1,2})"
_MOMENT = re.compile(rf"(?:{_DATE})?(?P<gap>(?<=\d)[T ]+)?(?:(?<![^T ]){_TIME}{_ZONE})?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:(\s+)(\d\d?:\d\d.*))?", re.ASCII)


class MomentPseudonyms:
    """Pseudonyms of dates and times by one permutation."""

    def __init__(self, permutation: Permutation) -> None:
        self._permutation = permutation

    def day(self, day: date) -> date:
        """Another day of the same year."""
        if day.isoformat() in _KEPT_DATES:
            return day
        first = date(day.year, 1, 1)
        # 366 only where there are as many, and nothing behind the calendar's end.
        days = (date(day.year, 12, 31) - first).days + 1
        number = self._permutation.at((day - first).days, days, f"year {day.year}")
        return first + timedelta(days=number)

    def of_text(self, text: str) -> str | None:
        """Of a date, a time or both as they are written; None where a text is none of them."""
        found = _MOMENT.fullmatch(text)
        if found is None or not (found["year"] or found["hour"]):
            return self._day_first(text)
        pieces = []
        if found["year"]:
            day = _date(int(found["year"]), int(found["month"]), int(found["day"]))
            if day is None:
                return None
            new = self.day(day)
            month = str(new.month).rjust(len(found["month"]), "0")
            of_month = str(new.day).rjust(len(found["day"]), "0")
            pieces += [found["year"], found["dash"], month, found["dash"], of_month]
        pieces.append(found["gap"] or "")
        if found["hour"]:
            pieces.append(self._time(found) + (found["zone"] or ""))
        return "".join(pieces)

    def _time(self, found: re.Match[str]) -> str:
        """Midnight and the day's last minute stay: they bound ranges."""
        hour, minute = found["hour"], found["minute"]
        written = found.string[found.start("hour") : found.start("zone") if found["zone"] else None]
        if _KEPT_TIME.fullmatch(written):
            return written
        number = self._permutation.at(
            int(hour) * 60 + int(minute), 24 * 60, "time", left_out=lambda n: n in (0, 24 * 60 - 1)
        )
        text = str(number // 60).rjust(len(hour), "0") + f":{number % 60:02}"
        if found["second"]:
            second = int(found["second"])
            if 0 < second < 60:
                second = 1 + self._permutation.at(second - 1, 59, "second")
            text += f":{second:02}"
        fraction = found["fraction"]
        if fraction and int(fraction[1:]):
            digits = fraction[1:].rstrip("0")
            number = self._permutation.at(int(digits) - 1, 10 ** len(digits) - 1, "fraction")
            fraction = f"{fraction[0]}{number + 1:0{len(digits)}}".ljust(len(fraction), "0")
        return text + (fraction or "")

    def _day_first(self, text: str) -> str | None:
        """`31.12.2024` or `12/31/2024`; where one cannot tell, it is valid either way."""
        found = _DAY_FIRST.fullmatch(text)
        if found is None:
            return None
        one, other, year = int(found[1]), int(found[3]), int(found[4])
        day, month = (one, other) if one > 12 else (other, one)
        real = _date(year, month, day)
        if real is None:
            return None
        if day > 12:
            new = self.day(real)
            day, month = new.day, new.month
        else:
            day = 1 + self._permutation.at(day - 1, 12, f"either {year}")
            month = 1 + self._permutation.at(month - 1, 12, f"either {year}")
        first, second = (day, month) if one > 12 else (month, day)
        date_text = f"{first:0{len(found[1])}}{found[2]}{second:0{len(found[3])}}{found[2]}{year}"
        time = found[6] and (self.of_text(found[6]) or found[6])
        return date_text + (found[5] or "") + (time or "")


def day_of_digits(value: int) -> date | None:
    """The day that eight digits such as 20240131 write."""
    if not 19_000_101 <= value <= 20_991_231:
        return None
    return _date(value // 10_000, value // 100 % 100, value % 100)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
