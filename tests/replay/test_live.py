"""Live figures: parts add up to the whole, percentiles are near the exact ones, nothing raises."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.live import BUCKETS, CAUSES, ENDS, GROUPS, LAG, Feed, pack, percentiles_us, unpack
from replay.samples import (
    CANCELLED,
    DIVERGED,
    ERROR,
    FIELDS,
    NONE,
    OK,
    SENT_US,
    SKIPPED,
    TIMEOUT,
    Notes,
    Rows,
)
from replay.swarm.board import DELAYS, RECENT, Board
from replay.timetable import Timetable

GROUPED = [("select", "a"), ("select", "b"), ("insert", "c")]
PLANNED = 60
CAPTURED_US = [None if n % 7 == 3 else 1 + n * n * 900 for n in range(PLANNED)]
GAUGES = {"due": 7, "in_flight": 2, "open_sessions": 3, "memory_bytes": 9}

times_us = st.integers(0, 2**33)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=2), each),
    max_leaves=12,
)


@st.composite
def ends(draw: st.DrawFn) -> list[tuple[list[int], str | None]]:
    """Rows of samples and SQLSTATEs, of each planned statement at most one."""
    told = []
    for index in draw(st.lists(st.integers(0, PLANNED - 1), unique=True)):
        due_us, ready_us, lag_us, service_us = (draw(times_us) for _ in range(4))
        sent_us = max(due_us, ready_us) + lag_us
        status = draw(st.sampled_from([OK, ERROR, TIMEOUT, CANCELLED, SKIPPED]))
        sqlstate = None
        if status == SKIPPED:
            ready_us = sent_us = done_us = NONE
        else:
            done_us = sent_us + service_us
            sqlstate = draw(st.sampled_from(["42P01", "57014", "P0001", None]))
        status += draw(st.sampled_from([0, DIVERGED]))
        told.append(([index, 0, due_us, ready_us, sent_us, NONE, done_us, status, NONE], sqlstate))
    return told


def feed(sessions: int = PLANNED, *, pooled: bool = False) -> Feed:
    """Of sessions that ask once, every quarter of a second; statements by row backwards."""
    timetable = Timetable(
        row=np.arange(PLANNED - 1, PLANNED - 1 - sessions, -1),
        due_us=np.arange(sessions) * (0 if pooled else 250_000),
        starts=np.arange(sessions + 1),
        clone=np.zeros(sessions, dtype=np.int64),
        think_us=np.zeros(sessions if pooled else 0, dtype=np.int64),
    )
    statements = pa.table({"duration_us": pa.array(CAPTURED_US, pa.int64())})
    return Feed(timetable, statements, np.arange(sessions) % len(GROUPED), len(GROUPED))


def as_rows(told: list[tuple[list[int], str | None]]) -> tuple[Rows, Notes]:
    rows = np.array([[*row, NONE] for row, _ in told], dtype=np.int64).reshape(-1, FIELDS)
    return rows, {(row[0], 0): (sqlstate, "text", None) for row, sqlstate in told if sqlstate}


def board(**how: Any) -> Board:
    return Board(GROUPED, **{"length_s": 10.0, "lag_budget_ms": 250.0} | how)


def shown(board: Board) -> list[dict[str, Any]]:
    """All rows of both tables but for those of single workers."""
    return [*board.delays()[:2], *board.beside()]


@settings(max_examples=40)
@given(ends(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=RECENT))
def test_parts_add_up_to_the_whole(
    told: list[tuple[list[int], str | None]], cuts: list[tuple[int, int]]
) -> None:
    whole, parts, one = board(), board(), feed()
    one.count(*as_rows(told))
    whole.take(0, one.take(now_us=10**9) | {"in_flight": 0, "open_sessions": 0, "memory_bytes": 0})
    feeds = [feed() for _ in range(3)]
    begin = 0
    for end, shard in [*sorted(cuts), (len(told), 0)]:
        feeds[shard].count(*as_rows(told[begin:end]))
        counted = json.loads(json.dumps(feeds[shard].take(now_us=10**9)))
        parts.take(
            shard, counted | {"due": 0, "in_flight": 0, "open_sessions": 0, "memory_bytes": 0}
        )
        begin = max(begin, end)
    summed = shown(parts)
    summed[0]["due"] = PLANNED
    assert summed == shown(whole)
    assert max(each.max_lag_us for each in feeds) == one.max_lag_us


@given(st.lists(times_us, min_size=1), st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_within_three_percent_of_the_exact_one(
    lags_us: list[int], percent: int
) -> None:
    rows = np.zeros((len(lags_us), FIELDS), dtype=np.int64)
    rows[:, SENT_US] = lags_us
    one = feed()
    one.count(rows, {})
    counts = unpack(one.take(now_us=0)["counts"], groups=len(GROUPED))
    exact = sorted(lags_us)[math.ceil(Fraction(percent, 100) * len(lags_us)) - 1]
    assert percentiles_us(counts[LAG], percent / 100) == pytest.approx(exact, rel=0.03)
    assert one.max_lag_us == max(lags_us)


def test_each_figure_is_what_its_name_says() -> None:
    one, seen = feed(), board(lag_budget_ms=5.0)
    # Four of the first group, of which 1.0 timed three, and two that failed.
    told: list[tuple[list[int], str | None]] = [
        ([0, 0, 1_000_000, 900_000, 1_001_000, NONE, 1_011_000, OK, 1], None),
        ([3, 0, 2_000_000, 2_500_000, 2_501_000, NONE, 2_521_000, OK + DIVERGED, 1], None),
        ([6, 0, 3_000_000, 2_900_000, 3_001_000, NONE, 3_031_000, OK, 1], None),
        ([9, 0, 3_500_000, 3_500_000, 3_501_000, NONE, 3_531_000, OK, 1], None),
        ([1, 0, 4_000_000, 4_000_000, 4_001_000, NONE, 4_002_000, ERROR, NONE], "53300"),
        ([2, 0, 4_000_000, NONE, NONE, NONE, NONE, ERROR, NONE], "08001"),
    ]
    one.count(*as_rows(told))
    seen.take(
        4, one.take(now_us=5_000_000) | {"in_flight": 2, "open_sessions": 3, "memory_bytes": 9}
    )
    whole, lately = seen.delays()
    # Those due at 0, 0.25 … 5 s.
    assert (whole["due"], whole["sent"], whole["ended"], whole["open_sessions"]) == (21, 7, 6, 3)
    assert (lately["sent"], lately["ended"], lately["errors"]) == (5, 6, 2)
    assert whole["errors"] == 2
    assert whole["in_words"] == "2.0 is behind, 1 connection errors, 1 resource errors"
    assert whole["lag_p50_ms"] == pytest.approx(1, rel=0.03)
    assert whole["backlog_p50_ms"] == 0
    assert whole["backlog_max_ms"] == pytest.approx(500, rel=0.03)
    everything, group = seen.beside()
    assert (everything["name"], group["name"]) == (" all statements", "select a")
    assert everything["statements"] == group["statements"] == 3
    captured_ms = sorted(cast(int, CAPTURED_US[59 - n]) / 1e3 for n in (3, 6, 9))
    assert group["captured_p50_ms"] == pytest.approx(captured_ms[1], rel=0.03)
    assert group["response_p50_ms"] == pytest.approx(31, rel=0.03)
    assert group["response_p99_ms"] == pytest.approx(521, rel=0.03)
    assert group["service_p50_ms"] == group["service_p95_ms"] == pytest.approx(30, rel=0.03)


def test_before_anything_is_told_the_tables_say_so() -> None:
    whole, _ = board().delays()
    assert (whole["in_words"], whole["lag_p99_ms"], whole["sent"]) == ("nothing sent", None, 0)
    assert [row["statements"] for row in board().beside()] == [0]
    assert board().line().startswith("0% 0 sent, 0 open")


@given(
    st.lists(st.integers(1, 10**6), min_size=4, max_size=4),
    st.lists(st.integers(0, BUCKETS - 1), min_size=3, max_size=3),
)
def test_the_line_fits_and_tells(counts: list[int], buckets: list[int]) -> None:
    seen = board()
    seen.zero_s = -1e9
    figures = np.zeros((GROUPS + 3 * len(GROUPED), BUCKETS), dtype=np.int64)
    figures[LAG, buckets[0]] = figures[1, buckets[1]] = counts[0]
    figures[GROUPS : GROUPS + 3, buckets[2]] = counts[0]
    figures[ENDS, :2] = counts[0], counts[1]
    gauges = {"due": counts[2], "in_flight": 0, "open_sessions": counts[3] // 100}
    seen.take(0, GAUGES | gauges | {"counts": pack(figures)})
    line = seen.line()
    assert len(line) <= 120
    assert line.startswith(f"100% {counts[0]:,}/{counts[2]:,} sent, ")
    assert f"{counts[1]:,} errors" in line


@given(jsons | st.lists(st.lists(st.integers(-5, 6000)), max_size=3))
def test_counts_of_a_stranger_raise_nothing(counts: Any) -> None:
    seen = board()
    seen.take(0, GAUGES | {"counts": counts})
    assert len(shown(seen)) >= 3
    assert len(seen.line()) <= 120


NONSENSE: list[Any] = [None, 5, [], [[1]], [[1], [2], [3]], [[1, 2], [1]], [[-1], [1]], [[1], [-1]]]
NONSENSE += [[[10**6], [1]], [[10**30], [1]], [["x"], [1]], [[1.5], [float("nan")]], [{}, {}]]


@pytest.mark.parametrize("counts", NONSENSE, ids=repr)
def test_what_makes_no_sense_is_not_counted(counts: Any) -> None:
    seen = board()
    seen.take(0, GAUGES | {"counts": counts})
    assert seen.delays() == board().delays()
    assert seen.beside() == board().beside()


@pytest.mark.parametrize(
    ("sessions", "pooled", "due"), [(PLANNED, False, 5), (0, False, 0), (PLANNED, True, 0)]
)
def test_what_is_due_is_counted_of_a_timetable(sessions: int, pooled: bool, due: int) -> None:
    told = feed(sessions, pooled=pooled).take(now_us=1_000_000)
    assert told == {"due": due, "counts": [[], []]}


def test_a_run_of_unknown_length_says_how_long_it_runs() -> None:
    known, unknown = board(), board(length_s=0.0)
    assert (known.passed, unknown.passed) == ("0%", "0 s")
    known.zero_s = unknown.zero_s = -1e9
    assert known.passed == "100%"
    assert unknown.passed.endswith(" s")


def test_causes_have_room_in_their_row() -> None:
    assert len(CAUSES) < BUCKETS
    assert set(DELAYS) >= {"lag_p99_ms", "backlog_p99_ms", "response_p95_ms", "captured_p95_ms"}
