"""What the demo's figures are about: customers, their campaigns and the sites, from a seed.

Apart from the figures, which the server draws while it is loaded, because the customers' traffic
has to know the names without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

SEED = 20260401

FIRST_HOUR = datetime(2026, 4, 1)
DAYS = 91
"""Three whole months: April, May and June."""

COUNTRIES = (
    *("Austria", "Belgium", "Côte d'Ivoire", "Denmark", "France", "Germany", "Italy"),
    *("Netherlands", "Poland", "Spain", "Switzerland", "Türkiye"),
)
DEVICES = ("desktop", "phone", "tablet", "television")

_FORMATS = ("audio", "banner", "native", "sponsored", "video")
_CURRENCIES = ("EUR", "EUR", "EUR", "CHF", "DKK", "PLN")
_TRADES = ("Foods", "Travel", "Motors", "Bank", "Books", "Garden", "Shoes", "Telecom")
_HOUSES = ("Alder", "Birch", "Cedar", "Dunes", "Élan", "Fjord", "Grove", "Heath")
_FIRST_NAMES = ("Anna", "Ben", "Chloé", "David", "Eva", "Farid", "Greta", "Zoë")
_LAST_NAMES = ("Almeida", "Bauer", "O'Brien", "Çelik", "van der Berg", "Eriksen", "Favre", "Ng")
_SEASONS = ("Spring", "Easter", "Summer", "Holiday", "Weekend", "Launch")
_AIMS = ("Sale", "Awareness", "Sign-up", "Clearance", "Loyalty", "20% off")
_SITE_KINDS = ("news", "weather", "recipes", "football", "music", "maps", "games", "jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much the demo's places hold; `rows` is drawn, those of one hour and kind add up."""

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
    click_rate: float
    price_e4: int
    """Of one impression, in ten-thousandths of the currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """All there are names for; the last customer has not a single click."""

    customers: Sequence[Customer]
    campaigns: Sequence[Campaign]
    sites: Sequence[str]


def make_labels(size: Size, *, seed: int) -> Labels:
    """Draw them; the same size and seed give the same."""
    draw = Random(seed)
    return Labels(
        customers=[_draw_customer(i, draw) for i in range(size.customers)],
        campaigns=[_draw_campaign(i, size, draw) for i in range(size.campaigns)],
        sites=[f"{_SITE_KINDS[i % 8]}-{i // 8 + 1}.example" for i in range(size.sites)],
    )


def _draw_customer(i: int, draw: Random) -> Customer:
    return Customer(
        name=f"{_HOUSES[i % 8]} {_TRADES[(i + i // 8) % 8]}",
        first_name=_FIRST_NAMES[i % 8],
        last_name=_LAST_NAMES[(i * 3 + i // 8) % 8],
        country=draw.randrange(len(COUNTRIES)),
        currency=draw.choice(_CURRENCIES),
        payment_terms_days=draw.choice((14, 30, 60)),
        credit_limit=draw.randrange(5, 200) * 1_000,
    )


def _draw_campaign(i: int, size: Size, draw: Random) -> Campaign:
    first_day = draw.randrange(DAYS - 14)
    days = min(draw.randrange(14, DAYS), DAYS - first_day)
    customer = i % size.customers
    return Campaign(
        name=f"{_SEASONS[i % 6]} {_AIMS[i // 6 % 6]} {i + 1:03d}",
        customer=customer,
        status_code="E" if first_day + days < DAYS else draw.choice("AAAP"),
        ad_format=draw.choice(_FORMATS),
        budget=draw.randrange(2, 60) * 250,
        first_day=first_day,
        days=days,
        click_rate=0.0 if customer == size.customers - 1 else draw.uniform(0.001, 0.02),
        price_e4=draw.randrange(10, 90),
    )
