"""Fills a server with the demo's 1.0 or 2.0, from the same arrays, by COPY."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray
from psycopg import sql

from replay.demo.data import (
    COUNTRIES,
    DEVICES,
    FIRST_HOUR,
    STATUSES,
    Customer,
    Delivery,
    Labels,
    World,
)
from replay.target.embedded import EmbeddedServer

DATABASE = "reports"
ROLES = ("analyst", "dashboard", "finance")
"""Who may read the reports; each kind of customer logs in as one of them."""

_CHUNK_ROWS = 100_000


def load_place(server: EmbeddedServer, place: str, world: World) -> None:
    """Make the database `reports` of 1.0 or 2.0, with indexes, roles and statistics."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        for role in ROLES:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    version = place.partition(".")[0]
    with psycopg.connect(server.url(DATABASE)) as connection:
        # In one transaction with CREATE TABLE, so that COPY writes no log of its own.
        connection.execute(schema_text(f"schema_{version}.sql"))
        tables = _tables_of_1(world) if place == "1.0" else _tables_of_2(world)
        for name, rows in tables:
            _copy(connection, name, rows)
        connection.execute(schema_text(f"indexes_{version}.sql"))
        for role in ROLES:
            connection.execute(
                sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(
                    sql.Identifier(role)
                )
            )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")


def schema_text(name: str) -> bytes:
    """One of this package's SQL files; bytes, for psycopg takes no text it has not seen."""
    return (Path(__file__).parent / name).read_bytes()


def _copy(connection: psycopg.Connection[Any], table: str, rows: pa.Table) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), columns
    )
    options = pyarrow.csv.WriteOptions(include_header=False)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(rows, sink, options)
        copy.write(sink.getvalue())


def _tables_of_1(world: World) -> Iterator[tuple[str, pa.Table]]:
    yield "billing_account", _billing_accounts(world.labels.customers)
    campaigns, customers = world.labels.campaigns, world.labels.customers
    contacts = [contact_name(one) for one in customers]
    of_campaign: Mapping[str, Sequence[object]] = {
        "customer_name": [customers[one.customer].name for one in campaigns],
        "contact_name": [contacts[one.customer] for one in campaigns],
        "campaign_name": [one.name for one in campaigns],
        "campaign_status": [STATUSES[one.status_code] for one in campaigns],
        "format": [one.ad_format for one in campaigns],
        "budget": [one.budget for one in campaigns],
    }
    for delivery in _chunks(world.delivery):
        labels = {name: _pick(of, delivery.campaign) for name, of in of_campaign.items()}
        yield (
            "report_hourly",
            pa.table(
                {
                    "hour": _hours(delivery),
                    **labels,
                    "site_name": _pick(world.labels.sites, delivery.site),
                    "country": _pick(COUNTRIES, delivery.country),
                    "device": _pick(DEVICES, delivery.device),
                    "impressions": delivery.impressions,
                    "clicks": delivery.clicks,
                    "conversions": delivery.conversions,
                    "spend": _money(delivery),
                }
            ),
        )


def _tables_of_2(world: World) -> Iterator[tuple[str, pa.Table]]:
    yield from _dimensions(world.labels)
    for delivery in _chunks(world.delivery):
        yield (
            "fact_delivery",
            pa.table(
                {
                    "delivered_at": _hours(delivery),
                    "campaign_id": delivery.campaign + 1,
                    "site_id": delivery.site + 1,
                    "country_id": delivery.country + 1,
                    "device_id": delivery.device + 1,
                    "impressions": delivery.impressions,
                    "clicks": delivery.clicks,
                    "conversions": delivery.conversions,
                    "cost": _money(delivery),
                }
            ),
        )


def contact_name(customer: Customer) -> str:
    """1.0's one column for a name, as 2.0 puts it together from two."""
    return f"{customer.first_name} {customer.last_name}"


def _billing_accounts(customers: Sequence[Customer]) -> pa.Table:
    return pa.table(
        {
            "customer_name": [one.name for one in customers],
            "contact_name": [contact_name(one) for one in customers],
            "billing_country": [COUNTRIES[one.country] for one in customers],
            "currency": [one.currency for one in customers],
            "payment_terms_days": [one.payment_terms_days for one in customers],
            "credit_limit": [one.credit_limit for one in customers],
        }
    )


def _dimensions(labels: Labels) -> Iterator[tuple[str, pa.Table]]:
    yield "dim_country", _dimension("country", COUNTRIES)
    yield "dim_device", _dimension("device", DEVICES)
    yield "dim_site", _dimension("site", labels.sites)
    customers = labels.customers
    yield (
        "dim_customer",
        pa.table(
            {
                "customer_id": _ids(customers),
                "name": [one.name for one in customers],
                "first_name": [one.first_name for one in customers],
                "last_name": [one.last_name for one in customers],
                "billing_country_id": [one.country + 1 for one in customers],
                "currency": [one.currency for one in customers],
                "payment_terms_days": [one.payment_terms_days for one in customers],
                "credit_limit": [one.credit_limit for one in customers],
            }
        ),
    )
    campaigns = labels.campaigns
    yield (
        "dim_campaign",
        pa.table(
            {
                "campaign_id": _ids(campaigns),
                "customer_id": [one.customer + 1 for one in campaigns],
                "name": [one.name for one in campaigns],
                "status_code": [one.status_code for one in campaigns],
                "ad_format": [one.ad_format for one in campaigns],
                "budget": [one.budget for one in campaigns],
            }
        ),
    )


def _chunks(delivery: Delivery) -> Iterator[Delivery]:
    names = Delivery.__dataclass_fields__
    for start in range(0, len(delivery.hour), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        yield Delivery(**{name: getattr(delivery, name)[part] for name in names})


def _ids(rows: Sequence[object]) -> range:
    return range(1, len(rows) + 1)


def _dimension(name: str, labels: Sequence[str]) -> pa.Table:
    return pa.table({f"{name}_id": _ids(labels), f"{name}_name": list(labels)})


def _pick(labels: Sequence[object], indices: NDArray[np.int64]) -> pa.Array:
    return pa.array(list(labels)).take(pa.array(indices))


def _hours(delivery: Delivery) -> NDArray[np.datetime64]:
    first = np.datetime64(FIRST_HOUR, "s")
    hours: NDArray[np.datetime64] = first + delivery.hour.astype("timedelta64[h]")
    return hours


def _money(delivery: Delivery) -> pa.Array:
    whole = pa.array(delivery.spend_e4).cast(pa.decimal128(19, 0))
    return pc.multiply(whole, pa.scalar(Decimal("0.0001")))
