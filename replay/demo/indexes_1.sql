CREATE INDEX report_hourly_hour ON report_hourly (hour);
CREATE INDEX report_hourly_customer ON report_hourly (customer_name, hour);
CREATE INDEX report_hourly_campaign ON report_hourly (campaign_name, hour);
CREATE INDEX report_hourly_contact ON report_hourly (contact_name);
