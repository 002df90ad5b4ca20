"""A digest of an answer that does not depend on the order of its rows and never holds them.

The sum, modulo 2^128, of BLAKE2b of each row: equal rows count as often as they come, which an
exclusive-or would hide. Numbers are brought to one form, because the same number is written
differently by different servers and types.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from math import isfinite

from psycopg.pq import abc as pq_abc

_BYTES = 16
_INTEGERS_AND_NUMERIC = frozenset({20, 21, 23, 1700})
_FLOATS = frozenset({700, 701})
_FIXED_CHARACTER = 1042
"""Type OIDs of PostgreSQL and Redshift: pg_type.dat."""
_FLOAT_DIGITS = 9
"""Significant digits of floats that count: sums depend on the order of adding."""


class Digest:
    """Of one answer."""

    def __init__(self) -> None:
        self._sum = 0
        self._rows = 0

    def add(self, result: pq_abc.PGresult) -> None:
        """Take in the rows of a chunk."""
        count, columns = result.ntuples, range(result.nfields)
        kinds = [result.ftype(column) for column in columns]
        for row in range(count):
            hashed = blake2b(digest_size=_BYTES)
            for column in columns:
                value = result.get_value(row, column)
                if value is None:
                    hashed.update(b"n")
                    continue
                value = canonical(value, kinds[column])
                hashed.update(b"%d:" % len(value))
                hashed.update(value)
            self._sum += int.from_bytes(hashed.digest(), "big")
        self._rows += count

    @property
    def hex(self) -> str:
        """32 hexadecimal digits; an answer without rows has zeros."""
        return f"{self._sum % (1 << 8 * _BYTES):0{2 * _BYTES}x}"


def canonical(value: bytes, kind: int) -> bytes:
    """A value's text in the form in which it is compared; `kind` is the OID of its type."""
    if kind == _FIXED_CHARACTER:
        return value.rstrip(b" ")
    if kind in _FLOATS and isfinite(number := float(value)):
        rounded = Decimal(f"{number:.{_FLOAT_DIGITS - 1}e}")
        value = f"{rounded.normalize():f}".encode()
    elif kind in _INTEGERS_AND_NUMERIC and b"." in value:
        value = value.rstrip(b"0").rstrip(b".")
    return b"0" if value == b"-0" else value
