"""When each statement of a workload was asked, as the dials bend it: window, think time, idle time.

Offsets are microseconds from the first statement; pure, on arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def never_decreasing(values: Ints, bounds: Ints) -> Ints:
    """The largest value so far within each session; `bounds` tells where each begins, and the end.

    Stamps of one session may lie out of order; nobody can send before their last answer.
    """
    # One running maximum over all sessions, each lifted above the one before it.
    if not len(values):
        return values
    lift = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)) * (int(values.max()) + 1)
    highest: Ints = np.maximum.accumulate(values + lift) - lift
    return highest


def with_think(offset_us: Ints, duration_us: Ints, bounds: Ints, *, factor: float) -> Ints:
    """Sessions whose users think `factor` times as long between an answer and the next statement.

    Answers take what they took on 1.0, and sessions begin when they did.
    """
    if factor == 1 or not len(offset_us):
        return offset_us
    gap_us = np.diff(offset_us, prepend=0)
    answer_us = np.minimum(np.concatenate([[0], duration_us[:-1]]), gap_us)
    step_us = (answer_us + (gap_us - answer_us) * factor).astype(np.int64)
    first = bounds[:-1]
    step_us[first] = 0
    walked_us = np.cumsum(step_us)
    lengths = np.diff(bounds)
    bent: Ints = walked_us - np.repeat(walked_us[first] - offset_us[first], lengths)
    return bent


def think_times(offset_us: Ints, duration_us: Ints, bounds: Ints) -> Ints:
    """Time between the end of each answer and the next statement of its session; first ones: 0."""
    ended_us = np.concatenate([[0], (offset_us + duration_us)[:-1]])
    thought_us: Ints = np.maximum(offset_us - ended_us, 0)
    thought_us[bounds[:-1][bounds[:-1] < len(thought_us)]] = 0
    return thought_us


def without_idle(offset_us: Ints, duration_us: Ints, *, most_us: int) -> Ints:
    """The same with stretches in which 1.0 answered nobody cut to `most_us`."""
    if not len(offset_us):
        return offset_us
    order = np.argsort(offset_us, kind="stable")
    starts = offset_us[order]
    busy_until = np.maximum.accumulate(starts + duration_us[order])
    idle_us = np.zeros(len(starts), dtype=np.int64)
    idle_us[1:] = np.maximum(starts[1:] - busy_until[:-1], 0)
    saved_us = np.cumsum(np.maximum(idle_us - most_us, 0))
    shorter = np.empty(len(starts), dtype=np.int64)
    shorter[order] = starts - saved_us
    return shorter
