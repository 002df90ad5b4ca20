"""Quantiles' resamples by scores against those that are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.arms import Arm
from reports.stats.blocks import count_by_block, quantiles_of_rows
from reports.stats.bootstrap import block_weights, summarise
from reports.stats.estimate import Floats
from reports.stats.scores import Sample, log_ratios, normal_draws

BLOCKS = 30
DRAWS = normal_draws()


def sample(values_us: npt.ArrayLike, block: npt.ArrayLike) -> Sample:
    values, code = np.asarray(values_us, np.int64), np.asarray(block, np.int16)
    order = np.argsort(values, kind="stable")
    return Sample.of(values[order], code[order], BLOCKS)


def busy(n: int, *, seed: int, slower: float = 1.0) -> tuple[Sample, Sample]:
    """Two arms under the same load, which differs from block to block."""
    random = np.random.default_rng(seed)
    block = random.integers(0, BLOCKS, n)
    load = random.normal(0, 0.3, BLOCKS)
    one, two = (
        sample(np.exp(10 + load[block] + random.normal(0, 0.6, n)) * factor, block)
        for factor in (1.0, slower)
    )
    return one, two


def scored(one: Sample, two: Sample, p: float) -> Floats:
    """Ratios of one pair (1, resamples)."""
    return log_ratios([one], [two], p, draws=DRAWS)


def drawn(one: Sample, two: Sample, p: float) -> Floats:
    weights = block_weights(BLOCKS, resamples=2000, generator=np.random.default_rng(2))
    counts = (count_by_block(arm.values_us, arm.block, BLOCKS) for arm in (one, two))
    logs = [
        np.log(quantiles_of_rows(weights @ arm.cumulative, arm.centres_us, [p])) for arm in counts
    ]
    ratios: Floats = (logs[1] - logs[0]).T
    return ratios


@pytest.mark.parametrize("p", [0.50, 0.95])
@pytest.mark.parametrize("n", [300, 20_000])
def test_the_interval_is_that_of_drawn_resamples(n: int, p: float) -> None:
    off = []
    for seed in range(20):
        arms = busy(n, seed=seed)
        (known,) = summarise(drawn(*arms, p), blocks=BLOCKS, confidence=0.9)
        (found,) = summarise(scored(*arms, p), blocks=BLOCKS, confidence=0.9)
        assert known.interval
        assert found.interval
        assert known.log_error
        ends = np.log(found.interval) - np.log(known.interval)
        # In standard errors; of two thousand draws by luck one's ends are off by 0.05.
        off.append(ends / known.log_error)
    assert np.abs(np.mean(off, axis=0)).max() < 0.08
    assert np.abs(off).max() < 0.5


@pytest.mark.parametrize("p", [0.50, 0.95])
def test_nine_intervals_in_ten_hold_the_true_ratio(p: float) -> None:
    held = 0
    for seed in range(500):
        ratios = scored(*busy(400, seed=seed, slower=1.2), p)
        (found,) = summarise(ratios, blocks=BLOCKS, confidence=0.9)
        assert found.interval
        held += found.interval[0] <= 1.2 <= found.interval[1]
    assert 0.86 <= held / 500 <= 0.94


def test_a_sample_against_itself_has_the_ratio_one() -> None:
    one, _ = busy(1_000, seed=3)
    assert not scored(one, one, 0.95).any()


@settings(deadline=None)  # a busy machine is not a slow one
@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, BLOCKS - 1)), min_size=1, max_size=80),
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, BLOCKS - 1)), min_size=1, max_size=80),
    st.sampled_from([0.01, 0.5, 0.95, 0.999]),
)
def test_of_any_samples_a_ratio_is_one_of_theirs(
    one: list[tuple[int, int]], two: list[tuple[int, int]], p: float
) -> None:
    before, after = (sample(*np.array(each).T) for each in (one, two))
    ratios = scored(before, after, p)
    logs = [np.log(np.maximum(arm.values_us, 1)) for arm in (before, after)]
    possible = (logs[1][:, None] - logs[0]).ravel()
    assert np.isin(ratios, possible).all()


@pytest.mark.parametrize("p", [0.50, 0.95])
def test_many_pairs_at_once_have_the_ratios_of_each_alone(p: float) -> None:
    few, uneven = sample([7, 9], [3, 3]), busy(5_000, seed=4)
    # All fast answers in the first blocks: no window of the usual width sees enough of them.
    sorted_by_block = sample(range(10, 3_010), np.arange(3_000) // 100)
    pairs = [*(busy(n, seed=n) for n in (1, 8, 900)), (few, uneven[0]), uneven]
    pairs += [(sorted_by_block, uneven[0]), (uneven[1], sorted_by_block)]
    one, two = zip(*pairs, strict=True)
    together = log_ratios(one, two, p, draws=DRAWS)
    for ratios, pair in zip(together, pairs, strict=True):
        assert np.array_equal(ratios, scored(*pair, p)[0])


@pytest.mark.parametrize("far", [0, 1 << 58], ids=["packed", "too wide to pack"])
def test_an_arm_is_cut_by_template_in_order_of_latency(far: int) -> None:
    random = np.random.default_rng(3)
    template = random.integers(0, 50, 3_000).astype(np.int32)
    values = random.integers(-5, 1_000, 3_000) + far * (template == 7)
    block = random.integers(0, BLOCKS, 3_000).astype(np.int16)
    arm = Arm(name="a", blocks=BLOCKS, values_us=values, template=template, block=block)
    for code in (0, 7, 49):
        part, mine = arm.of_template(code), template == code
        assert sorted(zip(part.values_us, part.block, strict=True)) == sorted(
            zip(values[mine], block[mine], strict=True)
        )
        assert (np.diff(part.ordered_us) >= 0).all()
        assert arm.medians_us(51)[code] == np.sort(values[mine])[(mine.sum() - 1) // 2]
    assert len(arm.of_template(50)) == 0
    assert np.isnan(arm.medians_us(51)[50])
