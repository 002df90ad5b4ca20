-- Amazon Redshift has no indexes: sort keys on delivered_at and campaign_id take their place.
CREATE INDEX fact_delivery_delivered_at ON fact_delivery (delivered_at);
CREATE INDEX fact_delivery_campaign ON fact_delivery (campaign_id, delivered_at);
CREATE UNIQUE INDEX dim_customer_name ON dim_customer (name);
CREATE UNIQUE INDEX dim_campaign_name ON dim_campaign (name);
CREATE INDEX dim_campaign_customer ON dim_campaign (customer_id);

-- After the rows, for then they are checked all at once. On Amazon Redshift they only inform.
ALTER TABLE fact_delivery
    ADD FOREIGN KEY (campaign_id) REFERENCES dim_campaign (campaign_id),
    ADD FOREIGN KEY (site_id) REFERENCES dim_site (site_id),
    ADD FOREIGN KEY (country_id) REFERENCES dim_country (country_id),
    ADD FOREIGN KEY (device_id) REFERENCES dim_device (device_id);
