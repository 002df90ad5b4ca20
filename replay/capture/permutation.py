"""Keyed permutations: numbers below a size to numbers below it, each to another one.

A generalised Feistel network on two unequal halves (J. Black and P. Rogaway, Ciphers with arbitrary
finite domains, CT-RSA 2002, method FE2) with keyed BLAKE2 as its round function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from math import isqrt

MOST = 1 << 512
"""Sizes up to this can be permuted."""
_ROUNDS = 8
_STARTS = 4096


class Permutation:
    """Permutations under one key; those of different `tweak` have nothing in common."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # A digest begun is copied faster than begun anew.
        self._start = lru_cache(_STARTS)(self._started)

    def at(
        self,
        number: int,
        size: int,
        tweak: str,
        *,
        left_out: Callable[[int], bool] = lambda number: False,
    ) -> int:
        """Where `number` goes among `range(size)` without those that are left out."""
        if size < 2:
            return number
        first = isqrt(size - 1) + 1
        second = -(-size // first)
        start = self._start(f"{size}\0{tweak}\0")
        # Off the domain, or onto what is left out: further until it is inside. It is a cycle.
        while True:
            number = _encrypted(number, first, second, start)
            if number < size and not left_out(number):
                return number

    def stream(self, text: str, size: int) -> bytes:
        """`size` bytes that only the whole text and the key tell."""
        seed = blake2b(text.encode("utf-8", "surrogatepass"), key=self._key).digest()
        blocks = (blake2b(b"%d" % block, key=seed).digest() for block in range(-(-size // 64)))
        return b"".join(blocks)[:size]

    def _started(self, salt: str) -> blake2b:
        return blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=64, key=self._key)


def _encrypted(number: int, first: int, second: int, start: blake2b) -> int:
    left, right = number % first, number // first
    for turn in range(_ROUNDS):
        state = start.copy()
        state.update(b"%d\0%d" % (turn, right))
        mixed = int.from_bytes(state.digest())
        left, right = right, (left + mixed) % (second if turn & 1 else first)
    return first * right + left
