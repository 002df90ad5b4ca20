"""Quantiles and their intervals against numpy and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as oracle

from reports.stats.quantiles import (
    estimate_quantile,
    nearest_rank,
    needed_for_margin,
    printable,
    quantile,
    quantile_interval,
    samples_for,
    share_interval,
)


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=300),
    st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]),
)
def test_quantile_is_numpys_inverted_cdf(values: list[int], p: float) -> None:
    ordered = np.sort(np.array(values, dtype=np.int64))
    below = (ordered <= quantile(ordered, p)).mean()
    assert quantile(ordered, p) in values
    assert below >= p - 1e-9
    assert quantile(ordered, p) == np.quantile(ordered, p, method="inverted_cdf")


@pytest.mark.parametrize(
    ("n", "p", "rank"),
    [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (100, 0.95, 95), (100, 0.99, 99), (1000, 0.999, 999)],
)
def test_nearest_rank_is_not_moved_by_rounding(n: int, p: float, rank: int) -> None:
    assert nearest_rank(n, p) == rank


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_quantile_interval_agrees_with_scipy(p: float) -> None:
    values = np.sort(np.random.default_rng(3).lognormal(11, 1, 10_000).astype(np.int64))
    low, high = quantile_interval(len(values), p, confidence=0.95)
    # The published types do not know what this returns.
    known: Any = oracle.quantile_test(values, q=0, p=p).confidence_interval(0.95)
    assert low is not None
    assert high is not None
    assert (values[low - 1], values[high - 1]) == (known.low, known.high)


@pytest.mark.parametrize(("n", "p"), [(5, 0.5), (71, 0.95), (367, 0.99)])
def test_a_sample_too_small_has_no_upper_bound(n: int, p: float) -> None:
    assert quantile_interval(n, p, confidence=0.95)[1] is None
    assert quantile_interval(n + 1, p, confidence=0.95)[1] is not None


@given(st.integers(0, 60), st.integers(0, 300), st.sampled_from([0.8, 0.9, 0.95]))
def test_share_interval_agrees_with_scipy(k: int, more: int, confidence: float) -> None:
    n = k + more
    if n == 0:
        assert share_interval(0, 0, confidence=confidence) == (0, 1)
        return
    known = oracle.binomtest(k, n).proportion_ci(confidence, method="exact")
    assert share_interval(k, n, confidence=confidence) == pytest.approx((known.low, known.high))


def test_a_percentile_without_ten_samples_beyond_it_is_refused() -> None:
    few = np.arange(412, dtype=np.int64)
    estimate = estimate_quantile(few, 0.99)
    assert estimate.value is None
    assert estimate.interval is None
    assert estimate.warnings == ("412 samples, needs 1,000",)
    assert estimate_quantile(few, 0.95).value == 391


@pytest.mark.parametrize(
    ("p", "tail", "n"), [(0.5, 10, 20), (0.95, 100, 2000), (0.99, 100, 10_000), (0.999, 10, 10_000)]
)
def test_samples_for_a_tail(p: float, tail: int, n: int) -> None:
    assert samples_for(p, tail) == n


def test_the_least_printable_sample_is_printable() -> None:
    assert printable(200, 0.95) is None
    assert printable(199, 0.95) is not None


def test_needed_samples_shrink_the_interval_to_the_margin() -> None:
    needed = needed_for_margin(n=1000, ratio=1.0, interval=(0.8, 1.25), margin=1.118034)
    assert needed == pytest.approx(4000 * 3.2, rel=0.01)


def test_an_estimate_on_the_margin_needs_more_than_any_sample() -> None:
    assert needed_for_margin(n=1000, ratio=1.1, interval=(1.0, 1.2), margin=1.1) is None
