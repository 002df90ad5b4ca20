"""Stable pseudonyms: another value of the same form for each value, under a key.

Characters go to others of their class, as a keyed stream over the value's letters and digits has
it; numbers, dates, times and hex digits go to valid ones. Letter case, signs and LIKE's wildcards
stay, so `'%Ann%'`, `'ann'` and `E'ann'` agree; letters beyond ASCII go to Latin ones. Short values
may collide, and order is not kept: a range's ends may change places.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from hashlib import shake_256

_DIGITS, _LETTERS, HEX = "0123456789", "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"
_BOUNDS = sorted({2, *(10**n for n in range(1, 41)), *(1 << n for n in (15, 16, 31, 32, 63, 64))})
"""Where numbers change their length or their type; no pseudonym goes over one."""

_NUMBER = re.compile(
    r"([+-]?)(\d{1,40}|(?=\.\d))(?:\.(\d{0,40}))?(?P<exponent>(?:[eE][+-]?\d+)?)",
    re.ASCII,
)
_DAY_OF_DIGITS = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)", re.ASCII)
# Flags, moments by name and without one, units and intervals.
_KEPT = re.compile(
    r"|t|f|true|false|y|n|yes|no|on|off|null|none|nan|now|today|tomorrow|yesterday|-?infinity|"
    r"9999-12-31|9999-01-01|1970-01-01|1900-01-01|0001-01-01|(?:(?:[+-]?\d+(?:\.\d+)?\s*)?(?:"
    r"(?:micro|milli)?sec(?:ond)?s?|min(?:ute)?s?|h(?:ou)?rs?|days?|weeks?|mon(?:th)?s?|quarters?|"
    r"years?|yrs?|decades?|centur(?:y|ies)|epoch|doy|dow|iso(?:dow|year))\s*)+(?:[\d:.]+)?(?:ago)?",
    re.IGNORECASE | re.ASCII,
)
_PIECE = re.compile(
    r"""
      (?P<hex>(?<!\w)(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}
        | (?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,})(?!\w)
        | (?:(?<=\\x)|(?<=^0[xX]))[0-9a-fA-F]+ | (?<=\\u[0-9a-fA-F]{2})[0-9a-fA-F]{2})
    # Escapes, what is no letter of a pattern, names and constants in JSON, midnight
    | (?P<kept>\\u[0-9a-fA-F]{2} | \\. | ^0[xX](?=[0-9a-fA-F]+$)
        | \[\^?(?:\w-\w|\\.|\[:\w+:\]|[^\w\]])+\] | (?<=[\w\])])\{\d+(?:,\d*)?\} | \(\?[a-z:=!<]+
        | (?:(?<=[{,])|(?<=[{,]\s))"[A-Za-z_$@][\w$.-]*"(?=\s*:) | \b(?i:true|false|null)\b
        | (?<![\d:])(?:00:00|23:59)(?::(?:00|59)(?:\.(?:0+|9+))?)?(?!\d) | (?<=\d)T(?=\d\d:))
    | (?P<day>(?<!\d)(?P<year>\d{4})(?P<dash>[-/.])(?P<month>\d\d?)(?P=dash)(?P<of_month>\d\d?)
        (?!\d))
    | (?P<day_first>(?<!\d)\d\d?(?P<sign>[-/.])\d\d?(?P=sign)\d{4}(?!\d))
    | (?P<time>(?<![\d:])(?P<clock>(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-6]\d)?)(?P<fraction>(?:\.\d+)?)
        (?P<zone>(?:\s*(?:Z|[+-]\d\d(?::?\d\d)?)\b|\s+(?:UTC\b|[A-Z][a-z]+/\w+))?))
    | (?P<number>(?<![\w.-])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[^\W_]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class Pseudonyms:
    """The pseudonyms under one key, which is never written."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known = lru_cache(50_000)(self._string)

    def of_string(self, text: str) -> str:
        """Of a string's value, or of a literal as it is written between its quotes.

        Of a number, wherever it stands, sign, length, scale and type stay, and 0 and 1.
        """
        return self._known(text) if len(text) < 200 else self._string(text)

    def of_digits(self, digits: str, alphabet: str) -> str:
        """Of digits of some alphabet; of a UUID, too."""
        fixed = (14, 19) if digits[8:24:5] == "----" else ()  # a UUID's version and variant
        shifts = enumerate(zip(digits, self._stream(digits), strict=True))
        return "".join(c if at in fixed else _shifted(c, by, alphabet) for at, (c, by) in shifts)

    def _string(self, text: str) -> str:
        number = _NUMBER.fullmatch(text)
        if number:
            return self._number(number)
        stream = self._stream(text)
        kept = _KEPT.fullmatch(text)
        return text if kept else _PIECE.sub(lambda found: self._piece(found, stream), text)

    def _piece(self, found: re.Match[str], stream: Iterator[int]) -> str:
        text = found[0]
        match found.lastgroup:
            case "word":
                return "".join(map(_shifted, text, stream))
            case "hex":
                return self.of_digits(text, HEX)
            case "number":
                return self.of_string(text)
            case "day":
                return (
                    self._day(found["year"], found["month"], found["of_month"], found["dash"])
                    or text
                )
            case "day_first":
                # Or the month first: both are made to be months.
                return re.sub(
                    r"\b\d\d?\b", lambda old: f"{1 + next(stream) % 12:0{len(old[0])}}", text
                )
            case "time":
                clock = found["clock"].split(":")
                sizes = zip(clock, (24, 60, 60), stream, strict=False)
                new = ":".join(str(by % size).rjust(len(old), "0") for old, size, by in sizes)
                return new + "".join(map(_shifted, found["fraction"], stream)) + found["zone"]
        return text

    def _number(self, found: re.Match[str]) -> str:
        sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
        day = None if fraction else _DAY_OF_DIGITS.fullmatch(whole)
        new = self._day(day[1], day[2], day[3], "") if day else None
        if new is None:
            value = int(whole + fraction or "0")
            at = bisect_right(_BOUNDS, value)
            low, high = (_BOUNDS[at - 1], _BOUNDS[at]) if at else (value, value)
            if fraction:
                low = 10 ** (len(str(value)) - 1)
                high = 10 * low
            new = str(self._other(value, low, high)).rjust(len(whole + fraction), "0")
        if found[3] is not None:
            new = f"{new[: len(whole)]}.{new[len(whole) :].ljust(len(found[3]), '0')}"
        return sign + new + found["exponent"]

    def _day(self, year: str, month: str, of_month: str, dash: str) -> str | None:
        """Another day of the same year; None where it is no day."""
        try:
            old = date(int(year), int(month), int(of_month)).toordinal()
        except ValueError:
            return None
        first = date(int(year), 1, 1).toordinal()
        new = date.fromordinal(self._other(old, first, first + 365))
        return f"{year}{dash}{new.month:0{len(month)}}{dash}{new.day:0{len(of_month)}}"

    def _other(self, value: int, low: int, high: int) -> int:
        """Another number of a range, if there is one."""
        if high - low < 2:
            return value
        drawn = shake_256(self._key + b"%d %d" % (low, value)).digest(32)
        by = 1 + int.from_bytes(drawn) % (high - low - 1)
        return low + (value - low + by) % (high - low)

    def _stream(self, text: str) -> Iterator[int]:
        """As many bytes as the text has characters; its letters and digits decide on them."""
        said = "".join(filter(str.isalnum, text)).lower()
        seed = self._key + said.encode("utf-8", "surrogatepass")
        return iter(shake_256(seed).digest(len(text)))


def _shifted(character: str, by: int, alphabet: str = "") -> str:
    """Another character of its class; signs stay."""
    alphabet = alphabet or (_DIGITS if character.isdecimal() else _LETTERS)
    if character not in alphabet and not character.isalnum():
        return character
    place = alphabet.find(character.lower())
    new = alphabet[(place + 1 + by % (len(alphabet) - 1)) % len(alphabet)]
    return new.upper() if character.isupper() else new
