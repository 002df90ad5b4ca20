"""Quantiles looked for in a window against those over all bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.arms import Arm
from reports.stats.blocks import count_by_block, quantiles_of_rows
from reports.stats.bootstrap import block_weights
from reports.stats.estimate import Int64s
from reports.stats.window import resampled_logs

BLOCKS, P, WIDTH = 30, (0.50, 0.95), 0.005


def _assert_same(values_us: Int64s, block: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    weights = block_weights(BLOCKS, resamples=200, generator=np.random.default_rng(1))
    counted = count_by_block(values_us, block, BLOCKS, bin_width=WIDTH)
    known = np.log(quantiles_of_rows(weights @ counted.cumulative, counted.centres_us, P))
    order = np.argsort(values_us, kind="stable")
    sample = values_us[order], block[order]
    # Its neighbours, of which one lacks a quantile, do not change it.
    other = np.arange(1, 90), np.arange(89) % 3
    found = resampled_logs(
        [other, sample, other, sample], [P, P, P[:1], P],
        weights=weights.T.astype(np.float32), bin_width=WIDTH,
    )  # fmt: skip
    for at in (1, 3):
        np.testing.assert_allclose(found[at], known, atol=1e-9)
    np.testing.assert_array_equal(found[0][:, :1], found[2])


@settings(deadline=None)  # a busy machine is not a slow one
@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, BLOCKS - 1)), min_size=1, max_size=80)
)
def test_a_window_finds_what_all_bins_hold(samples: list[tuple[int, int]]) -> None:
    values, block = np.array(samples, dtype=np.int64).T
    _assert_same(values, block.astype(np.int16))


@pytest.mark.parametrize("burst", [1.0, 50.0], ids=["even", "one block far slower"])
@pytest.mark.parametrize("n", [200, 50_000])
def test_of_many_samples_too(n: int, burst: float) -> None:
    random = np.random.default_rng(n)
    block = (random.beta(2, 5, n) * BLOCKS).astype(np.int16)
    slower = np.where(block == 9, burst, 1.0)
    _assert_same((random.lognormal(10, 1, n) * slower).astype(np.int64), block)


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
    assert len(arm.of_template(50)) == 0
