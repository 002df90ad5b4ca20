"""The server's clock against ours: without it no row could be laid beside a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, cast

import numpy as np

from replay.inside.views import Missing, Views
from replay.offsets import Ints

_ASKS = 10


class Reading(NamedTuple):
    """How far the server's clock is ahead of ours, within the error, at a moment of ours."""

    at_us: int
    offset_us: int
    error_us: int


def read_clock(views: Views) -> Reading:
    """Ask ten times; the shortest way there and back says most, and half of it is the error.

    SYSDATE is when the question's transaction began; GETDATE() would leave out the fraction of the
    second (Amazon Redshift developer guide, "SYSDATE function"). PostgreSQL has another word.
    """
    question = "SELECT SYSDATE"
    try:
        views.rows(question)
    except Missing:
        question = "SELECT clock_timestamp() AT TIME ZONE 'UTC'"
    readings = []
    for _ in range(_ASKS):
        asked_us, begun_ns = time.time_ns() // 1_000, time.monotonic_ns()
        told = views.rows(question).column(0)[0].as_py()
        half_us = (time.monotonic_ns() - begun_ns) // 2_000 + 1
        theirs = told if isinstance(told, datetime) else datetime.fromisoformat(told)
        theirs_us = round(theirs.replace(tzinfo=UTC).timestamp() * 1e6)
        readings.append(Reading(asked_us, theirs_us - asked_us - half_us, half_us))
    return min(readings, key=lambda reading: reading.error_us)


def ours_us(theirs_us: Ints, readings: Sequence[Reading]) -> Ints:
    """Moments (n) of the server's clock by ours, since 1970; it drifts evenly between readings."""
    at_us, offset_us, _ = zip(*readings, strict=True)
    return cast(Ints, theirs_us - np.rint(np.interp(theirs_us, at_us, offset_us)).astype(np.int64))
