"""Change points: a public series, planted steps, silence without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.change_points import LEAST_SIDE, _best_split, change_points
from reports.stats.estimate import Floats

PUBLIC = Path(__file__).parent / "tigerbeetle.csv"


def _public() -> Floats:
    lines = [line for line in PUBLIC.read_text("utf-8").splitlines() if not line.startswith("#")]
    return np.array([float(value) for value in " ".join(lines).split(",")])


def _nights(
    seed: int, levels: list[tuple[int, float]], *, noise: float = 0.03, log: bool = False
) -> Floats:
    """Nights around each level, (how many, level) in turn."""
    level = np.repeat([value for _, value in levels], [nights for nights, _ in levels])
    drawn = np.random.default_rng(seed).standard_normal(len(level)) * noise
    return np.asarray(level * (np.exp(drawn) if log else 1 + drawn), dtype=np.float64)


@pytest.mark.parametrize("max_p", [0.01, 0.001])
def test_the_public_series_changes_where_it_is_known_to(max_p: float) -> None:
    points = change_points(_public(), max_p=max_p, min_magnitude=0.05, window=30)
    assert [point.index for point in points] == [15, 71]
    assert [round(point.change, 2) for point in points] == [-0.08, 0.21]


def test_an_old_change_point_stays_when_nights_are_added() -> None:
    series = _public()
    for nights in range(120, 366, 49):
        assert [point.index for point in change_points(series[:nights])] == [15, 71]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_at_most_one_in_200_series_without_change_shows_one(noise: float, log: bool) -> None:
    alarms = sum(
        bool(change_points(_nights(seed, [(40, 100.0)], noise=noise, log=log)))
        for seed in range(200)
    )
    assert alarms <= 1


@pytest.mark.parametrize("factor", [0.8, 1.2, 1.5])
def test_a_planted_change_is_found_two_nights_later(factor: float) -> None:
    found = 0
    for seed in range(40):
        points = change_points(_nights(seed, [(20, 100.0), (2, 100.0 * factor)]))
        found += [point.index for point in points] == [20]
    assert found >= 36


def test_a_rise_and_the_fall_after_it_are_two_changes() -> None:
    points = change_points(_nights(3, [(14, 100.0), (8, 130.0), (18, 100.0)]))
    assert [point.index for point in points] == [14, 22]
    assert points[0].before == pytest.approx(100, rel=0.03)
    assert points[0].after == points[1].before == pytest.approx(130, rel=0.03)
    assert points[0].change == pytest.approx(0.3, abs=0.05)


def test_a_change_below_the_magnitude_is_left_out() -> None:
    series = _nights(5, [(20, 100.0), (20, 103.0)], noise=0.002)
    assert change_points(series) == []
    assert [point.index for point in change_points(series, min_magnitude=0.02)] == [20]


def test_one_outlier_is_no_change() -> None:
    series = _nights(6, [(40, 100.0)])
    series[17] = 300
    assert change_points(series) == []


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([], []),
        ([5.0], []),
        ([5.0, 5.0, 9.0], []),
        ([5.0] * 30, []),
        ([0.0] * 9 + [4.0] * 9, [(9, np.inf)]),
        ([4.0] * 9 + [0.0] * 9, [(9, -1.0)]),
    ],
)
def test_edges(values: list[float], changes: list[tuple[int, float]]) -> None:
    points = change_points(np.array(values))
    assert [(point.index, point.change) for point in points] == changes


@given(st.lists(st.integers(0, 20), min_size=2 * LEAST_SIDE, max_size=12))
def test_the_split_is_that_of_the_definition(drawn: list[int]) -> None:
    values = np.array(drawn, dtype=np.float64)

    def distance(at: int, end: int) -> float:
        left, right = values[:at], values[at:end]
        across = np.abs(left[:, None] - right[None, :]).mean()
        inner = sum(
            np.abs(side[:, None] - side[None, :]).sum() / (len(side) * (len(side) - 1))
            for side in (left, right)
        )
        return float((2 * across - inner) * len(left) * len(right) / end)

    possible = [
        (at, end)
        for at in range(LEAST_SIDE, len(values) - LEAST_SIDE + 1)
        for end in range(at + LEAST_SIDE, len(values) + 1)
    ]
    found = _best_split(values)
    assert found in possible
    assert distance(*found) == pytest.approx(max(distance(*each) for each in possible), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_the_unit_does_not_matter(seed: int, unit: float) -> None:
    series = _nights(seed, [(12, 100.0), (8, 125.0)])
    points = [point.index for point in change_points(series)]
    assert [point.index for point in change_points(series * unit)] == points
