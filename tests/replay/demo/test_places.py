"""The demo's 1.0 and 2.0 say the same."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

from replay.demo.data import SEED, SIZES, make_labels
from replay.demo.questions import QUESTIONS, Question, Values, draw_values, expand_lists
from replay.demo.world import demo_server
from replay.errors import UsageError
from replay.target.embedded import EmbeddedServer

LABELS = make_labels(SIZES["small"], seed=SEED)
VALUES = draw_values(random.Random(1), LABELS, days=60)

# Written by hand and apart from places.toml and fill_1.sql, which it can so contradict.
PAIRS = {
    "billing_month": """
        SELECT u.name, sum(f.impressions), sum(f.cost)
        FROM fact_delivery f
        JOIN dim_campaign c USING (campaign_id)
        JOIN dim_customer u USING (customer_id)
        WHERE f.delivered_at >= %(month)s AND f.delivered_at < %(next_month)s
        GROUP BY u.name ORDER BY u.name""",
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
        pytest.param("revenue", LABELS.customers[0].name, "42703", id="undefined column"),
        pytest.param("cost_per_click", LABELS.customers[-1].name, "22012", id="division by zero"),
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
