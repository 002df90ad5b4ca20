-- The reporting backend 2.0: one fact row for each row of 1.0's report_hourly, labels in
-- dimensions. Only types and clauses that Amazon Redshift knows as well.

CREATE TABLE dim_country (
    country_id   integer     NOT NULL PRIMARY KEY,
    country_name varchar(80) NOT NULL
);

CREATE TABLE dim_device (
    device_id   integer     NOT NULL PRIMARY KEY,
    device_name varchar(40) NOT NULL
);

CREATE TABLE dim_site (
    site_id   integer      NOT NULL PRIMARY KEY,
    site_name varchar(120) NOT NULL
);

CREATE TABLE dim_customer (
    customer_id        integer        NOT NULL PRIMARY KEY,
    name               varchar(120)   NOT NULL,
    first_name         varchar(60)    NOT NULL,  -- contact_name is first_name || ' ' || last_name
    last_name          varchar(60)    NOT NULL,
    billing_country_id integer        NOT NULL REFERENCES dim_country (country_id),
    currency           varchar(3)     NOT NULL,
    payment_terms_days integer        NOT NULL,
    credit_limit       numeric(12, 2) NOT NULL
);

CREATE TABLE dim_campaign (
    campaign_id integer        NOT NULL PRIMARY KEY,
    customer_id integer        NOT NULL REFERENCES dim_customer (customer_id),
    name        varchar(120)   NOT NULL,
    status_code varchar(1)     NOT NULL,  -- A active, P paused, E ended
    ad_format   varchar(40)    NOT NULL,
    budget      numeric(12, 2) NOT NULL
);

CREATE TABLE fact_delivery (
    delivered_at timestamp      NOT NULL,  -- the hour's start
    campaign_id  integer        NOT NULL,
    site_id      integer        NOT NULL,
    country_id   integer        NOT NULL,
    device_id    integer        NOT NULL,
    impressions  bigint         NOT NULL,
    clicks       bigint         NOT NULL,
    conversions  bigint         NOT NULL,
    cost         numeric(12, 4) NOT NULL  -- spend in 1.0
);
