"""Corrections for many tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.family import adjust, p_over_margin


def test_holm_by_hand() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_bh_by_hand() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.005], "bh") == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_no_tests_need_no_correction() -> None:
    assert adjust([], "bh") == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_is_never_kinder_than_bh(p_values: list[float]) -> None:
    holm, bh = adjust(p_values, "holm"), adjust(p_values, "bh")
    for raw, kind, strict in zip(p_values, bh, holm, strict=True):
        assert raw - 1e-12 <= kind <= strict + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize(
    ("ratio", "error", "low", "high"),
    [(1.25, 0.1, 0.49, 0.51), (2.0, 0.05, 0, 1e-9), (1.0, 0.05, 0.99, 1), (1.3, 0.0, 0, 0)],
    ids=["on the margin", "far over", "far under", "over without doubt"],
)
def test_p_value_against_a_margin(ratio: float, error: float, low: float, high: float) -> None:
    assert low <= p_over_margin(ratio=ratio, log_error=error, margin=1.25) <= high
