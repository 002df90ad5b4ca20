"""The limit that the next value must not be worse than."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.prediction import LEAST_VALUES, prediction_limit

NIGHTS = np.array([100.0, 103, 97, 101, 99, 102, 98, 100, 104, 96, 100, 101])


def limit(values: np.ndarray[tuple[int], np.dtype[np.float64]], **told: float) -> float:
    options = {"least": 0.0, "least_share": 0.05} | told
    found = prediction_limit(values, [], more_is_worse=True, **options)
    assert found is not None
    return found


def test_too_few_values_expect_nothing() -> None:
    few = NIGHTS[: LEAST_VALUES - 1]
    assert prediction_limit(few, [], more_is_worse=True, least=0, least_share=0.05) is None


def test_it_is_above_the_worst_and_above_what_matters() -> None:
    assert limit(NIGHTS) > 104
    assert limit(np.full(12, 100.0)) == pytest.approx(105)
    assert limit(np.full(12, 100.0), least=30) == pytest.approx(130)
    worst = NIGHTS.copy()
    worst[3] = 190
    assert limit(worst) == pytest.approx(190)


def test_of_a_level_of_nothing_only_the_least_difference_counts() -> None:
    assert limit(np.zeros(12), least=0.002) == pytest.approx(0.002)


def test_less_is_worse_is_its_mirror() -> None:
    low = prediction_limit(NIGHTS, [], more_is_worse=False, least=0, least_share=0.05)
    assert low is not None
    assert 100.0 - low == pytest.approx(limit(200.0 - NIGHTS) - 100.0)


def test_nights_before_a_change_tell_how_much_nights_differ() -> None:
    changed = np.concatenate([NIGHTS, NIGHTS[:3] * 2])
    found = prediction_limit(changed, [len(NIGHTS)], more_is_worse=True, least=0, least_share=0.05)
    assert found is not None
    assert 215 < found < 300


@given(st.lists(st.floats(1, 1e6), min_size=LEAST_VALUES, max_size=40), st.floats(0.01, 100))
def test_it_follows_the_unit(values: list[float], unit: float) -> None:
    assert limit(np.array(values) * unit) == pytest.approx(limit(np.array(values)) * unit)
