-- What the demo's customers ask of 1.0: the templates its traffic is made of.
-- Each begins with its name; see questions.py for the words in parentheses.
-- Values are psycopg's placeholders; a list stands for as many placeholders as it has items.

-- totals_by_day
SELECT date_trunc('day', hour) AS day, sum(impressions) AS impressions,
       sum(clicks) AS clicks, sum(spend) AS spend
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(from)s AND hour < %(to)s
GROUP BY 1
ORDER BY 1

-- top_campaigns (bound)
SELECT campaign_name, sum(impressions) AS impressions, sum(spend) AS spend
FROM report_hourly WHERE customer_name = %(customer)s AND hour >= %(from)s AND hour < %(to)s
GROUP BY campaign_name ORDER BY spend DESC, campaign_name LIMIT %(limit)s

-- pacing
SELECT r.campaign_name, max(r.budget) AS budget, sum(r.spend) AS spent,
       round(100 * sum(r.spend) / max(r.budget), 1) AS percent_spent
FROM report_hourly r
WHERE r.customer_name = %(customer)s
  AND r.campaign_status = 'active'
GROUP BY r.campaign_name
ORDER BY percent_spent DESC, r.campaign_name

-- sites_of_campaign (bound)
select site_name, sum(impressions) impressions, sum(clicks) clicks from report_hourly
where campaign_name = %(campaign)s and hour >= %(from)s and hour < %(to)s
group by site_name order by impressions desc, site_name

-- country_share
SELECT country, sum(impressions) AS impressions,
       round(100.0 * sum(impressions) / sum(sum(impressions)) OVER (), 2) AS share
FROM report_hourly
WHERE campaign_name = %(campaign)s
GROUP BY country
ORDER BY impressions DESC, country

-- hour_of_day
SELECT extract(hour FROM hour) AS hour_of_day, sum(impressions) AS impressions, sum(clicks) AS clicks
FROM report_hourly WHERE customer_name = %(customer)s AND hour >= %(from)s GROUP BY 1 ORDER BY 1

-- billing_month (bound)
SELECT customer_name, sum(impressions) AS impressions, sum(spend) AS amount
FROM report_hourly
WHERE hour >= %(month)s AND hour < %(next_month)s
GROUP BY customer_name
ORDER BY customer_name

-- billing_terms
SELECT b.customer_name, b.contact_name, b.currency, b.payment_terms_days,
       sum(r.spend) AS amount
FROM billing_account b
JOIN report_hourly r ON r.customer_name = b.customer_name
WHERE b.customer_name = %(customer)s
  AND r.hour >= %(month)s AND r.hour < %(next_month)s
GROUP BY b.customer_name, b.contact_name, b.currency, b.payment_terms_days

-- billing_terms_using
SELECT customer_name, b.credit_limit, sum(r.spend) AS amount
FROM billing_account b JOIN report_hourly r USING (customer_name)
WHERE r.hour >= %(from)s AND r.hour < %(to)s AND b.billing_country = %(country)s
GROUP BY customer_name, b.credit_limit
HAVING sum(r.spend) > 0
ORDER BY customer_name

-- campaign_search
SELECT DISTINCT campaign_name FROM report_hourly
WHERE customer_name = %(customer)s AND campaign_name LIKE %(label)s ORDER BY 1

-- contact_search
SELECT customer_name, contact_name FROM billing_account
WHERE contact_name LIKE %(contact)s ORDER BY contact_name

-- contact_totals (bound)
SELECT contact_name, count(DISTINCT campaign_name) AS campaigns, sum(spend) AS spend
FROM report_hourly WHERE contact_name = %(contact_name)s GROUP BY contact_name

-- account (bound)
SELECT * FROM billing_account WHERE customer_name = %(customer)s

-- campaigns (bound)
SELECT DISTINCT campaign_name, campaign_status FROM report_hourly
WHERE customer_name = %(customer)s ORDER BY campaign_name

-- best_days
WITH daily AS (
    SELECT date_trunc('day', hour) AS day, sum(spend) AS spend, sum(conversions) AS conversions
    FROM report_hourly
    WHERE customer_name = %(customer)s
    GROUP BY date_trunc('day', hour)
)
SELECT day, spend, conversions
FROM daily
WHERE spend > (SELECT avg(spend) FROM daily)
ORDER BY spend DESC, day
LIMIT 10

-- running_spend (bound)
SELECT day, spend, sum(spend) OVER (ORDER BY day) AS spent_so_far
FROM (
    SELECT date_trunc('day', hour) AS day, sum(spend) AS spend
    FROM report_hourly
    WHERE campaign_name = %(campaign)s
    GROUP BY 1
) AS daily
ORDER BY day

-- two_weeks
SELECT 'before' AS week, sum(impressions) AS impressions, sum(spend) AS spend
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(before)s AND hour < %(from)s
UNION ALL
SELECT 'after', sum(impressions), sum(spend)
FROM report_hourly
WHERE customer_name = %(customer)s AND hour >= %(from)s AND hour < %(to)s
ORDER BY 1

-- chosen_campaigns
SELECT campaign_name, date_trunc('week', hour) AS week, sum(clicks) AS clicks FROM report_hourly
WHERE campaign_name IN (%(campaigns)s) AND hour >= %(from)s
GROUP BY campaign_name, date_trunc('week', hour) ORDER BY 1, 2

-- sites_of_big_spenders
SELECT site_name, sum(spend) AS spend
FROM report_hourly
WHERE hour >= %(from)s AND hour < %(to)s
  AND customer_name IN (
      SELECT customer_name FROM billing_account WHERE credit_limit >= %(credit)s
  )
GROUP BY site_name
ORDER BY spend DESC, site_name
LIMIT 20

-- weak_sites (bound)
SELECT site_name, sum(impressions) AS impressions, sum(clicks) AS clicks
FROM report_hourly WHERE customer_name = %(customer)s GROUP BY site_name
HAVING sum(clicks) * 1000 < sum(impressions) * %(per_mille)s ORDER BY impressions DESC, site_name

-- screen_sizes
SELECT
       CASE WHEN device IN ('phone', 'tablet') THEN 'small' ELSE 'large' END AS screen,
       sum(impressions) AS impressions, sum(conversions) AS conversions
FROM report_hourly
WHERE customer_name = %(customer)s
GROUP BY CASE WHEN device IN ('phone', 'tablet') THEN 'small' ELSE 'large' END
ORDER BY screen

-- formats_of_day
/* dashboard=overview widget=formats */
SELECT format,            -- as sold
       count(*) AS lines,
       sum(spend) AS spend
FROM report_hourly
WHERE hour >= %(day)s AND hour < %(next_day)s -- one day only
GROUP BY format
ORDER BY format

-- freshness
SELECT max(hour) FROM report_hourly

-- export
SELECT * FROM report_hourly
WHERE campaign_name = %(campaign)s AND hour >= %(from)s AND hour < %(to)s
ORDER BY hour, site_name, country, device

-- cost_per_click (bound, fails): one customer has not a single click
SELECT campaign_name, round(sum(spend) / sum(clicks), 4) AS cost_per_click FROM report_hourly
WHERE customer_name = %(customer)s GROUP BY campaign_name ORDER BY campaign_name

-- revenue (fails): the column was dropped years ago, a forgotten dashboard still asks
SELECT date_trunc('month', hour) AS month, sum(revenue) AS revenue
FROM report_hourly WHERE customer_name = %(customer)s GROUP BY 1 ORDER BY 1

-- columns_of_report
SELECT column_name FROM information_schema.columns
WHERE table_name = 'report_hourly' ORDER BY ordinal_position
