"""The bracket of the knee, the point in it, and where a search looks next."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.knee import MOST, WITHIN, Level, find_knee, log_over, next_scale


def level(scale: float, outcome: str, pressure: float | None = None) -> Level:
    return Level(scale=scale, outcome=outcome, pressure=pressure)


def test_the_knee_is_where_the_worst_gate_meets_its_limit() -> None:
    knee = find_knee([level(1, "pass", -2), level(2, "pass", -0.5), level(4, "fail", 0.5)])
    assert (knee.low, knee.high) == (2, 4)
    assert knee.value == pytest.approx(math.sqrt(8))


def test_an_undecided_level_narrows_the_point_and_not_the_bracket() -> None:
    levels = [level(2, "pass", -1), level(3, "undecided", -0.01), level(4, "fail", 1)]
    knee = find_knee(levels)
    assert (knee.low, knee.high) == (2, 4)
    assert knee.value == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(
    ("levels", "bracket"),
    [
        ([], (None, None)),
        ([level(1, "pass", -1)], (1, None)),
        ([level(1, "fail", 1)], (None, 1)),
        ([level(1, "undecided"), level(2, "fail", 1)], (None, 2)),
        ([level(1, "invalid")], (None, None)),
        # More load never helps: what passed beyond a failure passed by luck.
        ([level(1, "pass", -1), level(2, "fail", 1), level(3, "pass", -1)], (1, 2)),
        ([level(1, "pass", -1), level(2, "invalid", 3)], (1, None)),
    ],
    ids=["nothing", "held", "broke", "undecided below", "invalid", "luck", "ceiling"],
)
def test_brackets(levels: list[Level], bracket: tuple[float | None, float | None]) -> None:
    knee = find_knee(levels)
    assert (knee.low, knee.high) == bracket


def test_a_count_that_must_be_none_has_a_pressure() -> None:
    assert log_over(0, 0) == -MOST
    assert log_over(3, 0) == MOST
    assert log_over(2, 1) == pytest.approx(math.log(2))
    knee = find_knee([level(2, "pass", -MOST), level(3, "fail", MOST)])
    assert knee.value == pytest.approx(math.sqrt(6))


@given(truth=st.floats(0.2, 100), high=st.floats(2, 64), slope=st.floats(0.1, 20))
def test_a_search_ends_with_the_truth_in_a_narrow_bracket(
    truth: float, high: float, slope: float
) -> None:
    levels: list[Level] = []
    while (scale := next_scale(levels, low=1, high=high)) is not None:
        over = max(-MOST, min(MOST, slope * math.log(scale / truth)))
        levels.append(level(scale, "fail" if over > 0 else "pass", over))
        assert len(levels) <= 12
    knee = find_knee(levels)
    if truth < 1:
        assert (knee.low, knee.high) == (None, 1)
    elif truth >= high:
        assert (knee.low, knee.high) == (high, None)
    else:
        assert knee.low is not None and knee.high is not None and knee.value is not None
        assert knee.low <= truth <= knee.high
        assert knee.high / knee.low <= WITHIN
        assert knee.low <= knee.value <= knee.high
