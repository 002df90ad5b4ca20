"""Trends and steps where the truth is known, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.stats.estimate import Floats
from reports.stats.steps import find_steps, segments
from reports.stats.trend import find_trend, mann_kendall

SERIES = st.lists(st.integers(-1000, 1000), min_size=12, max_size=40)


def noise(random: np.random.Generator, n: int, correlation: float) -> Floats:
    """An AR(1) series of standard deviation 1."""
    values = random.normal(size=n)
    for at in range(1, n):
        values[at] = correlation * values[at - 1] + math.sqrt(1 - correlation**2) * values[at]
    return values


def times(n: int) -> Floats:
    return np.arange(n) / n


@given(SERIES)
def test_the_slope_is_that_of_theil_and_sen(told: list[int]) -> None:
    values = np.array(told, float)
    expected = stats.theilslopes(values, times(len(values)), alpha=0.9)
    found = find_trend(times(len(values)), values, confidence=0.9)
    assert found.slope == pytest.approx(expected.slope)
    if found.correlation == 0 and len(set(told)) == len(told) and found.interval:
        # Without ties the variance is the same; ranks may be rounded to the next.
        ordered = np.sort(np.subtract.outer(values, values)[np.tril_indices(len(values), -1)])
        step = np.diff(ordered).max() * len(values)
        assert found.interval[0] <= expected.low_slope + step
        assert found.interval[1] >= expected.high_slope - step


def test_a_series_without_correlation_needs_no_correction() -> None:
    values = np.array([3, 1, 4, 1.5, 5, 9, 2, 6, 5.3, 3.5, 8, 9.7, 9.3, 2.3, 8.4, 6.2])
    s = stats.kendalltau(np.arange(16), values).statistic * 120
    plain = 2 * stats.norm.sf((s - 1) / math.sqrt(16 * 15 * 37 / 18))
    assert mann_kendall(values) == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("n", [24, 96])
def test_the_interval_holds_the_slope_as_often_as_it_says(n: int, correlation: float) -> None:
    random = np.random.default_rng(7)
    held = told = 0
    for _ in range(250):
        values = 2 * times(n) + noise(random, n, correlation)
        interval = find_trend(times(n), values, confidence=0.9).interval
        told += interval is not None
        held += interval is None or interval[0] <= 2 <= interval[1]
    assert 0.84 <= held / 250 <= 0.97
    assert told >= 0.7 * 250


def test_the_corrected_test_alarms_rarely_where_plain_kendall_does_often() -> None:
    random = np.random.default_rng(8)
    series = [noise(random, 96, 0.5) for _ in range(200)]
    plain = sum(stats.kendalltau(np.arange(96), values).pvalue < 0.05 for values in series)
    corrected = sum(mann_kendall(values) < 0.05 for values in series)
    assert plain > 40
    assert corrected < 0.75 * plain


@pytest.mark.parametrize("n", [24, 96])
@pytest.mark.parametrize("rise", [0.0, 0.3])
@pytest.mark.parametrize("correlation", [0.0, 0.4])
def test_a_step_is_found_where_it_is_and_nowhere_else(
    n: int, rise: float, correlation: float
) -> None:
    random = np.random.default_rng(9)
    at, found, false = times(n), 0, 0
    for _ in range(40):
        values = rise * at + 0.04 * noise(random, n, correlation)
        false += bool(find_steps(at, values, least=0.05))
        steps = find_steps(at, values + 0.3 * (at >= 0.5), least=0.05)
        found += [abs(step.index - n // 2) <= 1 for step in steps] == [True]
    assert false <= 3
    assert found >= 32


def test_a_slope_between_steps_is_not_the_step() -> None:
    at = times(48)
    values = 0.2 * at + 0.5 * (at >= 0.5) + 0.01 * noise(np.random.default_rng(1), 48, 0)
    whole = find_trend(at, values, confidence=0.9)
    between = find_trend(
        at, values, segment=segments(48, find_steps(at, values, least=0.05)), confidence=0.9
    )
    assert whole.slope > 0.5
    assert between.slope == pytest.approx(0.2, abs=0.05)
