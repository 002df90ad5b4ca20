-- The reporting backend 1.0: one wide table of hourly figures with every label spelt out, and
-- one small table of billing accounts.

CREATE TABLE report_hourly (
    hour            timestamp      NOT NULL,
    customer_name   text           NOT NULL,
    contact_name    text           NOT NULL,  -- 'First Last'
    campaign_name   text           NOT NULL,  -- unique
    campaign_status text           NOT NULL,  -- active, paused, ended
    format          text           NOT NULL,
    budget          numeric(12, 2) NOT NULL,  -- of the campaign, repeated on every row
    site_name       text           NOT NULL,
    country         text           NOT NULL,
    device          text           NOT NULL,
    impressions     bigint         NOT NULL,
    clicks          bigint         NOT NULL,
    conversions     bigint         NOT NULL,
    spend           numeric(12, 4) NOT NULL
);

CREATE TABLE billing_account (
    customer_name      text           NOT NULL PRIMARY KEY,
    contact_name       text           NOT NULL,
    billing_country    text           NOT NULL,
    currency           text           NOT NULL,
    payment_terms_days integer        NOT NULL,
    credit_limit       numeric(12, 2) NOT NULL
);
