-- What the campaigns of 2.0 delivered, drawn from the session's seed.
INSERT INTO fact_delivery
WITH drawn AS MATERIALIZED (  -- materialised, for random() is another number at every mention
    SELECT 1 + floor(campaigns * random() ^ 2.5)::integer AS campaign_id,  -- some are popular
           1 + floor(sites * random() ^ 2)::integer AS site_id,
           1 + floor(countries * random())::integer AS country_id,
           1 + floor(devices * random() ^ 1.5)::integer AS device_id,
           random() AS part,
           floor(24 * sqrt(random())) AS hour,  -- quiet nights, busy evenings
           1 + floor(exp(random_normal(4.5, 1.2))) AS impressions,
           random() AS luck,
           random() AS rounding
    FROM generate_series(1, %(rows)s),
         (SELECT count(*) AS campaigns FROM dim_campaign) AS a,
         (SELECT count(*) AS sites FROM dim_site) AS b,
         (SELECT count(*) AS countries FROM dim_country) AS c,
         (SELECT count(*) AS devices FROM dim_device) AS d
), delivered AS (
    SELECT *, floor(impressions * click_rate * (0.5 + luck) + rounding) AS clicks
    FROM drawn JOIN flight USING (campaign_id)
)
SELECT %(first_hour)s::timestamp + make_interval(
           days => first_day + floor(part * days)::integer, hours => hour::integer
       ) AS delivered_at,
       campaign_id, site_id, country_id, device_id, sum(impressions), sum(clicks),
       sum(floor(clicks * 0.1 * luck + rounding)), sum(impressions::numeric * price_e4) / 10000
FROM delivered
GROUP BY delivered_at, campaign_id, site_id, country_id, device_id
ORDER BY delivered_at, campaign_id, site_id, country_id, device_id;
