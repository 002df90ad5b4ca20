"""The demo's figures follow from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from replay.demo.data import DAYS, SIZES, Size, clickless_customer, make_labels, make_world

TINY = Size(customers=3, campaigns=6, sites=4, rows=2_000)


def columns(seed: int) -> dict[str, np.ndarray]:
    delivery = make_world(TINY, seed=seed).delivery
    return {name: getattr(delivery, name) for name in delivery.__dataclass_fields__}


def test_the_same_seed_makes_the_same_world() -> None:
    first, second = columns(7), columns(7)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert make_world(TINY, seed=7).labels == make_labels(TINY, seed=7)


def test_another_seed_makes_another_world() -> None:
    assert not np.array_equal(columns(7)["impressions"], columns(8)["impressions"])


def test_rows_are_ordered_by_hour_and_each_combination_comes_once() -> None:
    found = columns(7)
    assert np.all(np.diff(found["hour"]) >= 0)
    keys = np.stack([found[name] for name in ("hour", "campaign", "site", "country", "device")])
    assert np.unique(keys, axis=1).shape == (5, TINY.rows)


def test_figures_make_sense() -> None:
    found = columns(7)
    assert found["hour"].min() >= 0
    assert found["hour"].max() < DAYS * 24
    assert np.all(found["clicks"] <= found["impressions"])
    assert np.all(found["conversions"] <= found["clicks"])
    assert np.all(found["spend_e4"] > 0)


def test_one_customer_has_no_clicks() -> None:
    world = make_world(TINY, seed=7)
    owner = np.array([one.customer for one in world.labels.campaigns])[world.delivery.campaign]
    clicks = np.bincount(owner, weights=world.delivery.clicks)
    assert clicks[clickless_customer(TINY.customers)] == 0
    assert np.all(clicks[:-1] > 0)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_names_are_unique(size: Size) -> None:
    labels = make_labels(size, seed=7)
    for names in (
        [one.name for one in labels.customers],
        [(one.first_name, one.last_name) for one in labels.customers],
        [one.name for one in labels.campaigns],
        labels.sites,
    ):
        assert len(set(names)) == len(names)
