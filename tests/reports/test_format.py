"""Numbers as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import format as fmt


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (None, "–"),
        (0, "0 µs"),
        (999, "999 µs"),
        (999.7, "1.00 ms"),
        (1_500, "1.50 ms"),
        (99_960, "100 ms"),
        (182_000, "182 ms"),
        (999_600, "1.00 s"),
        (1_920_000, "1.92 s"),
        (65e6, "65.0 s"),
        (900e6, "15.0 min"),
        (9 * 3600e6, "9.00 h"),
        (-1_500, "-1.50 ms"),
    ],
)
def test_durations(us: float | None, text: str) -> None:
    assert fmt.duration(us) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.99999, ">99.99 %"), (0.00001, "<0.01 %"), (0.5, "50.0 %")],
)
def test_a_share_never_rounds_to_all_or_nothing(value: float, text: str) -> None:
    assert fmt.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.31, "1.31× slower"), (0.5, "2.00× faster"), (1.001, "the same")]
)
def test_ratios_in_words(value: float, text: str) -> None:
    assert fmt.in_words(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0042, "USD 0.0042"), (4.2, "USD 4.20"), (12_345.6, "USD 12,346")]
)
def test_money(value: float, text: str) -> None:
    assert fmt.money(value) == text


@pytest.mark.parametrize(
    ("bounds", "unit", "text"),
    [
        (None, "us", ""),
        ((1.22, 1.405), "ratio", "[1.22, 1.41]"),
        ((None, 2.0), "ratio", "[…, 2.00]"),
        ((34_400, 49_700), "us", "[34.4, 49.7 ms]"),
        ((900, 1_500), "us", "[900 µs, 1.50 ms]"),
        ((0.001, 0.02), "share", "[0.10, 2.0 %]"),
    ],
)
def test_an_interval_states_its_unit_once(
    bounds: tuple[float | None, float | None] | None, unit: str, text: str
) -> None:
    assert fmt.interval(bounds, unit) == text


def test_an_excerpt_is_one_line_that_says_where_it_was_cut() -> None:
    assert fmt.excerpt("select a,\n  b  from t", 40) == "select a, b from t"
    assert fmt.excerpt("select a, b from t", 10) == "select a,…"


@given(st.floats(0, 1e13))
def test_a_duration_is_short_and_has_a_unit(us: float) -> None:
    text = fmt.duration(us)
    assert len(text) <= 12
    assert text.split()[1] in ("µs", "ms", "s", "min", "h")
