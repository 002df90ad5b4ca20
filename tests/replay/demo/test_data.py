"""The demo's figures follow from the seed alone, and make sense."""

from __future__ import annotations

import psycopg
import pytest

from replay.demo.data import SEED, SIZES, make_labels
from replay.target.embedded import EmbeddedServer


def figures(server: EmbeddedServer, sql: str) -> tuple[object, ...] | None:
    with psycopg.connect(server.url()) as connection:
        return connection.execute(sql.encode()).fetchone()


def test_the_same_seed_gives_the_same_labels_and_another_gives_others() -> None:
    size = SIZES["small"]
    assert make_labels(size, seed=7) == make_labels(size, seed=7)
    assert make_labels(size, seed=7) != make_labels(size, seed=8)


@pytest.mark.parametrize("size", SIZES)
def test_names_are_unique(size: str) -> None:
    labels = make_labels(SIZES[size], seed=SEED)
    for names in (
        [one.name for one in labels.customers],
        [f"{one.first_name} {one.last_name}" for one in labels.customers],
        [one.name for one in labels.campaigns],
        labels.sites,
    ):
        assert len(set(names)) == len(names)


def test_the_same_seed_fills_both_places_with_the_same_figures(
    demo_one: EmbeddedServer, demo_two: EmbeddedServer
) -> None:
    digest = (
        "SELECT count(*), md5(string_agg(line, ',' ORDER BY line)) FROM (SELECT"
        " concat_ws(' ', {}, impressions, clicks, conversions, {}) AS line FROM {}) AS lines"
    )
    one = figures(demo_one, digest.format("hour", "spend", "report_hourly"))
    assert one == figures(demo_two, digest.format("delivered_at", "cost", "fact_delivery"))


def test_figures_make_sense(demo_two: EmbeddedServer) -> None:
    found = figures(
        demo_two,
        """SELECT count(*) > 23000,
           min(delivered_at) >= '2026-04-01', max(delivered_at) < '2026-07-01',
           bool_and(delivered_at = date_trunc('hour', delivered_at)),
           bool_and(0 <= conversions AND conversions <= clicks AND clicks <= impressions),
           sum(conversions) > 0, min(cost) > 0,
           count(DISTINCT (delivered_at, campaign_id, site_id, country_id, device_id)) = count(*)
           FROM fact_delivery""",
    )
    assert found == (True,) * 8


def test_only_the_last_customer_has_no_clicks(demo_two: EmbeddedServer) -> None:
    found = figures(
        demo_two,
        """SELECT array_agg(DISTINCT customer_id) FROM (
           SELECT customer_id, campaign_id FROM fact_delivery JOIN dim_campaign USING (campaign_id)
           GROUP BY customer_id, campaign_id HAVING sum(clicks) = 0) AS clickless""",
    )
    assert found == ([SIZES["small"].customers],)
