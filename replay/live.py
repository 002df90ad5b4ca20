"""Live figures, counted on workers: delays, errors, and 1.0's times beside 2.0's.

One array of counts, so parts add up to the whole; its rows are histograms in fixed logarithmic
buckets, from which a percentile is within 3 % of the exact one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import samples
from replay.offsets import Ints
from replay.timetable import Timetable

BUCKETS = 400  # the first for times below a microsecond, the last for those beyond three hours
LAG, BACKLOG, ENDS, ANSWERS, GROUPS = range(5)
"""Rows: the tool's delay, sent − max(due, ready); 2.0's, ready − due where positive; what ended and
then errors by cause; done − due of answers and timeouts; the first of the groups' rows."""
CAPTURED, RESPONSE, SERVICE = range(3)
"""Rows of a group, of what ended ok and was timed by 1.0: there, done − due, done − sent."""
GAUGES = ("due", "in_flight", "open_sessions", "memory_bytes")
CAUSES = {
    "08": "connection", "22": "data", "28": "login", "40": "rollback", "42": "name or syntax",
    "53": "resource", "57": "cancellation", "": "other",
}  # fmt: skip
"""Classes of SQLSTATE in words."""
_PLACES = {sqlclass: place for place, sqlclass in enumerate(CAUSES, start=1)}
_RATIO = 1.06
_TICK_US = 100_000


def figures(groups: int) -> Ints:
    """Nothing counted yet."""
    return np.zeros((GROUPS + 3 * groups, BUCKETS), dtype=np.int64)


def percentiles_us(counts: Ints, share: float) -> npt.NDArray[np.float64]:
    """The least time that `share` of those in each last axis do not exceed; NaN without any."""
    so_far = counts.cumsum(axis=-1)
    # A share of a whole number may come out a hair above the whole number that it is.
    bucket = (so_far >= np.ceil(share * so_far[..., -1:] - 1e-9)).argmax(axis=-1)
    times_us = np.where(bucket, _RATIO ** (bucket - 0.5), 0.0)
    return np.where(so_far[..., -1], times_us, np.nan)


def pack(counts: Ints) -> list[list[int]]:
    """Where counts are not zero in the flattened array, and what they are; plain JSON."""
    places = np.flatnonzero(counts)
    return [places.tolist(), counts.reshape(-1)[places].tolist()]


def unpack(packed: object, *, groups: int) -> Ints:
    """The inverse of `pack`.

    Raises:
        ValueError, TypeError, OverflowError, IndexError: it is nothing that `pack` gives.
    """
    told, counts = np.array(packed, dtype=np.int64), figures(groups)
    if (told < 0).any():
        raise ValueError("neither a place nor a count")
    np.add.at(counts.reshape(-1), *told)
    return counts


class Feed:
    """Counts a worker's samples, and hands over what it counted since it last did."""

    def __init__(self, timetable: Timetable, statements: pa.Table, codes: Ints, size: int) -> None:
        """`codes` holds the group of each planned statement, of as many groups as `size` says."""
        self.max_lag_us = 0
        # A pool's statements are never due, and there may be more workers than sessions.
        pooled = len(timetable.think_us) and not timetable.due_us.any()
        due_us = timetable.due_us[: 0 if pooled else None]
        self._due = np.bincount(due_us // _TICK_US, minlength=1).cumsum()
        self._row = timetable.row
        self._captured_us = statements["duration_us"]
        self.codes = codes
        self._counts = figures(size)

    def count(self, rows: samples.Rows, notes: samples.Notes) -> None:
        """Add statements that ended."""
        index, clone, due_us, ready_us, sent_us, _, done_us, status, *_ = rows.T
        sent, status = sent_us != samples.NONE, status % samples.DIVERGED
        lag_us = (sent_us - np.maximum(due_us, ready_us))[sent]
        self.max_lag_us = max(self.max_lag_us, int(lag_us.max(initial=0)))
        self._add(LAG, lag_us)
        self._add(BACKLOG, (ready_us - due_us)[sent])
        self._counts[ENDS, 0] += len(rows)
        answered = (status == samples.OK) | (status == samples.TIMEOUT)
        self._add(ANSWERS, (done_us - due_us)[answered & sent])
        failed = (status == samples.ERROR) | (status == samples.TIMEOUT)
        for each in zip(index[failed].tolist(), clone[failed].tolist(), strict=True):
            sqlclass = (notes.get(each, (None,))[0] or "")[:2]
            self._counts[ENDS, _PLACES.get(sqlclass, len(CAUSES))] += 1
        # What 1.0 did not time is NaN here.
        captured_us = self._captured_us.take(pa.array(self._row[index])).to_numpy()
        timed = (status == samples.OK) & (captured_us >= 0)
        first = GROUPS + 3 * self.codes[index[timed]]
        for row, times_us in enumerate((captured_us, done_us - due_us, done_us - sent_us)):
            self._add(first + row, times_us[timed])

    def _add(self, row: int | Ints, times_us: Ints) -> None:
        bucket = np.log(np.maximum(times_us, 1)) / math.log(_RATIO) + 1
        bucket = np.where(times_us < 1, 0, np.minimum(bucket, BUCKETS - 1))
        np.add.at(self._counts.reshape(-1), row * BUCKETS + bucket.astype(np.int64), 1)

    def take(self, *, now_us: int) -> dict[str, Any]:
        """How many statements are `due` by now in all, and the `counts` since the last call."""
        counts, self._counts = self._counts, np.zeros_like(self._counts)
        due = self._due[: max(0, now_us) // _TICK_US + 1][-1]
        return {"due": int(due), "counts": pack(counts)}
