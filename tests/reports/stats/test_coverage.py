"""Where the truth is known: how often a 90 % interval holds it.

Of 500 trials a share of 90 % has a standard error of 1.3 %, so 86 to 94 % is three of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from reports.stats.bootstrap import block_weights, resample_quantile, resample_quantile_ratios
from reports.stats.estimate import Floats
from reports.stats.quantiles import estimate_quantile
from tests.reports.stats.latencies import BLOCKS, count, draw_arms, true_quantile

TRIALS, SAMPLES = 500, 10_000
P = (0.50, 0.95, 0.99)
"""Of 10,000 samples a hundred are beyond p99, the fewest a gate takes."""


@pytest.mark.parametrize("paired", [False, True], ids=["unpaired", "paired"])
@pytest.mark.parametrize("autocorrelated", [False, True], ids=["independent", "autocorrelated"])
def test_a_90_percent_interval_holds_the_truth_nine_times_in_ten(
    autocorrelated: bool, paired: bool
) -> None:
    generator = np.random.default_rng(20240501)
    weights = block_weights(BLOCKS, resamples=400, generator=generator)
    ratios, quantiles = np.zeros(3), np.zeros(3)
    for _ in range(TRIALS):
        one, two = draw_arms(
            generator, SAMPLES, factor=1.2, autocorrelated=autocorrelated, paired=paired
        )
        drawn = resample_quantile_ratios(count(one), count(two), P, weights=weights, confidence=0.9)
        for at, found in enumerate(drawn):
            assert found.interval is not None
            ratios[at] += found.interval[0] <= 1.2 <= found.interval[1]
        if not paired:
            # Of one side alone, pairing is nothing.
            quantiles += _absolute(two, weights)
    _assert_nominal(ratios)
    if not paired:
        _assert_nominal(quantiles)


def _absolute(values_us: np.ndarray[tuple[int], np.dtype[np.int64]], weights: Floats) -> Floats:
    """1 for each of `P` whose interval, as a gate on an absolute limit has it, holds the truth."""
    counted, ordered, held = count(values_us), np.sort(values_us), np.zeros(3)
    for at, p in enumerate(P):
        exact = estimate_quantile(ordered, p).interval
        drawn = resample_quantile(counted, p, weights=weights, confidence=0.9).interval
        assert exact is not None
        assert drawn is not None
        assert exact[0] is not None
        assert exact[1] is not None
        low, high = min(exact[0], drawn[0]), max(exact[1], drawn[1])
        held[at] = low <= true_quantile(p, factor=1.2) <= high
    return held


def _assert_nominal(covered: Floats) -> None:
    share = covered / TRIALS
    assert ((share >= 0.86) & (share <= 0.94)).all(), share
