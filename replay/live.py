"""Live figures of a run, counted on its workers: delays, errors, 1.0's times beside 2.0's.

All of it is one array of counts, so parts add up to the whole. Its rows are histograms: two of
delays, one that counts ends, and three of times for each group of statements. Their buckets are
fixed and logarithmic: a percentile of them is within 3 % of the exact one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay import samples
from replay.offsets import Ints

BUCKETS = 400
"""The first holds times below a microsecond, the last those beyond three hours."""
_RATIO = 1.06

LAG, BACKLOG, ENDS, GROUPS = range(4)
"""Rows: the tool's delay sent − max(due, ready), 2.0's delay ready − due where positive, ends, and
the first of the groups'. In the row of ends stand all statements and then errors by cause."""
CAPTURED, RESPONSE, SERVICE = range(3)
"""Rows of a group, of what ended ok and was timed by 1.0: there, done − due, done − sent."""
CAUSES = {
    "08": "connection", "0A": "unsupported", "22": "data", "25": "transaction", "28": "login",
    "40": "rolled back", "42": "names or syntax", "53": "resources", "54": "limits",
    "55": "in use", "57": "cancelled", "XX": "internal", "": "other",
}  # fmt: skip
"""Classes of SQLSTATE in words."""
_PLACES = {sqlclass: place for place, sqlclass in enumerate(CAUSES, start=1)}
_MOST = 2**40


def figures(groups: int) -> Ints:
    """Nothing counted yet."""
    return np.zeros((GROUPS + 3 * groups, BUCKETS), dtype=np.int64)


def percentiles_us(counts: Ints, share: float) -> npt.NDArray[np.float64]:
    """The least time that `share` of those in each last axis do not exceed; NaN without any."""
    so_far = counts.cumsum(axis=-1)
    rank = np.ceil(share * so_far[..., -1:] - 1e-9)
    bucket = (so_far >= rank).argmax(axis=-1)
    times_us = np.where(bucket, _RATIO ** (bucket - 0.5), 0.0)
    return np.where(so_far[..., -1], times_us, np.nan)


def pack(counts: Ints) -> list[list[int]]:
    """Where counts are not zero in the flattened array, and what they are; plain JSON."""
    places = np.flatnonzero(counts)
    return [places.tolist(), counts.reshape(-1)[places].tolist()]


def unpack(packed: object, *, groups: int) -> Ints:
    """The inverse of `pack`.

    Raises:
        ValueError, TypeError, OverflowError: it is nothing that `pack` gives.
    """
    told, counts = np.array(packed, dtype=np.int64), figures(groups)
    if (
        told.ndim != 2
        or len(told) != 2
        or ((told < 0) | (told > [[counts.size - 1], [_MOST]])).any()
    ):
        raise ValueError("not places and counts")
    np.add.at(counts.reshape(-1), told[0], told[1])
    return counts


class Feed:
    """Counts a worker's samples, and hands over what was counted since it last did."""

    def __init__(self, planned: samples.Planned, codes: Ints, *, groups: int) -> None:
        """`codes` holds the group of each planned statement."""
        self._due_us = np.sort(planned.due_us)
        self._captured_us = pa.compute.fill_null(planned.captured_us, samples.NONE).to_numpy(
            zero_copy_only=False
        )
        self._codes = codes
        self._groups = groups
        self._counts = figures(groups)

    def count(self, rows: samples.Rows, notes: samples.Notes) -> None:
        """Add statements that ended."""
        sent = rows[rows[:, samples.SENT_US] != samples.NONE]
        due_us, ready_us = sent[:, samples.DUE_US], sent[:, samples.READY_US]
        self._add(LAG, sent[:, samples.SENT_US] - np.maximum(due_us, ready_us))
        self._add(BACKLOG, ready_us - due_us)
        status = rows[:, samples.STATUS] % samples.DIVERGED
        self._counts[ENDS, 0] += len(rows)
        for index in rows[(status == samples.ERROR) | (status == samples.TIMEOUT), 0].tolist():
            sqlstate = notes[index][0] if index in notes else None
            self._counts[ENDS, _PLACES.get((sqlstate or "")[:2], len(CAUSES))] += 1
        captured_us = self._captured_us[rows[:, samples.INDEX]]
        timed = (status == samples.OK) & (captured_us != samples.NONE)
        rows, done_us = rows[timed], rows[timed, samples.DONE_US]
        first = GROUPS + 3 * self._codes[rows[:, samples.INDEX]]
        self._add(first + CAPTURED, captured_us[timed])
        self._add(first + RESPONSE, done_us - rows[:, samples.DUE_US])
        self._add(first + SERVICE, done_us - rows[:, samples.SENT_US])

    def _add(self, row: int | Ints, times_us: Ints) -> None:
        bucket = np.log(np.maximum(times_us, 1)) / math.log(_RATIO) + 1
        bucket = np.where(times_us < 1, 0, np.minimum(bucket, BUCKETS - 1))
        np.add.at(self._counts.reshape(-1), row * BUCKETS + bucket.astype(np.int64), 1)

    def take(self, *, now_us: int) -> dict[str, Any]:
        """How many statements are `due` by now in all, and the `counts` since the last call."""
        counts, self._counts = self._counts, figures(self._groups)
        due = int(np.searchsorted(self._due_us, now_us, side="right"))
        return {"due": due, "counts": pack(counts)}
