-- 1.0 says what 2.0 says, spelt out on every row.
INSERT INTO billing_account
SELECT name, first_name || ' ' || last_name, country_name, currency, payment_terms_days,
       credit_limit
FROM dim_customer JOIN dim_country ON country_id = billing_country_id
ORDER BY customer_id;

INSERT INTO report_hourly
SELECT delivered_at, u.name, first_name || ' ' || last_name, c.name,
       CASE status_code WHEN 'A' THEN 'active' WHEN 'P' THEN 'paused' WHEN 'E' THEN 'ended' END,
       ad_format, budget, site_name, country_name, device_name,
       impressions, clicks, conversions, cost
FROM fact_delivery
JOIN dim_campaign c USING (campaign_id)
JOIN dim_customer u USING (customer_id)
JOIN dim_site USING (site_id)
JOIN dim_country USING (country_id)
JOIN dim_device USING (device_id)
ORDER BY delivered_at, campaign_id, site_id, country_id, device_id;

DROP TABLE fact_delivery, dim_campaign, dim_customer, dim_site, dim_country, dim_device;
