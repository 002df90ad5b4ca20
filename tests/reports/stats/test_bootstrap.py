"""The block bootstrap against an exact one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.blocks import count_by_block, quantiles_of_rows
from reports.stats.bootstrap import (
    block_weights,
    resample_quantile,
    resample_quantile_ratios,
    resample_share_ratio,
)
from reports.stats.estimate import Estimate, Word, word_for

BLOCKS = 40


def _blocks(n: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return (np.arange(n) * BLOCKS // n).astype(np.int32)


@given(
    st.lists(st.integers(1, 10**8), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.integers(0, 2**32 - 1),
)
def test_counted_quantiles_are_those_of_the_weighted_sample(
    values: list[int], p: float, seed: int
) -> None:
    data = np.array(values, dtype=np.int64)
    counted = count_by_block(data, _blocks(len(data)), BLOCKS)
    weights = block_weights(BLOCKS, resamples=5, generator=np.random.default_rng(seed))
    got = quantiles_of_rows(weights @ counted.cumulative, counted.centres_us, [p])[:, 0]
    for row, value in zip(weights, got, strict=True):
        repeated = np.repeat(data, row[_blocks(len(data))].astype(int))
        if len(repeated) == 0:
            assert np.isnan(value)
            continue
        exact = np.quantile(repeated, p, method="inverted_cdf")
        assert value == pytest.approx(exact, rel=0.0011)


def test_nothing_counted_gives_no_interval() -> None:
    empty = count_by_block(np.zeros(0, np.int64), np.zeros(0, np.int32), BLOCKS)
    weights = block_weights(BLOCKS, resamples=50, generator=np.random.default_rng(1))
    (drawn,) = resample_quantile_ratios(empty, empty, [0.5], weights=weights, confidence=0.9)
    assert drawn.interval is None
    assert resample_quantile(empty, 0.5, weights=weights, confidence=0.9).interval is None


def test_two_identical_arms_have_a_ratio_of_one_without_doubt() -> None:
    data = np.random.default_rng(5).lognormal(10, 1, 4000).astype(np.int64)
    counted = count_by_block(data, _blocks(4000), BLOCKS)
    weights = block_weights(BLOCKS, resamples=300, generator=np.random.default_rng(1))
    for drawn in resample_quantile_ratios(
        counted, counted, [0.5, 0.95], weights=weights, confidence=0.9
    ):
        assert drawn.interval == (1, 1)
    share = (counted.cumulative[:, -1], counted.cumulative[:, -1] * 2)
    drawn = resample_share_ratio(share, share, weights=weights, confidence=0.9)
    assert drawn.interval == pytest.approx((1, 1))


def test_a_share_twice_as_large_has_a_ratio_of_two() -> None:
    asked = np.random.default_rng(6).integers(50, 150, BLOCKS).astype(float)
    weights = block_weights(BLOCKS, resamples=300, generator=np.random.default_rng(1))
    drawn = resample_share_ratio(
        (asked * 0.4, asked), (asked * 1.6, asked * 2), weights=weights, confidence=0.9
    )
    assert drawn.interval == pytest.approx((2, 2))


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (
        block_weights(7, resamples=9, generator=np.random.default_rng(3)) for _ in range(2)
    )
    assert (first == second).all()
    assert (first.sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.7, 0.9), Word.IMPROVED),
        ((1.1, 1.3), Word.WORSE),
        ((0.9, 1.1), Word.NO_CLEAR_CHANGE),
        ((1.0, 1.0), Word.NO_CLEAR_CHANGE),
        (None, Word.CANNOT_TELL),
    ],
)
def test_words_follow_the_interval(interval: tuple[float, float] | None, word: Word) -> None:
    ratio = Estimate(value=1.0, interval=interval, n=9)
    assert word_for(ratio) is word


def test_of_a_rate_more_is_better() -> None:
    ratio = Estimate(value=1.2, interval=(1.1, 1.3), n=9)
    assert word_for(ratio, less_is_better=False) is Word.IMPROVED
