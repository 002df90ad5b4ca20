"""What runs of one side differ by, as a part of the uncertainty of what they say together.

Resampling three runs does not make them more: its extremes are the runs themselves. So only time
blocks are resampled, and what is between runs enters by its variance and degrees of freedom. The
levels are those of Kalibera and Jones, Rigorous Benchmarking in Reasonable Time (ISMM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from reports.stats.bootstrap import Resampled
from reports.stats.estimate import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the variance of a logarithm, known with so many degrees of `freedom`."""

    variance: float
    freedom: float


def between_runs(*sides: Floats) -> list[Part]:
    """What runs differ by, of the difference of means of `sides`, each a figure a run (runs).

    A side of one run is held to vary as the other's runs do; without a side of two there is none.
    Chance within a run makes runs differ too and is then counted once more by the blocks: where
    runs hardly differ by themselves, an interval is too wide rather than too narrow.
    """
    known = [logs[np.isfinite(logs)] for logs in sides]
    parts = [
        Part(variance=float(logs.var(ddof=1)) / len(logs), freedom=len(logs) - 1)
        for logs in known
        if len(logs) > 1
    ]
    if parts and len(parts) < len(sides):
        (part,) = parts
        return [Part(variance=part.variance * (part.freedom + 2), freedom=part.freedom)]
    return parts


def add_up(parts: Sequence[Part]) -> Part:
    """The sum of independent parts; its freedom after Welch and Satterthwaite."""
    variance = sum(part.variance for part in parts)
    spent = sum(part.variance**2 / part.freedom for part in parts)
    return Part(variance=variance, freedom=variance**2 / spent if spent else math.inf)


def widen(drawn: Resampled, *sides: Floats, confidence: float) -> Resampled:
    """What time blocks gave, and what runs differ by, see `between_runs`; by Student's t.

    Around the difference of means, because that is what the variance between runs is of: where one
    run in four stalls, all samples together have its tail and nothing that tells how much of it
    was luck.
    """
    parts = between_runs(*sides)
    if not parts or drawn.interval is None or drawn.log_error is None:
        return drawn
    whole = add_up([Part(variance=drawn.log_error**2, freedom=drawn.blocks - 1), *parts])
    *below, above = (float(logs[np.isfinite(logs)].mean()) for logs in sides)
    centre, error = above - sum(below), math.sqrt(whole.variance)
    half = -float(special.stdtrit(whole.freedom, (1 - confidence) / 2)) * error
    interval = (math.exp(centre - half), math.exp(centre + half))
    return replace(drawn, interval=interval, log_error=error, freedom=whole.freedom)
