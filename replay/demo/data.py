"""The demo's figures, made from a seed: one set of arrays that both places are filled from.

Customers run campaigns on sites; each row of the arrays is what one campaign delivered on one
site, in one country, on one kind of device, in one hour. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

SEED = 20260401

FIRST_HOUR = datetime(2026, 4, 1)
DAYS = 91
"""Three whole months: April, May and June."""

COUNTRIES = (
    *("Austria", "Belgium", "Côte d'Ivoire", "Denmark", "France", "Germany", "Italy"),
    *("Netherlands", "Poland", "Spain", "Switzerland", "Türkiye"),
)
DEVICES = ("desktop", "phone", "tablet", "television")
STATUSES = {"A": "active", "P": "paused", "E": "ended"}
"""2.0's codes and 1.0's words."""

_FORMATS = ("audio", "banner", "native", "sponsored", "video")
_CURRENCIES = ("EUR", "EUR", "EUR", "CHF", "DKK", "PLN")
_TRADES = ("Foods", "Travel", "Motors", "Bank", "Books", "Garden", "Shoes", "Telecom")
_HOUSES = ("Alder", "Birch", "Cedar", "Dunes", "Élan", "Fjord", "Grove", "Heath")
_FIRST_NAMES = ("Anna", "Ben", "Chloé", "David", "Eva", "Farid", "Greta", "Zoë")
_LAST_NAMES = ("Almeida", "Bauer", "O'Brien", "Çelik", "van der Berg", "Eriksen", "Favre", "Ng")
_SEASONS = ("Spring", "Easter", "Summer", "Holiday", "Weekend", "Launch")
_AIMS = ("Sale", "Awareness", "Sign-up", "Clearance", "Loyalty", "20% off")
_SITE_KINDS = ("news", "weather", "recipes", "football", "music", "maps", "games", "jobs")

_HOUR_WEIGHTS = np.array(
    [2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 8, 8, 9, 8, 7, 7, 8, 9, 11, 13, 14, 12, 8, 4], dtype=float
)
"""How much of a day's delivery falls on each hour: quiet nights, busy evenings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much the demo's places hold."""

    customers: int
    campaigns: int
    sites: int
    rows: int


SIZES = {
    "small": Size(customers=12, campaigns=48, sites=20, rows=24_000),
    "medium": Size(customers=24, campaigns=160, sites=60, rows=400_000),
    "large": Size(customers=60, campaigns=600, sites=150, rows=4_000_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays; the campaigns are its."""

    name: str
    first_name: str
    last_name: str
    country: int
    currency: str
    payment_terms_days: int
    credit_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What is delivered and paid for, from `first_day` on for `days` days."""

    name: str
    customer: int
    status_code: str
    ad_format: str
    budget: int
    first_day: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the figures are about; the arrays of `Delivery` index these."""

    customers: Sequence[Customer]
    campaigns: Sequence[Campaign]
    sites: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One array per column, all of one length, ordered by hour; ids index the dimensions."""

    hour: NDArray[np.int64]
    """Hours since `FIRST_HOUR`."""
    campaign: NDArray[np.int64]
    site: NDArray[np.int64]
    country: NDArray[np.int64]
    device: NDArray[np.int64]
    impressions: NDArray[np.int64]
    clicks: NDArray[np.int64]
    conversions: NDArray[np.int64]
    spend_e4: NDArray[np.int64]
    """Ten-thousandths of the currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything both places say, each in its own way."""

    labels: Labels
    delivery: Delivery


def make_world(size: Size, *, seed: int) -> World:
    """Draw a world; the same size and seed give the same one."""
    labels = make_labels(size, seed=seed)
    generator = Generator(PCG64(seed + 1))
    return World(labels=labels, delivery=_make_delivery(size, labels.campaigns, generator))


def make_labels(size: Size, *, seed: int) -> Labels:
    """What a world of this size and seed has names for, without its figures."""
    generator = Generator(PCG64(seed))
    return Labels(
        customers=_make_customers(size, generator),
        campaigns=_make_campaigns(size, generator),
        sites=[f"{_SITE_KINDS[i % 8]}-{i // 8 + 1}.example" for i in range(size.sites)],
    )


def _make_customers(size: Size, generator: Generator) -> list[Customer]:
    return [
        Customer(
            name=f"{_HOUSES[i % 8]} {_TRADES[(i + i // 8) % 8]}",
            first_name=_FIRST_NAMES[i % 8],
            last_name=_LAST_NAMES[(i * 3 + i // 8) % 8],
            country=int(generator.integers(len(COUNTRIES))),
            currency=str(generator.choice(_CURRENCIES)),
            payment_terms_days=int(generator.choice((14, 30, 60))),
            credit_limit=int(generator.integers(5, 200)) * 1_000,
        )
        for i in range(size.customers)
    ]


def _make_campaigns(size: Size, generator: Generator) -> list[Campaign]:
    campaigns: list[Campaign] = []
    for i in range(size.campaigns):
        first_day = int(generator.integers(0, DAYS - 14))
        days = min(int(generator.integers(14, DAYS)), DAYS - first_day)
        over = first_day + days < DAYS
        aim = _AIMS[(i // len(_SEASONS)) % len(_AIMS)]
        campaigns.append(
            Campaign(
                name=f"{_SEASONS[i % len(_SEASONS)]} {aim} {i + 1:03d}",
                customer=i % size.customers,
                status_code="E" if over else str(generator.choice(("A", "A", "A", "P"))),
                ad_format=_FORMATS[int(generator.integers(len(_FORMATS)))],
                budget=int(generator.integers(2, 60)) * 250,
                first_day=first_day,
                days=days,
            )
        )
    return campaigns


def clickless_customer(customers: int) -> int:
    """Index of the customer without a single click, whose cost per click cannot be computed."""
    return customers - 1


def _make_delivery(size: Size, campaigns: Sequence[Campaign], generator: Generator) -> Delivery:
    hour, campaign, site, country, device = _draw_keys(size, campaigns, generator)
    rows = len(hour)
    impressions = np.floor(generator.lognormal(4.5, 1.2, rows)).astype(np.int64) + 1
    click_rate = generator.uniform(0.001, 0.02, len(campaigns))[campaign]
    owner = np.array([one.customer for one in campaigns])[campaign]
    click_rate[owner == clickless_customer(size.customers)] = 0.0
    clicks = generator.binomial(impressions, click_rate)
    price_e4 = generator.integers(10, 90, len(campaigns))[campaign]
    return Delivery(
        hour=hour,
        campaign=campaign,
        site=site,
        country=country,
        device=device,
        impressions=impressions,
        clicks=clicks,
        conversions=generator.binomial(clicks, 0.06),
        spend_e4=impressions * price_e4,
    )


def _draw_keys(
    size: Size, campaigns: Sequence[Campaign], generator: Generator
) -> tuple[NDArray[np.int64], ...]:
    """Hour, campaign, site, country, device: `size.rows` different ones, in order."""
    draws = size.rows * 5 // 4  # popular combinations come up twice and count once
    popularity = 1.0 / np.arange(1, len(campaigns) + 1) ** 0.6
    campaign = generator.choice(len(campaigns), draws, p=popularity / popularity.sum())
    first_day = np.array([one.first_day for one in campaigns])[campaign]
    days = np.array([one.days for one in campaigns])[campaign]
    day = first_day + (generator.random(draws) * days).astype(np.int64)
    weights = _HOUR_WEIGHTS / _HOUR_WEIGHTS.sum()
    hour = day * 24 + generator.choice(24, draws, p=weights)
    site_popularity = 1.0 / np.arange(1, size.sites + 1) ** 0.5
    site = generator.choice(size.sites, draws, p=site_popularity / site_popularity.sum())
    country = generator.integers(len(COUNTRIES), size=draws)
    device = generator.choice(len(DEVICES), draws, p=(0.35, 0.5, 0.1, 0.05))
    shape = (DAYS * 24, len(campaigns), size.sites, len(COUNTRIES), len(DEVICES))
    keys = np.unique(np.ravel_multi_index((hour, campaign, site, country, device), shape))
    kept = np.sort(generator.choice(keys, size.rows, replace=False))
    return tuple(part.astype(np.int64) for part in np.unravel_index(kept, shape))
