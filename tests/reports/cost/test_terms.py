"""The formulas against worked examples, their edges, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.cost import terms
from reports.cost.model import Price
from reports.cost.prices import Prices

RPU_HOUR = Price(usd=0.375, unit="RPU-hour", source="the guide", date="2026-10-07")


def test_the_worked_example_of_the_serverless_guide() -> None:
    # 8,190 s of 128 RPU at USD 0.375 an hour are USD 109.20.
    part = terms.priced("serverless", RPU_HOUR, (8190 * 128 / 3600, "RPU-hours"))
    assert part.usd == pytest.approx(109.20)
    assert part.formula == "291.2 RPU-hours × USD 0.375 per RPU-hour"


@pytest.mark.parametrize(
    ("spans", "charged"),
    [
        ([], 0),
        ([(0, 0)], 60),
        ([(0, 59.9)], 60),
        ([(0, 60)], 60),
        ([(0, 61.5)], 61.5),
        ([(0, 1), (30, 31)], 60),
        ([(0, 1), (59, 100)], 100),
        ([(0, 1), (60, 61)], 120),
        ([(0, 1), (1000, 1001)], 120),
        ([(0, 90), (90, 95)], 95),
        ([(5, 100), (0, 50), (20, 30)], 100),
        ([(0, 200), (10, 20), (150, 160)], 200),
    ],
)
def test_serverless_charges_a_minute_at_least(
    spans: list[tuple[float, float]], charged: float
) -> None:
    starts, ends = np.array(spans, dtype=float).reshape(-1, 2).T
    assert terms.serverless_seconds(starts, ends) == pytest.approx(charged)


@pytest.mark.parametrize(
    ("metered", "activations", "credit", "charged"),
    [
        (0, 1, 0, 0),
        (0, 1, 3600, 0),
        (10, 1, 0, 60),
        (60, 1, 0, 60),
        (61, 1, 0, 61),
        (100, 3, 0, 180),
        (3600, 1, 3600, 0),
        (3700, 1, 3600, 100),
        (10, 1, 3600, 0),
    ],
)
def test_scaling_is_charged_by_the_minute_less_its_credit(
    metered: float, activations: int, credit: float, charged: float
) -> None:
    found = terms.scaling_seconds(metered, activations=activations, credit=credit)
    assert found == pytest.approx(charged)


@pytest.mark.parametrize(
    ("scanned", "tb"),
    [([], 0), ([1], 1e-5), ([10_000_000], 1e-5), ([1e12], 1), ([1, 1, 2e12], 2.00002)],
)
def test_spectrum_charges_ten_megabytes_at_least(scanned: list[float], tb: float) -> None:
    assert terms.scanned_tb(scanned) == pytest.approx(tb)


spans = st.lists(
    st.tuples(st.floats(0, 1e5), st.floats(0, 500)).map(lambda at: (at[0], at[0] + at[1])),
    min_size=1,
    max_size=40,
)


@given(spans, spans)
def test_more_statements_never_cost_less(
    some: list[tuple[float, float]], more: list[tuple[float, float]]
) -> None:
    few, many = (terms.serverless_seconds(*np.array(each).T) for each in (some, [*some, *more]))
    busy = max(end - start for start, end in some)
    # A statement that comes earlier may move the minute that is charged, but not shorten the sum
    # below what is busy.
    assert few >= max(60, busy) - 1e-6
    assert many >= max(end for _, end in some) - min(start for start, _ in some) - 1e5
    assert many <= sum(max(60, end - start) for start, end in [*some, *more]) + 1e-6


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 50))
def test_scaling_is_monotone(one: float, two: float, activations: int) -> None:
    low, high = sorted((one, two))
    charged = [terms.scaling_seconds(s, activations=activations) for s in (low, high)]
    assert charged[0] <= charged[1]


def test_every_bundled_price_has_a_source_and_a_date() -> None:
    prices = Prices(region="us-east-1")
    for kind, name in (("redshift_node_hour", "ra3.large"), ("redshift_rpu_hour", "serverless"),
                       ("redshift_storage_gb_month", "ra3.large"),
                       ("redshift_scanned_tb", "Spectrum")):  # fmt: skip
        price = prices.find(kind, name)
        assert price.usd > 0
        assert price.source.endswith("bundled table")
        assert price.date
