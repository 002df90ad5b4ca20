"""Whether columns depend on each other, told from the pairs of values that statements ask for."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from replay.offsets import Ints

TOGETHER_BELOW = 0.85  # columns stay together where less of the pairs expected by chance was seen
_MOSTLY = 0.9  # a column with one value in so many of the statements hardly ever breaks a pair


def together(one: Ints, other: Ints, *, keys: bool) -> bool:
    """Whether two columns depend on each other or, where both are `keys`, might.

    Both are the columns' values in the same n statements, as codes from 0 without gaps. Were they
    independent, values that occur a and b times would be seen as a pair with the probability
    1 - (1 - ab/n²)^n, that of a cell with a ball in the classical occupancy problem; the sum over
    all pairs is the number of distinct pairs expected. A dependence that forbids few is not seen.
    """
    n = len(one)
    counts = np.bincount(one), np.bincount(other)
    # Values that occur equally often are told once.
    (a, a_values), (b, b_values) = (np.unique(each, return_counts=True) for each in counts)
    seen = 1 - (1 - np.outer(a, b) / n**2) ** n
    enough = TOGETHER_BELOW * float((np.outer(a_values, b_values) * seen).sum())
    if len(np.unique(one * n + other)) < enough:
        return True
    # Where few values repeat, nearly every pair is new, whether or not there is a dependence. A
    # range, which is no key, finds rows with a key that it was never asked with.
    few_repeat = max(map(len, counts)) >= enough
    return keys and few_repeat and bool(max(a[-1], b[-1]) < _MOSTLY * n)


def dependent(columns: list[Ints], keyed: list[bool]) -> list[list[int]]:
    """Numbers of the columns that stay together, in the order of each group's first."""
    group = list(range(len(columns)))
    for one, other in combinations(range(len(columns)), 2):
        keys = keyed[one] and keyed[other]
        if group[one] != group[other] and together(columns[one], columns[other], keys=keys):
            group = [group[one] if each == group[other] else each for each in group]
    return [[at for at, now in enumerate(group) if now == each] for each in sorted({*group})]
