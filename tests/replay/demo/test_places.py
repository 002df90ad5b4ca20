"""The demo's 1.0 and 2.0 say the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from replay.demo.data import (
    FIRST_HOUR,
    SEED,
    SIZES,
    clickless_customer,
    make_labels,
)
from replay.demo.questions import QUESTIONS, Question, Values, expand_lists
from replay.demo.world import demo_server
from replay.errors import UsageError
from replay.target.embedded import EmbeddedServer

LABELS = make_labels(SIZES["small"], seed=SEED)
CAMPAIGN = LABELS.campaigns[0]
CUSTOMER = LABELS.customers[CAMPAIGN.customer]
CLICKLESS = LABELS.customers[clickless_customer(len(LABELS.customers))]
FIRST_DAY = FIRST_HOUR + timedelta(days=CAMPAIGN.first_day)

VALUES: Values = {
    "customer": CUSTOMER.name,
    "contact_name": f"{CUSTOMER.first_name} {CUSTOMER.last_name}",
    "contact": f"{CUSTOMER.first_name} %",
    "campaign": CAMPAIGN.name,
    "campaigns": [one.name for one in LABELS.campaigns[:3]],
    "site": "weather-1.example",
    "country": "Germany",
    "label": "%Sale%",
    "from": str(FIRST_DAY),
    "to": str(FIRST_DAY + timedelta(days=7)),
    "before": str(FIRST_DAY - timedelta(days=7)),
    "day": "2026-05-04",
    "next_day": "2026-05-05",
    "month": "2026-05-01",
    "next_month": "2026-06-01",
    "limit": 10,
    "credit": 60_000,
    "per_mille": 12,
}

PAIRS = {
    "top_campaigns": """
        SELECT c.name, sum(f.impressions) AS impressions, sum(f.cost) AS spend
        FROM fact_delivery f
        JOIN dim_campaign c USING (campaign_id)
        JOIN dim_customer u USING (customer_id)
        WHERE u.name = %(customer)s AND f.delivered_at >= %(from)s AND f.delivered_at < %(to)s
        GROUP BY c.name ORDER BY spend DESC, c.name LIMIT %(limit)s""",
    "pacing": """
        SELECT c.name, c.budget, sum(f.cost), round(100 * sum(f.cost) / c.budget, 1) AS percent
        FROM fact_delivery f
        JOIN dim_campaign c USING (campaign_id)
        JOIN dim_customer u USING (customer_id)
        WHERE u.name = %(customer)s AND c.status_code = 'A'
        GROUP BY c.name, c.budget ORDER BY percent DESC, c.name""",
    "billing_month": """
        SELECT u.name, sum(f.impressions), sum(f.cost)
        FROM fact_delivery f
        JOIN dim_campaign c USING (campaign_id)
        JOIN dim_customer u USING (customer_id)
        WHERE f.delivered_at >= %(month)s AND f.delivered_at < %(next_month)s
        GROUP BY u.name ORDER BY u.name""",
    "contact_search": """
        SELECT name, first_name || ' ' || last_name AS contact_name
        FROM dim_customer WHERE first_name || ' ' || last_name LIKE %(contact)s
        ORDER BY contact_name""",
    "account": """
        SELECT u.name, u.first_name || ' ' || u.last_name, o.country_name, u.currency,
               u.payment_terms_days, u.credit_limit
        FROM dim_customer u JOIN dim_country o ON o.country_id = u.billing_country_id
        WHERE u.name = %(customer)s""",
    "export": """
        SELECT f.delivered_at, u.name, u.first_name || ' ' || u.last_name, c.name,
               CASE c.status_code WHEN 'A' THEN 'active' WHEN 'P' THEN 'paused' ELSE 'ended' END,
               c.ad_format, c.budget, s.site_name, o.country_name, d.device_name,
               f.impressions, f.clicks, f.conversions, f.cost
        FROM fact_delivery f
        JOIN dim_campaign c USING (campaign_id)
        JOIN dim_customer u USING (customer_id)
        JOIN dim_site s USING (site_id)
        JOIN dim_country o USING (country_id)
        JOIN dim_device d USING (device_id)
        WHERE c.name = %(campaign)s AND f.delivered_at >= %(from)s AND f.delivered_at < %(to)s
        ORDER BY f.delivered_at, s.site_name, o.country_name, d.device_name""",
}


def rows_of(server: EmbeddedServer, question: Question, values: Values) -> list[Any]:
    text, flat = expand_lists(question, values)
    with psycopg.connect(server.url(), prepare_threshold=None) as connection:
        return connection.execute(text.encode(), flat).fetchall()


@pytest.mark.parametrize("name", PAIRS)
def test_both_places_give_the_same_answer(
    name: str, demo_one: EmbeddedServer, demo_two: EmbeddedServer
) -> None:
    one = rows_of(demo_one, QUESTIONS[name], VALUES)
    two = rows_of(demo_two, Question(name=name, sql=PAIRS[name]), VALUES)
    assert one
    assert one == two


@pytest.mark.parametrize("name", [name for name, one in QUESTIONS.items() if not one.fails])
def test_1_answers_every_question(name: str, demo_one: EmbeddedServer) -> None:
    rows_of(demo_one, QUESTIONS[name], VALUES)


@pytest.mark.parametrize(
    ("name", "customer", "sqlstate"),
    [
        pytest.param("revenue", CUSTOMER.name, "42703", id="undefined column"),
        pytest.param("cost_per_click", CLICKLESS.name, "22012", id="division by zero"),
    ],
)
def test_some_questions_fail_on_1(
    name: str, customer: str, sqlstate: str, demo_one: EmbeddedServer
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        rows_of(demo_one, QUESTIONS[name], {**VALUES, "customer": customer})
    assert caught.value.sqlstate == sqlstate


def test_lists_become_one_placeholder_for_each_item() -> None:
    question = Question(name="any", sql="SELECT a FROM t WHERE a IN (%(x)s) AND b = %(y)s")
    text, flat = expand_lists(question, {"x": ["p", "q"], "y": 1, "unused": 2})
    assert text == "SELECT a FROM t WHERE a IN (%(x_0)s, %(x_1)s) AND b = %(y)s"
    assert flat == {"x_0": "p", "x_1": "q", "y": 1}


@pytest.mark.parametrize(("place", "size"), [("3.0", "small"), ("1.0", "vast")])
def test_an_unknown_place_lists_the_known_ones(place: str, size: str) -> None:
    with pytest.raises(UsageError) as caught:
        demo_server(place, size)
    assert "2.0" in str(caught.value.hint)
    assert "medium" in str(caught.value.hint)
