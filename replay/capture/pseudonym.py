"""Stable pseudonyms: another value of the same type and form for each value, under a key.

Within a form the mapping is a permutation, so that values that differ still do: joins, repeats and
unique keys keep their shape. Order is not kept, but for the years of dates.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from unicodedata import category

from replay.capture.moment_pseudonym import MomentPseudonyms, day_of_digits
from replay.capture.permutation import MOST, Permutation

_CACHED = 50_000
_MOST_CACHED_CHARACTERS = 200
_KEPT = frozenset(
    "t f true false y n yes no on off null none nan now today tomorrow yesterday epoch infinity "
    "-infinity allballs".split()
)

_NUMBER = re.compile(r"([+-]?)(\d[\d_]*|(?=\.\d))(?:\.(\d*))?(?:[eE][+-]?\d+)?", re.ASCII)
_HEX = re.compile(r"(\\x|0[xX])?((?:[0-9a-fA-F]-?)+)")
_UUID_CHARACTERS, _UUID_FIXED = 32, (12, 16)
"""Version and variant, which servers check."""
_LEAST_HEX = 8
_UNITS = (
    r"(?:micro|milli)?sec(?:ond)?s?|(?:micro|milli)seconds?|min(?:ute)?s?|h(?:ou)?rs?|days?|weeks?|"
    r"mon(?:th)?s?|quarters?|years?|yrs?|decades?|centur(?:y|ies)"
)
_INTERVAL = re.compile(
    rf"\s*(?:[+-]?\d+(?:\.\d+)?\s*(?:{_UNITS})\s*)+(?:[\d:.]+\s*)?(?:ago\s*)?",
    re.IGNORECASE | re.ASCII,
)
UNIT = re.compile(
    rf"\s*(?:{_UNITS}|doy|dow|isodow|isoyear|epoch|day_?of_?(?:week|year)|week_?day|millennium)\s*",
    re.IGNORECASE,
)
_PATH = re.compile(r"\$(?:\.\w+|\.\"[^\"]*\"|\.\*|\[(?:\d+|\*)\])*")
_PATTERN_FIXED = re.compile(
    r"\\.|\[\^?(?:[\w]-[\w]|\\.|\[:\w+:\]|[^\w\]])+\]|\{\d+(?:,\d*)?\}|\(\?[a-z:=!<]+", re.DOTALL
)
_JSON = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|'
    r"(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|[\s{}\[\],:]+|true|false|null",
    re.DOTALL,
)
_JSON_NAME = re.compile(r"[A-Za-z_$@][\w$.-]*")
_ELEMENT = re.compile(r'(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^{},"\\]+)|[{},]', re.DOTALL)

_BOUNDS = sorted({2, *(10**n for n in range(1, 41)), *(
    1 << n for n in (15, 16, 31, 32, 63, 64)
)})  # fmt: skip
"""Where numbers change their length or their type; no pseudonym goes over one."""
_DATE_DIGITS = 8


class Pseudonyms:
    """The pseudonyms under one key, which is never written."""

    def __init__(self, key: bytes) -> None:
        self._permutation = Permutation(key)
        self._moments = MomentPseudonyms(self._permutation)
        self._known_string: Callable[[str], str] = lru_cache(_CACHED)(self._string)
        self._known_number: Callable[[str], str] = lru_cache(_CACHED)(self._number)

    def of_string(self, text: str) -> str:
        """Of a string's value; of what looks like a number, as of that number."""
        known = len(text) <= _MOST_CACHED_CHARACTERS
        return self._known_string(text) if known else self._string(text)

    def of_number(self, text: str) -> str:
        """Of a number as it is written: sign, length, scale and type stay, and 0 and 1."""
        known = len(text) <= _MOST_CACHED_CHARACTERS
        return self._known_number(text) if known else self._number(text)

    def of_pattern(self, text: str) -> str:
        """Of a regular expression, whose escapes and classes stay."""
        fixed = {place for found in _PATTERN_FIXED.finditer(text) for place in range(*found.span())}
        return self._words(text, fixed)

    def of_bits(self, digits: str) -> str:
        """Of the digits of a bit string."""
        return self._spread(digits, [("01", int(c)) if c in "01" else None for c in digits])

    def of_hex(self, digits: str) -> str:
        """Of hex digits, with or without the dashes of a UUID."""
        return self._hex(digits)

    def _string(self, text: str) -> str:
        if not text or text.lower() in _KEPT or _INTERVAL.fullmatch(text) or _PATH.fullmatch(text):
            return text
        if _NUMBER.fullmatch(text):
            return self._number(text)
        return (
            self._moments.of_text(text)
            or self._hex_text(text)
            or self._json(text)
            or self._array(text)
            or self._words(text)
        )

    def _number(self, text: str) -> str:
        if text[0] in "23456789" and text.isdecimal() and text.isascii() and len(text) < 20:
            return str(self._whole(int(text)))
        found = _NUMBER.fullmatch(text)
        if found is None:
            return text[:2] + self._hex(text[2:]) if text[:2].lower() == "0x" else text
        whole = found[2].replace("_", "")
        fraction = (found[3] or "").rstrip("0")
        digits = whole + fraction
        value = int(digits or "0") if len(digits) <= 150 else None
        if value is None:
            new = self._words(digits)
        elif fraction:
            length = len(digits.lstrip("0"))
            low = 10 ** (length - 1)
            new = str(low + self._permutation.at(value - low, 9 * low, f"scale {len(fraction)}"))
        else:
            new = str(self._whole(value))
        fresh = iter(new.rjust(len(digits), "0"))
        end = found.end(3) if found[3] is not None else found.end(2)
        mantissa = [next(fresh, "0") if c.isdigit() else c for c in text[len(found[1]) : end]]
        return found[1] + "".join(mantissa) + text[end:]

    def _whole(self, value: int) -> int:
        if value < 2:
            return value
        day = day_of_digits(value)
        if day is not None:
            return int(self._moments.day(day).strftime("%Y%m%d"))
        at = bisect_right(_BOUNDS, value)
        if at == len(_BOUNDS):
            low = int("1".ljust(len(str(value)), "0"))
            high = 10 * low
        else:
            low, high = _BOUNDS[at - 1], _BOUNDS[at]
        dated = len(str(value)) == _DATE_DIGITS
        return low + self._permutation.at(
            value - low,
            high - low,
            f"from {low}",
            left_out=lambda n: dated and day_of_digits(low + n) is not None,
        )

    def _hex_text(self, text: str) -> str | None:
        found = _HEX.fullmatch(text)
        if found is None:
            return None
        digits = found[2].replace("-", "")
        mixed = re.search(r"\d", digits) and re.search("[a-fA-F]", digits)
        if not found[1] and (len(digits) < _LEAST_HEX or not mixed):
            return None
        return (found[1] or "") + self._hex(found[2])

    def _hex(self, text: str) -> str:
        digits = text.replace("-", "").lower()
        fixed = _UUID_FIXED if len(digits) == _UUID_CHARACTERS else ()
        places = [
            None if place in fixed else ("0123456789abcdef", int(digit, 16))
            for place, digit in enumerate(digits)
        ]
        fresh = iter(self._spread(digits, places))
        new = "".join("-" if c == "-" else next(fresh) for c in text)
        return new.upper() if re.search("[A-F]", text) else new

    def _json(self, text: str) -> str | None:
        if text.lstrip()[:1] not in ("{", "["):
            return None
        pieces, at = [], 0
        while at < len(text):
            found = _JSON.match(text, at)
            if found is None:
                return None
            pieces.append(self._json_token(found))
            at = found.end()
        return "".join(pieces) if _is_json(text) else None

    def _json_token(self, found: re.Match[str]) -> str:
        text = found[0]
        if found["number"]:
            return self._number(text)
        if not (found["key"] or found["string"]):
            return text
        value = _json_value(text)
        if value is None or (found["key"] and _JSON_NAME.fullmatch(value)):
            return text
        return json.dumps(self.of_string(value), ensure_ascii=text.isascii())

    def _array(self, text: str) -> str | None:
        if text[0] != "{" or text[-1] != "}":
            return None
        pieces, at = [], 0
        while at < len(text):
            found = _ELEMENT.match(text, at)
            if found is None:
                return None
            if found["quoted"]:
                value = re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL)
                new = self.of_string(value).replace("\\", "\\\\").replace('"', '\\"')
                pieces.append(f'"{new}"')
            elif found["bare"]:
                bare = found[0].strip()
                pieces.append(found[0].replace(bare, self.of_string(bare)) if bare else found[0])
            else:
                pieces.append(found[0])
            at = found.end()
        return "".join(pieces)

    def _words(self, text: str, fixed: set[int] | frozenset[int] = frozenset()) -> str:
        """Letters to letters and digits to digits, case kept; all else stays."""
        places = [
            None if place in fixed else _place_of(character) for place, character in enumerate(text)
        ]
        new = self._spread(text, places)
        return "".join(
            letter.upper() if old.isascii() and old.isupper() else letter
            for letter, old in zip(new, text, strict=True)
        )

    def _spread(self, text: str, places: list[tuple[str, int] | None]) -> str:
        """The text with each character that has an alphabet and a place in it changed."""
        number, size = 0, 1
        for place in places:
            if place is not None and size <= MOST:
                alphabet, digit = place
                number, size = number * len(alphabet) + digit, size * len(alphabet)
        if size > MOST:
            return self._shifted(text, places)
        form = "".join(
            character if place is None else place[0][0]
            for character, place in zip(text, places, strict=True)
        )

        def put(number: int) -> str:
            characters = list(text)
            for at in range(len(places) - 1, -1, -1):
                place = places[at]
                if place is not None:
                    number, digit = divmod(number, len(place[0]))
                    characters[at] = place[0][digit]
            return "".join(characters)

        return put(
            self._permutation.at(number, size, form, left_out=lambda n: put(n).lower() in _KEPT)
        )

    def _shifted(self, text: str, places: list[tuple[str, int] | None]) -> str:
        """For texts too long to be permuted, which are too many to meet."""
        stream = self._permutation.stream(text.lower(), 2 * len(text))
        shifts = (int.from_bytes(stream[at : at + 2]) for at in range(0, len(stream), 2))
        return "".join(
            character if place is None else place[0][(place[1] + shift) % len(place[0])]
            for character, place, shift in zip(text, places, shifts, strict=True)
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_value(text: str) -> str | None:
    """What a string token of JSON says; None where it is broken."""
    try:
        return str(json.loads(text))
    except ValueError:
        return None


_ALPHABETS = ("0123456789", "abcdefghijklmnopqrstuvwxyz")


@lru_cache(4096)
def _place_of(character: str) -> tuple[str, int] | None:
    """The alphabet of a character and its place in it; none for signs and spaces.

    Beyond ASCII, an alphabet is what is of the same kind nearby, so that scripts stay.
    """
    for alphabet in _ALPHABETS:
        place = alphabet.find(character.lower()) if character.isascii() else -1
        if place >= 0:
            return alphabet, place
    kind = category(character)
    if character.isascii() or kind[0] not in "LNS":
        return None
    begin = ord(character) & ~127
    near = [chr(code) for code in range(begin, begin + 128) if category(chr(code)) == kind]
    alphabet = "".join(near)
    return alphabet, alphabet.index(character)
