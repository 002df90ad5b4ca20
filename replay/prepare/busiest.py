"""The busiest window of a workload: the hour for which 2.0 must be big enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.errors import UsageError
from replay.offsets import Ints
from replay.workload import STATEMENTS, Workload

_TIMES = pa.schema([STATEMENTS.field(name) for name in ("started_at", "duration_us")])


class Busiest(NamedTuple):
    """A window, and how busy it is: statements, seconds, or statements at once."""

    since: datetime
    until: datetime
    amount: float
    by: str

    @property
    def in_words(self) -> str:
        """What a user is told."""
        unit = {"statements": "statements", "time": "s of 1.0's time", "concurrency": "at once"}
        amount = f"{self.amount:,.0f}" if self.by == "statements" else f"{self.amount:,.1f}"
        times = " to ".join(each.isoformat(timespec="seconds") for each in self[:2])
        return f"busiest by {self.by}: {times}, {amount} {unit[self.by]}"


def busiest_window(workload: Workload, *, length_s: float, by: str) -> Busiest:
    """The window of this length that is busiest by one of MEASURES, to the microsecond.

    The earliest of equals. Some window that is busiest begins where a statement does, ends with the
    last start or, by concurrency, where a statement ends; no others are looked at.

    Raises:
        UsageError: the workload is shorter than the window, or 1.0's durations are not known.
    """
    started_us, duration_us = _read_times(workload)
    length_us = round(length_s * 1e6)
    if not len(started_us) or started_us[-1] - started_us[0] < length_us:
        raise UsageError(
            f"`{workload.path}` is shorter than the {length_s:g} s that --busiest asks for",
            hint="give a shorter time, or capture a longer window",
        )
    if by != "statements" and not duration_us.any():
        raise UsageError(
            f"1.0's log gave `{workload.path}` no durations", hint="use --busiest-by statements"
        )
    last_us = started_us[-1] - length_us
    ends_us = started_us + duration_us if by == "concurrency" else started_us[-1:]
    begin_us = np.unique(np.concatenate([started_us, ends_us - length_us, [last_us]]))
    begin_us = begin_us[(begin_us >= started_us[0]) & (begin_us <= last_us)]
    if by == "concurrency":
        busy_us = _running_before(begin_us + length_us, started_us, duration_us)
        amounts = (busy_us - _running_before(begin_us, started_us, duration_us)) / length_us
    else:
        first, stop = (np.searchsorted(started_us, at) for at in (begin_us, begin_us + length_us))
        one = np.ones_like(started_us) if by == "statements" else duration_us
        total = np.concatenate([[0], np.cumsum(one)])
        amounts = (total[stop] - total[first]) / (1 if by == "statements" else 1e6)
    at = int(np.argmax(amounts))
    since_us = int(begin_us[at])
    return Busiest(_moment(since_us), _moment(since_us + length_us), float(amounts[at]), by)


def _running_before(moments_us: Ints, started_us: Ints, duration_us: Ints) -> Ints:
    """How long (n) statements had run in all by each moment, over each other."""
    ended_us = np.sort(started_us + duration_us)
    busy_us: Ints = np.zeros_like(moments_us)
    for edges_us, sign in ((np.sort(started_us), 1), (ended_us, -1)):
        before = np.searchsorted(edges_us, moments_us)
        # From an origin of our own: sums of moments since 1970 would overflow.
        shifted_us = edges_us - started_us[0]
        total_us = np.concatenate([[0], np.cumsum(shifted_us)])
        busy_us += sign * (before * (moments_us - started_us[0]) - total_us[before])
    return busy_us


def _read_times(workload: Workload) -> tuple[Ints, Ints]:
    def columns() -> Iterator[tuple[Ints, Ints]]:
        for batch in workload.statement_batches(_TIMES):
            started_us = pc.cast(batch["started_at"], "int64").to_numpy()
            yield started_us, pc.fill_null(batch["duration_us"], 0).to_numpy()

    parts = [*columns()] or [(np.empty(0, np.int64), np.empty(0, np.int64))]
    started_us, duration_us = (np.concatenate(part) for part in zip(*parts, strict=True))
    return started_us, duration_us


def _moment(since_1970_us: int) -> datetime:
    return datetime.fromtimestamp(since_1970_us // 1_000_000, UTC).replace(
        microsecond=since_1970_us % 1_000_000
    )
