"""A number with what is known about its uncertainty; every statistic returns one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Interval = tuple[float | None, float | None]
"""Lower and upper bound; None is an end the sample cannot bound."""


class Word(StrEnum):
    """What an interval of candidate over baseline says, whatever a gate makes of it."""

    IMPROVED = "improved"
    WORSE = "worse"
    NO_CLEAR_CHANGE = "no clear change"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One statistic: `value` and `interval` are None where the sample cannot give them."""

    value: float | None
    interval: Interval | None = None
    n: int
    warnings: tuple[str, ...] = ()


def word_for(ratio: Estimate, *, less_is_better: bool = True) -> Word:
    """The word for a ratio: improved when all of its interval lies on the better side of 1.

    An interval that touches 1, as of two identical samples, is no clear change.
    """
    if ratio.value is None or ratio.interval is None:
        return Word.CANNOT_TELL
    low, high = ratio.interval
    below, above = high is not None and high < 1, low is not None and low > 1
    if not (below or above):
        return Word.NO_CLEAR_CHANGE
    return Word.IMPROVED if below == less_is_better else Word.WORSE
