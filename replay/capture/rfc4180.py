"""Where the records of a CSV file begin (RFC 4180): newlines in quotes end none."""

from __future__ import annotations

import re

import numpy as np

from replay.capture.record import Ints

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'


def split_records(block: bytes, *, delimiter: str, last: bool) -> tuple[Ints, int]:
    """Offsets where records begin, 0 first, and where the last whole one ends.

    A quote that opens a text in the middle of a field, or closes one there, shows that its record
    is broken. It ends before that quote's line, which may begin another record; but not before its
    own first line does.
    """
    data = np.frombuffer(block, dtype=np.uint8)
    quotes, newlines = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _NEWLINE)
    before = np.searchsorted(quotes, newlines)
    around = np.concatenate([[_NEWLINE], data, [_NEWLINE]])
    comma = ord(delimiter)
    opens = np.isin(around[quotes], [_NEWLINE, _QUOTE, comma])
    closes = np.isin(around[quotes + 2], [_NEWLINE, _RETURN, _QUOTE, comma])
    # Which quotes open depends on how many came before the place where reading began anew.
    opening = np.arange(len(quotes)) % 2 == 0
    wrong = [np.flatnonzero(~np.where(opening == even, opens, closes)) for even in (True, False)]
    outside = [np.flatnonzero(before % 2 == parity) for parity in (0, 1)]
    ends: list[Ints] = []
    newline = quote = 0
    while True:
        parity = quote % 2
        found = np.searchsorted(wrong[parity], quote)
        broken = found < len(wrong[parity])
        limit = np.searchsorted(newlines, quotes[wrong[parity][found]]) if broken else len(newlines)
        whole = outside[parity]
        whole = whole[np.searchsorted(whole, newline) : np.searchsorted(whole, limit)]
        ends.append(newlines[whole])
        first = int(whole[-1]) + 1 if len(whole) else newline
        if not broken or first >= len(newlines):
            break
        cut = max(first, int(limit) - 1)
        ends.append(newlines[cut : cut + 1])
        newline, quote = cut + 1, int(before[cut])
    starts = np.concatenate([[0], *(each + 1 for each in ends)]).astype(np.int64)
    if last:
        return starts[starts < len(block)], len(block)
    return starts[:-1], int(starts[-1])


def well_formed(delimiter: str) -> str:
    """An RE2 pattern of one whole record with its line end."""
    field = rf'(?:"(?:[^"]|"")*"|[^"\r\n{re.escape(delimiter)}]*)'
    return rf"^{field}(?:{re.escape(delimiter)}{field})*\r?\n?$"
