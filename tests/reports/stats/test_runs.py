"""Several runs a side that differ by themselves: how often intervals and gates are right then.

A run has an effect of its own, which multiplies all of its latencies; statements are shared.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from reports.judge.result import Outcome, decide
from reports.stats.blocks import count_by_block
from reports.stats.bootstrap import Resampled, block_weights, resample_quantile_ratios
from reports.stats.estimate import Floats
from reports.stats.quantiles import needed_for_margin, quantile
from reports.stats.runs import Part, add_up, between_runs, widen
from tests.reports.stats.latencies import BLOCKS, CENTRE_US, SIGMA, block_of

P = (0.50, 0.95)


@cache
def _weights() -> Floats:
    return block_weights(BLOCKS, resamples=200, generator=np.random.default_rng(1))


def _compare(
    generator: np.random.Generator,
    runs: tuple[int, int],
    n: int,
    *,
    factor: float,
    apart: float,
    stalled: float = 0.0,
) -> tuple[list[Resampled], list[float]]:
    """Intervals of the ratios at `P` and the ratios; 2.0 takes `factor` times as long.

    Half of the variance of a latency is the statement's, the same in all runs. Logarithms of run
    effects have the standard deviation `apart`; a share `stalled` of runs is 20 times as slow.
    """
    shared = np.sqrt(0.5) * generator.normal(size=n)
    arms, by_run, points = [], [], []
    for number, slower in zip(runs, (1.0, factor), strict=True):
        own = np.sqrt(0.5) * generator.normal(size=(number, n))
        effect = apart * generator.normal(size=(number, 1))
        if stalled:
            effect += np.log(20) * (generator.random((number, 1)) < stalled)
        logs = np.log(CENTRE_US * slower) + SIGMA * (shared + own) + effect
        values = np.exp(logs).astype(np.int64)
        block = np.tile(block_of(n), number)
        arms.append(count_by_block(values.ravel(), block, BLOCKS, bin_width=0.01))
        by_run.append(np.log(np.quantile(values, P, axis=1, method="inverted_cdf")))
        points.append([quantile(np.sort(values, axis=None), p) for p in P])
    one, two = arms
    alone = resample_quantile_ratios(one, two, P, weights=_weights(), confidence=0.9)
    drawn = [
        widen(found, *sides, confidence=0.9) for found, *sides in zip(alone, *by_run, strict=True)
    ]
    return drawn, [above / below for below, above in zip(*points, strict=True)]


@pytest.mark.parametrize(
    ("runs", "most"), [((2, 2), 0.97), ((3, 3), 0.94), ((5, 5), 0.94), ((1, 4), 0.97)]
)
def test_a_90_percent_interval_holds_the_truth_where_runs_differ(
    runs: tuple[int, int], most: float
) -> None:
    generator, trials, held = np.random.default_rng(1), 500, np.zeros(len(P))
    for _ in range(trials):
        drawn, _ = _compare(generator, runs, 500, factor=1.2, apart=0.15)
        for at, found in enumerate(drawn):
            assert found.interval is not None
            held[at] += found.interval[0] <= 1.2 <= found.interval[1]
    share = held / trials
    assert ((share >= 0.86) & (share <= most)).all(), share


def test_where_runs_do_not_differ_an_interval_is_rather_too_wide() -> None:
    generator, trials, held = np.random.default_rng(5), 200, 0
    for _ in range(trials):
        drawn, _ = _compare(generator, (3, 3), 600, factor=1.2, apart=0.0)
        assert drawn[1].interval is not None
        held += drawn[1].interval[0] <= 1.2 <= drawn[1].interval[1]
    assert held >= 0.9 * trials


@pytest.mark.parametrize("apart", [0.0, 0.03])
def test_two_sets_of_runs_of_one_system_fail_one_time_in_twenty_at_most(apart: float) -> None:
    generator = np.random.default_rng(6)
    ends = Counter(
        decide(_compare(generator, (3, 3), 2_000, factor=1.0, apart=apart)[0][1].interval, most=1.1)
        for _ in range(200)
    )
    assert ends[Outcome.FAIL] <= 0.05 * 200, ends


@pytest.mark.parametrize("p", range(len(P)))
def test_a_run_in_four_that_stalls_fails_no_gate(p: int) -> None:
    generator = np.random.default_rng(3)
    ends = Counter(
        decide(
            _compare(generator, (4, 4), 1_000, factor=1.0, apart=0.03, stalled=0.25)[0][p].interval,
            most=1.1,
        )
        for _ in range(200)
    )
    assert ends[Outcome.FAIL] <= 0.05 * 200, ends


def test_20_percent_slower_fails_with_enough_runs_and_samples() -> None:
    generator = np.random.default_rng(7)
    ends = Counter(
        decide(_compare(generator, (3, 3), 8_000, factor=1.2, apart=0.01)[0][1].interval, most=1.1)
        for _ in range(200)
    )
    assert ends[Outcome.FAIL] >= 0.9 * 200, ends


def test_too_few_runs_are_inconclusive_until_those_asked_for_are_there() -> None:
    generator, n, rounds = np.random.default_rng(8), 1_000, list[Outcome]()
    while len(rounds) < 60:
        (_, drawn), (_, ratio) = _compare(generator, (3, 3), n, factor=1.25, apart=0.03)
        assert drawn.interval is not None
        if decide(drawn.interval, most=1.1) is not Outcome.INCONCLUSIVE:
            continue
        needed = needed_for_margin(n=3 * n, ratio=ratio, interval=drawn.interval, margin=1.1)
        if needed is None or needed > 60 * n:
            continue
        runs = -(-needed // n)
        (_, again), _ = _compare(generator, (runs, runs), n, factor=1.25, apart=0.03)
        rounds.append(decide(again.interval, most=1.1))
    assert Counter(rounds)[Outcome.FAIL] >= 0.9 * 60, rounds


def test_parts_add_up_as_welch_and_satterthwaite_say() -> None:
    whole = add_up([Part(variance=0.02, freedom=2), Part(variance=0.01, freedom=4)])
    assert whole.variance == pytest.approx(0.03)
    assert whole.freedom == pytest.approx(0.03**2 / (0.02**2 / 2 + 0.01**2 / 4))
    # Equal parts of equal freedom have both of it.
    assert add_up([Part(variance=1, freedom=3)] * 2).freedom == pytest.approx(6)


def test_a_single_run_is_held_to_vary_as_those_of_the_other_side() -> None:
    logs = np.array([1.0, 1.2, 1.1])
    assert between_runs(np.array([1.0]), np.array([2.0])) == []
    (part,) = between_runs(np.array([1.0]), logs)
    assert part.variance == pytest.approx(logs.var(ddof=1) * (1 + 1 / 3))
    assert part.freedom == 2
    assert len(between_runs(logs, logs)) == 2
    assert between_runs(np.array([np.nan, 1.0])) == []
