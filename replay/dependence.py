"""Whether values of columns depend on each other, told from the pairs that statements ask for."""

from __future__ import annotations

import numpy as np

from replay.timetable import Ints

TOGETHER_BELOW = 0.85
"""Distinct pairs of values, of those expected by chance, below which columns stay together."""
_MOSTLY = 0.9
"""Of the statements that ask with one value: its column hardly ever breaks a pair."""


def together(one: Ints, other: Ints, *, keys: bool) -> bool:
    """Whether two columns depend on each other or, where both are `keys`, might.

    `one` and `other` are the columns' values in the same n statements, as codes from 0 without
    gaps. Were they independent, a pair of values that occur in a and in b of the statements would
    be asked for with probability 1 - (1 - ab/n²)^n, the chance that a cell of the classical
    occupancy problem is not empty; the sum over all pairs is the number of distinct pairs expected.

    Where few values repeat, nearly every pair is a new one, whether or not there is a dependence.
    Such columns stay together if both are keys; a range also finds rows with a key that it was
    never asked with. A dependence that forbids few pairs is not seen.
    """
    n = len(one)
    one_counts, other_counts = np.bincount(one), np.bincount(other)
    expected = _distinct_pairs_expected(one_counts, other_counts, n)
    enough = TOGETHER_BELOW * expected
    if len(np.unique(one * n + other)) < enough:
        return True
    hardly_repeat = max(len(one_counts), len(other_counts)) >= enough
    mostly_one = max(one_counts.max(), other_counts.max()) >= _MOSTLY * n
    return keys and hardly_repeat and not mostly_one


def dependent(columns: list[Ints], keyed: list[bool]) -> list[list[int]]:
    """The columns' numbers in groups that stay together, in the order of their first."""
    group = list(range(len(columns)))
    for one in range(len(columns)):
        for other in range(one + 1, len(columns)):
            keys = keyed[one] and keyed[other]
            if group[one] != group[other] and together(columns[one], columns[other], keys=keys):
                joined = group[other]
                group = [group[one] if each == joined else each for each in group]
    return [[at for at, each in enumerate(group) if each == now] for now in sorted(set(group))]


def _distinct_pairs_expected(one_counts: Ints, other_counts: Ints, n: int) -> float:
    # Values that occur equally often are told once.
    a, a_values = np.unique(one_counts, return_counts=True)
    b, b_values = np.unique(other_counts, return_counts=True)
    asked = 1 - (1 - np.outer(a, b) / n**2) ** n
    return float((np.outer(a_values, b_values) * asked).sum())
