"""Fills a server with the demo's 1.0 or 2.0; the server itself draws the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from replay.demo.data import COUNTRIES, DEVICES, FIRST_HOUR, Labels, Size, make_labels
from replay.target.embedded import EmbeddedServer

DATABASE = "reports"

_FOLDER = Path(__file__).parent
_COMMON = ("schema_2.sql", "delivery.sql")
_FILES = {"1.0": ("schema_1.sql", "fill_1.sql", "indexes_1.sql"), "2.0": ("indexes_2.sql",)}


def load_place(server: EmbeddedServer, place: str, size: Size, *, seed: int) -> None:
    """Make the database `reports` of 1.0 or 2.0, with indexes, roles and statistics.

    Both are 2.0 at first, for the same seed draws the same rows; 1.0 is then spelt out from it.
    """
    schema, delivery = map(_text, _COMMON)
    with psycopg.connect(server.url("template1"), autocommit=True) as connection:
        # Renamed, for every start copies the files of every database.
        connection.execute(
            sql.SQL("ALTER DATABASE postgres RENAME TO {}").format(sql.Identifier(DATABASE))
        )
    with psycopg.connect(server.url(DATABASE)) as connection:
        # In one transaction with CREATE TABLE, so that rows are not written to the log as well.
        connection.execute(schema)
        connection.execute(
            "CREATE TEMP TABLE flight (campaign_id int, first_day int, days int,"
            " click_rate float8, price_e4 int)"
        )
        for table, rows in _rows_of(make_labels(size, seed=seed)):
            statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                for number, row in enumerate(rows, start=1):
                    copy.write_row((number, *row))
        connection.execute("SELECT setseed(%s)", [seed % 1_000 / 1_000])
        connection.execute(delivery, {"rows": size.rows, "first_hour": FIRST_HOUR})
        for name in _FILES[place]:
            connection.execute(_text(name))
        # Each kind of customer logs in as one of these roles.
        connection.execute(
            "CREATE ROLE analyst LOGIN; CREATE ROLE dashboard LOGIN; CREATE ROLE finance LOGIN;"
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO public"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")


def sources(place: str) -> str:
    """Everything that decides what a place holds, but for size and seed."""
    names = ("data.py", "load.py", *_COMMON, *_FILES[place])
    return "".join(_text(name).decode() for name in names)


def _text(name: str) -> bytes:
    """A file of this package; bytes, for psycopg takes no text it has not seen."""
    return (_FOLDER / name).read_bytes()


def _rows_of(labels: Labels) -> Iterator[tuple[str, Sequence[tuple[object, ...]]]]:
    """2.0's tables in the order of their references; ids are put before each row."""
    yield "dim_country", [(name,) for name in COUNTRIES]
    yield "dim_device", [(name,) for name in DEVICES]
    yield "dim_site", [(name,) for name in labels.sites]
    yield (
        "dim_customer",
        [
            (
                *(one.name, one.first_name, one.last_name, one.country + 1),
                *(one.currency, one.payment_terms_days, one.credit_limit),
            )
            for one in labels.customers
        ],
    )
    yield (
        "dim_campaign",
        [
            (one.customer + 1, one.name, one.status_code, one.ad_format, one.budget)
            for one in labels.campaigns
        ],
    )
    yield (
        "flight",
        [(one.first_day, one.days, one.click_rate, one.price_e4) for one in labels.campaigns],
    )
