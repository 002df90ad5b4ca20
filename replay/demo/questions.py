"""What the demo's customers ask of 1.0: the templates its traffic is made of.

Apart from the traffic, which decides who asks what and when, so that a test can ask them too.
Placeholders are psycopg's (`%(name)s`); a list value stands for that many placeholders. Nearly
every question moves to 2.0 by replacing tables by joins and columns by expressions. Two need
an override written by hand: `billing_terms_using`, for it joins by the name of a column, and
`columns_of_report`, for it asks the catalogue about a table that 2.0 does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Values = Mapping[str, "str | int | list[str]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One template, and whether the client binds its values or spells them out.

    `bound` means the extended protocol: `$1` in the text and the value beside it. Otherwise
    the literals are in the text and the simple protocol carries it.
    """

    name: str
    sql: str
    bound: bool = False
    fails: bool = False
    """True when 1.0 itself answers with an error."""


_QUESTIONS = (
    Question(
        name="totals_by_day",
        sql="""SELECT date_trunc('day', hour) AS day, sum(impressions) AS impressions,
       sum(clicks) AS clicks, sum(spend) AS spend
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(from)s AND hour < %(to)s
GROUP BY 1
ORDER BY 1""",
    ),
    Question(
        name="top_campaigns",
        bound=True,
        sql="SELECT campaign_name, sum(impressions) AS impressions, sum(spend) AS spend "
        "FROM report_hourly WHERE customer_name = %(customer)s AND hour >= %(from)s "
        "AND hour < %(to)s GROUP BY campaign_name ORDER BY spend DESC, campaign_name "
        "LIMIT %(limit)s",
    ),
    Question(
        name="pacing",
        sql="""SELECT r.campaign_name, max(r.budget) AS budget, sum(r.spend) AS spent,
       round(100 * sum(r.spend) / max(r.budget), 1) AS percent_spent
FROM report_hourly r
WHERE r.customer_name = %(customer)s
  AND r.campaign_status = 'active'
GROUP BY r.campaign_name
ORDER BY percent_spent DESC, r.campaign_name""",
    ),
    Question(
        name="sites_of_campaign",
        bound=True,
        sql="select site_name, sum(impressions) impressions, sum(clicks) clicks "
        "from report_hourly where campaign_name = %(campaign)s and hour >= %(from)s "
        "and hour < %(to)s group by site_name order by impressions desc, site_name",
    ),
    Question(
        name="devices_of_site",
        bound=True,
        sql="select device, sum(impressions) impressions, sum(clicks) clicks, "
        "sum(conversions) conversions from report_hourly where campaign_name = %(campaign)s "
        "and site_name = %(site)s group by device order by device",
    ),
    Question(
        name="country_share",
        sql="""SELECT country, sum(impressions) AS impressions,
       round(100.0 * sum(impressions) / sum(sum(impressions)) OVER (), 2) AS share
FROM report_hourly
WHERE campaign_name = %(campaign)s
GROUP BY country
ORDER BY impressions DESC, country""",
    ),
    Question(
        name="hour_of_day",
        sql="SELECT extract(hour FROM hour) AS hour_of_day, sum(impressions) AS impressions, "
        "sum(clicks) AS clicks FROM report_hourly WHERE customer_name = %(customer)s "
        "AND hour >= %(from)s GROUP BY 1 ORDER BY 1",
    ),
    Question(
        name="billing_month",
        bound=True,
        sql="""SELECT customer_name, sum(impressions) AS impressions, sum(spend) AS amount
FROM report_hourly
WHERE hour >= %(month)s AND hour < %(next_month)s
GROUP BY customer_name
ORDER BY customer_name""",
    ),
    Question(
        name="billing_terms",
        sql="""SELECT b.customer_name, b.contact_name, b.currency, b.payment_terms_days,
       sum(r.spend) AS amount
FROM billing_account b
JOIN report_hourly r ON r.customer_name = b.customer_name
WHERE b.customer_name = %(customer)s
  AND r.hour >= %(month)s AND r.hour < %(next_month)s
GROUP BY b.customer_name, b.contact_name, b.currency, b.payment_terms_days""",
    ),
    Question(
        name="billing_terms_using",
        sql="""SELECT customer_name, b.credit_limit, sum(r.spend) AS amount
FROM billing_account b JOIN report_hourly r USING (customer_name)
WHERE r.hour >= %(from)s AND r.hour < %(to)s AND b.billing_country = %(country)s
GROUP BY customer_name, b.credit_limit
HAVING sum(r.spend) > 0
ORDER BY customer_name""",
    ),
    Question(
        name="campaign_search",
        sql="SELECT DISTINCT campaign_name FROM report_hourly "
        "WHERE customer_name = %(customer)s AND campaign_name LIKE %(label)s ORDER BY 1",
    ),
    Question(
        name="contact_search",
        sql="SELECT customer_name, contact_name FROM billing_account "
        "WHERE contact_name LIKE %(contact)s ORDER BY contact_name",
    ),
    Question(
        name="contact_totals",
        bound=True,
        sql="SELECT contact_name, count(DISTINCT campaign_name) AS campaigns, "
        "sum(spend) AS spend FROM report_hourly WHERE contact_name = %(contact_name)s "
        "GROUP BY contact_name",
    ),
    Question(
        name="account",
        bound=True,
        sql="SELECT * FROM billing_account WHERE customer_name = %(customer)s",
    ),
    Question(
        name="countries",
        sql="SELECT DISTINCT country FROM report_hourly "
        "WHERE customer_name = %(customer)s ORDER BY country",
    ),
    Question(
        name="campaigns",
        bound=True,
        sql="SELECT DISTINCT campaign_name, campaign_status FROM report_hourly "
        "WHERE customer_name = %(customer)s ORDER BY campaign_name",
    ),
    Question(
        name="best_days",
        sql="""WITH daily AS (
    SELECT date_trunc('day', hour) AS day, sum(spend) AS spend, sum(conversions) AS conversions
    FROM report_hourly
    WHERE customer_name = %(customer)s
    GROUP BY date_trunc('day', hour)
)
SELECT day, spend, conversions
FROM daily
WHERE spend > (SELECT avg(spend) FROM daily)
ORDER BY spend DESC, day
LIMIT 10""",
    ),
    Question(
        name="running_spend",
        bound=True,
        sql="""SELECT day, spend, sum(spend) OVER (ORDER BY day) AS spent_so_far
FROM (
    SELECT date_trunc('day', hour) AS day, sum(spend) AS spend
    FROM report_hourly
    WHERE campaign_name = %(campaign)s
    GROUP BY 1
) AS daily
ORDER BY day""",
    ),
    Question(
        name="two_weeks",
        sql="""SELECT 'before' AS week, sum(impressions) AS impressions, sum(spend) AS spend
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(before)s AND hour < %(from)s
UNION ALL
SELECT 'after', sum(impressions), sum(spend)
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(from)s AND hour < %(to)s
ORDER BY 1""",
    ),
    Question(
        name="chosen_campaigns",
        sql="SELECT campaign_name, date_trunc('week', hour) AS week, sum(clicks) AS clicks "
        "FROM report_hourly WHERE campaign_name IN (%(campaigns)s) AND hour >= %(from)s "
        "GROUP BY campaign_name, date_trunc('week', hour) ORDER BY 1, 2",
    ),
    Question(
        name="sites_of_big_spenders",
        sql="""SELECT site_name, sum(spend) AS spend
FROM report_hourly
WHERE hour >= %(from)s AND hour < %(to)s
  AND customer_name IN (
      SELECT customer_name FROM billing_account WHERE credit_limit >= %(credit)s
  )
GROUP BY site_name
ORDER BY spend DESC, site_name
LIMIT 20""",
    ),
    Question(
        name="weak_sites",
        bound=True,
        sql="SELECT site_name, sum(impressions) AS impressions, sum(clicks) AS clicks "
        "FROM report_hourly WHERE customer_name = %(customer)s GROUP BY site_name "
        "HAVING sum(clicks) * 1000 < sum(impressions) * %(per_mille)s "
        "ORDER BY impressions DESC, site_name",
    ),
    Question(
        name="screen_sizes",
        sql="""SELECT
       CASE WHEN device IN ('phone', 'tablet') THEN 'small' ELSE 'large' END AS screen,
       sum(impressions) AS impressions, sum(conversions) AS conversions
FROM report_hourly
WHERE customer_name = %(customer)s
GROUP BY CASE WHEN device IN ('phone', 'tablet') THEN 'small' ELSE 'large' END
ORDER BY screen""",
    ),
    Question(
        name="formats_of_day",
        sql="""/* dashboard=overview widget=formats */
SELECT format,            -- as sold
       count(*) AS lines,
       sum(spend) AS spend
FROM report_hourly
WHERE hour >= %(day)s AND hour < %(next_day)s -- one day only
GROUP BY format
ORDER BY format""",
    ),
    Question(name="freshness", sql="SELECT max(hour) FROM report_hourly"),
    Question(
        name="export",
        sql="SELECT * FROM report_hourly WHERE campaign_name = %(campaign)s "
        "AND hour >= %(from)s AND hour < %(to)s ORDER BY hour, site_name, country, device",
    ),
    Question(
        name="cost_per_click",
        bound=True,
        fails=True,  # one customer has not a single click
        sql="SELECT campaign_name, round(sum(spend) / sum(clicks), 4) AS cost_per_click "
        "FROM report_hourly WHERE customer_name = %(customer)s GROUP BY campaign_name "
        "ORDER BY campaign_name",
    ),
    Question(
        name="revenue",
        fails=True,  # the column was dropped years ago, a forgotten dashboard still asks
        sql="SELECT date_trunc('month', hour) AS month, sum(revenue) AS revenue "
        "FROM report_hourly WHERE customer_name = %(customer)s GROUP BY 1 ORDER BY 1",
    ),
    Question(
        name="columns_of_report",
        sql="SELECT column_name FROM information_schema.columns "
        "WHERE table_name = 'report_hourly' ORDER BY ordinal_position",
    ),
)

QUESTIONS: Mapping[str, Question] = {question.name: question for question in _QUESTIONS}
"""Every question by its name."""


def expand_lists(question: Question, values: Values) -> tuple[str, dict[str, str | int]]:
    """The question's text with one placeholder for each item of a list, and the flat values.

    Only the values that the text names are returned, so that one set serves every question.
    """
    text = question.sql
    flat: dict[str, str | int] = {}
    for name, value in values.items():
        marker = f"%({name})s"
        if marker not in text:
            continue
        if isinstance(value, list):
            names = [f"{name}_{index}" for index in range(len(value))]
            text = text.replace(marker, ", ".join(f"%({item})s" for item in names))
            flat.update(zip(names, value, strict=True))
        else:
            flat[name] = value
    return text, flat
