"""Templates of many statements at once: each distinct text without its literals is scanned once.

A text's key is made by two regular expressions over the whole column: it is the text with comments
and literals blanked. Equal keys have equal templates, because both expressions and the scanner of
replay.template find the same tokens; texts for which one expression cannot tell (dollar quotes,
nested comments) are their own key.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import bytes_of, mask
from replay.capture.record import Ints
from replay.template import normalise

_MOST_KEYS = 100_000
_LITERAL, _LIST, _WHOLE = "\x01", "\x02", "\x02"
"""Signs in keys: a literal, a list of them, and at the front that the text is its own key."""

_WORD = r"[A-Za-z_\x{80}-\x{10FFFF}][\w$\x{80}-\x{10FFFF}]*"
_EDGE = r"(^|[^\w$.\x{80}-\x{10FFFF}])"
"""What stands before a literal that would else be the end of a word."""
_PLAIN = r"'(?:[^']|'')*'"
_PREFIXED = r"(?:[bBxXnN]|[uU]&)'(?:[^']|'')*'|[eE]'(?:[^'\\]|''|\\(?s:.))*'"
_BACKSLASHED = r"'(?:[^'\\]|''|\\(?s:.))*'"
_PLAIN_IN = {
    "mysql": rf"{_BACKSLASHED}|\"(?:[^\"\\]|\"\"|\\(?s:.))*\"",
    "redshift": _BACKSLASHED,
}
_QUOTED = r"\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`"
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_FRACTION = r"\.\d+(?:[eE][+-]?\d+)?"
_COMMENT = r"--[^\n]*|/\*(?s:.)*?\*/"
# What neither expression can follow: dollar quotes, comments that nest or stay open, our own marks.
_ODD = r"\$[^\d]|\$$|[\x01\x02]"
_ODD_COMMENT = r"/\*|\*/"
_IN_LIST = re.compile(
    rf"(?<![\w$\x80-\U0010FFFF])([iI][nN]\s*\(\s*)[-+]?{_LITERAL}"
    rf"(?:\s*,\s*[-+]?{_LITERAL})*(\s*\))"
)


class Templater:
    """Gives statements their templates; `texts` has what is known of each template by now."""

    def __init__(self, *, dialect: str) -> None:
        self._dialect = dialect
        mysql = dialect == "mysql"
        plain = _PLAIN_IN.get(dialect, _PLAIN)
        strings = f"{plain}|{_PREFIXED}|{_PLAIN}"
        self._comment_signs = (b"--", b"/*", *([b"#"] if mysql else []))
        self._has_comment = "|".join(re.escape(sign.decode()) for sign in self._comment_signs)
        comments = f"{_COMMENT}|#[^\n]*" if mysql else _COMMENT
        self._comments = f"({strings}|{_QUOTED}|{_WORD})|{comments}"
        # Words are passed over, not matched: that is what makes a key cheap.
        self._literals = (
            rf"{plain}|({_QUOTED}|\$\d+)|{_FRACTION}|{_EDGE}(?:{_PREFIXED}|{_PLAIN}|{_NUMBER})"
        )
        self._keys: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.examples: list[str] = []
        """The first statement of each template."""

    def templates(self, sql: pa.StringArray) -> Ints:
        """The number of each statement's template: its place in `ids` and `texts`."""
        keys = self._key(sql).dictionary_encode()
        codes = keys.indices.to_numpy()
        first = np.full(len(keys.dictionary), -1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        if len(self._keys) > _MOST_KEYS:
            self._keys.clear()
        numbers: npt.NDArray[np.int64] = np.empty(len(first), dtype=np.int64)
        for code, (key, row) in enumerate(zip(keys.dictionary.to_pylist(), first, strict=True)):
            if not key.startswith(_WHOLE):
                key = _IN_LIST.sub(rf"\1{_LIST}\2", key)
            number = self._keys.get(key)
            if number is None:
                number = self._keys[key] = self._scan(sql[row].as_py())
            numbers[code] = number
        found: Ints = numbers[codes]
        return found

    def _scan(self, sql: str) -> int:
        found = normalise(sql, dialect=self._dialect)
        number = self._numbers.get(found.template_id)
        if number is None:
            number = self._numbers[found.template_id] = len(self.ids)
            self.ids.append(found.template_id)
            self.texts.append(found.text)
            self.examples.append(sql)
        return number

    def _key(self, sql: pa.StringArray) -> pa.StringArray:
        # Looking for a byte in a whole block costs nothing beside an expression on each text.
        data = bytes_of(sql)
        odd = np.zeros(len(sql), dtype=np.bool_)
        if any(sign in data for sign in (b"$", b"\x01", b"\x02")):
            odd |= mask(pc.match_substring_regex(sql, _ODD))
        bare = sql
        if any(sign in data for sign in self._comment_signs):
            commented = mask(pc.match_substring_regex(sql, self._has_comment))
            some = sql.filter(pa.array(commented))
            some = pc.replace_substring_regex(some, self._comments, r"\1 ")
            odd[commented] |= mask(pc.match_substring_regex(some, _ODD_COMMENT))
            bare = pc.replace_with_mask(sql, pa.array(commented), some)
        keys = pc.replace_substring_regex(bare, self._literals, r"\1\2" + _LITERAL)
        if not odd.any():
            return keys
        return pc.if_else(pa.array(odd), pc.binary_join_element_wise(_WHOLE, sql, ""), keys)
