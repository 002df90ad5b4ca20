-- What Redshift has and PostgreSQL has not, in the database the stand-in serves. All of it is in
-- pg_catalog, where the real one has it too: reached whatever the search path is.

SET allow_system_table_mods = on;
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS redshift_like CASCADE;  -- and the views over its tables
DROP VIEW IF EXISTS pg_catalog.svv_table_info, pg_catalog.svcs_concurrency_scaling_usage,
    pg_catalog.sys_external_query_detail, pg_catalog.svl_s3query_summary;
CREATE SCHEMA redshift_like;
GRANT USAGE ON SCHEMA redshift_like TO PUBLIC;

CREATE TABLE redshift_like.cluster (version text, slots int, rpu int, view_delay interval);
CREATE TABLE redshift_like.query (
    query_id bigint, transaction_id bigint, session_id int, query_label text, database_name text,
    username text, query_type text, status text, result_cache_query_id int,
    start_time timestamp, end_time timestamp, elapsed_time bigint, queue_time bigint,
    execution_time bigint, compile_time bigint, planning_time bigint, sqlstate text,
    error_message text,
    returned_rows bigint, returned_bytes bigint, query_text text, redshift_version text,
    slot_count int
);
CREATE TABLE redshift_like.connection (
    event text, record_time timestamp, session_id int, database_name text, user_name text,
    application_name text, ssl_version text
);
GRANT SELECT ON redshift_like.cluster TO PUBLIC;

CREATE PROCEDURE redshift_like.refuse(state text, words text) LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = words; END $$;

-- Built-in functions are called by number, so that replacing one has no effect everywhere.
DO $$ BEGIN
    IF to_regprocedure('pg_catalog.postgresql_version()') IS NULL THEN
        ALTER FUNCTION pg_catalog.version() RENAME TO postgresql_version;
        ALTER FUNCTION pg_catalog.pg_backend_pid() RENAME TO postgresql_backend_pid;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 '
   '(Red Hat 3.4.2-6.fc3), Redshift ' || version FROM redshift_like.cluster $$;
CREATE OR REPLACE FUNCTION pg_catalog.pg_backend_pid() RETURNS int LANGUAGE sql STABLE AS
$$ SELECT coalesce(nullif(current_setting('redshift_like.pid', true), '')::int,
                   postgresql_backend_pid()) $$;

CREATE OR REPLACE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS
$$ SELECT date_trunc('second', statement_timestamp()::timestamp) $$;
CREATE OR REPLACE FUNCTION pg_catalog.sysdate() RETURNS timestamp LANGUAGE sql STABLE AS
$$ SELECT transaction_timestamp()::timestamp $$;
CREATE OR REPLACE FUNCTION pg_catalog.dateadd(part text, number bigint, moment timestamp)
RETURNS timestamp LANGUAGE sql STABLE AS
$$ SELECT moment + CASE lower(part) WHEN 'quarter' THEN interval '3 months' * number
                   ELSE ('1 ' || part)::interval * number END $$;
CREATE OR REPLACE FUNCTION pg_catalog.datediff(part text, one timestamp, other timestamp)
RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT CASE
       WHEN lower(part) IN ('year', 'years')
       THEN extract(year FROM other) - extract(year FROM one)
       WHEN lower(part) IN ('month', 'months')
       THEN (extract(year FROM other) - extract(year FROM one)) * 12
            + extract(month FROM other) - extract(month FROM one)
       ELSE extract(epoch FROM date_trunc(part, other) - date_trunc(part, one))
            / extract(epoch FROM ('1 ' || part)::interval) END::bigint $$;
CREATE OR REPLACE FUNCTION pg_catalog.nvl(anycompatible, anycompatible)
RETURNS anycompatible LANGUAGE sql STABLE AS $$ SELECT coalesce($1, $2) $$;
CREATE OR REPLACE FUNCTION pg_catalog.len(text) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT length($1) $$;

-- Users see their own rows, superusers all.
CREATE VIEW redshift_like.visible AS
SELECT q.*, u.usesysid::bigint::int AS user_id, c.rpu
FROM redshift_like.query q CROSS JOIN redshift_like.cluster c
     LEFT JOIN pg_user u ON u.usename = q.username
WHERE q.username = current_user
   OR (SELECT usesuper FROM pg_user WHERE usename = current_user);

CREATE VIEW pg_catalog.sys_query_history AS
SELECT user_id, query_id, query_label::char(320) AS query_label, transaction_id, session_id,
       database_name::char(128) AS database_name, query_type::char(32) AS query_type,
       status::char(10) AS status, result_cache_query_id > 0 AS result_cache_hit, start_time,
       end_time, elapsed_time, queue_time, execution_time,
       error_message::char(512) AS error_message, returned_rows, returned_bytes,
       left(query_text, 4000)::char(4000) AS query_text,
       redshift_version::char(256) AS redshift_version, NULL::char(150) AS usage_limit,
       CASE rpu WHEN 0 THEN 'primary' END::varchar(32) AS compute_type, compile_time,
       planning_time, 0::bigint AS lock_wait_time,
       CASE rpu WHEN 0 THEN 100 ELSE -1 END AS service_class_id,
       'Default queue'::char(64) AS service_class_name, 'Normal'::char(20) AS query_priority,
       'false'::char(10) AS short_query_accelerated, NULL::char(40) AS user_query_hash,
       NULL::char(40) AS generic_query_hash, NULL::int AS query_hash_version,
       result_cache_query_id, username::char(128) AS username
FROM redshift_like.visible;

-- Line breaks and backslashes are escaped before a text is cut.
CREATE VIEW pg_catalog.sys_query_text AS
SELECT user_id, query_id, transaction_id, session_id, start_time, sequence,
       substr(escaped, 1 + sequence * 4000, 4000)::char(4000) AS text
FROM redshift_like.visible
     CROSS JOIN LATERAL (SELECT replace(replace(replace(query_text, '\', '\\'), E'\n', '\n'),
                                        E'\r', '\r') AS escaped) AS e
     CROSS JOIN LATERAL generate_series(0, (length(escaped) - 1) / 4000) AS sequence;

CREATE VIEW pg_catalog.stl_query AS
SELECT user_id AS userid, query_id::int AS query, query_label::char(320) AS label,
       transaction_id AS xid, session_id AS pid, database_name::char(32) AS database,
       left(query_text, 4000)::char(4000) AS querytxt, start_time AS starttime,
       end_time AS endtime, (status <> 'success')::int AS aborted, 0 AS insert_pristine,
       0 AS concurrency_scaling_status
FROM redshift_like.visible WHERE query_type NOT IN ('DDL', 'UTILITY');

CREATE VIEW pg_catalog.stl_wlm_query AS
SELECT user_id AS userid, transaction_id AS xid, query_id::int AS task, query_id::int AS query,
       100 AS service_class, slot_count, start_time AS service_class_start_time,
       start_time AS queue_start_time,
       start_time + queue_time * interval '1 us' AS queue_end_time, queue_time AS total_queue_time,
       start_time + (queue_time + compile_time) * interval '1 us' AS exec_start_time,
       end_time AS exec_end_time, execution_time AS total_exec_time,
       end_time AS service_class_end_time,
       CASE status WHEN 'success' THEN 'Completed' ELSE 'Canceled' END::char(16) AS final_state,
       0::bigint AS est_peak_mem, 'Normal'::char(20) AS query_priority,
       'Default queue'::char(64) AS service_class_name
FROM redshift_like.visible WHERE slot_count > 0;

CREATE VIEW pg_catalog.svl_qlog AS
SELECT user_id AS userid, query_id::int AS query, transaction_id AS xid, session_id AS pid,
       start_time AS starttime, end_time AS endtime, elapsed_time AS elapsed,
       (status <> 'success')::int AS aborted, query_label::char(320) AS label,
       left(query_text, 60)::char(60) AS substring,
       nullif(result_cache_query_id, 0) AS source_query,
       'Main cluster'::text AS concurrency_scaling_status_txt, 'f'::text AS from_sp_call
FROM redshift_like.visible WHERE query_type NOT IN ('DDL', 'UTILITY');

CREATE VIEW pg_catalog.svl_compile AS
SELECT user_id AS userid, transaction_id AS xid, session_id AS pid, query_id::int AS query,
       0 AS segment, 0 AS locus, start_time + queue_time * interval '1 us' AS starttime,
       start_time + (queue_time + compile_time) * interval '1 us' AS endtime,
       (compile_time > 0)::int AS compile
FROM redshift_like.visible WHERE slot_count > 0;

CREATE VIEW pg_catalog.stv_wlm_service_class_config AS
SELECT 100 AS service_class, 'fixed'::char(20) AS queueing_strategy, slots AS num_query_tasks,
       slots AS target_num_query_tasks, 'off'::char(20) AS concurrency_scaling,
       0::bigint AS max_execution_time, 'Default queue'::char(64) AS name,
       'Normal'::char(20) AS query_priority
FROM redshift_like.cluster;

CREATE VIEW pg_catalog.svv_table_info AS
SELECT current_database()::text AS database, n.nspname::text AS schema,
       c.oid::bigint AS table_id, c.relname::text AS "table",
       pg_total_relation_size(c.oid) / 1048576 AS size, c.reltuples::numeric(38, 0) AS tbl_rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'redshift_like');

-- Nothing is ever read from S3 by a query.
CREATE VIEW pg_catalog.sys_external_query_detail AS
SELECT 0 AS user_id, 0::bigint AS query_id, 0::bigint AS transaction_id, ''::text AS source_type,
       now()::timestamp AS start_time, now()::timestamp AS end_time, 0::bigint AS duration,
       0::bigint AS returned_rows, 0::bigint AS returned_bytes
WHERE false;
CREATE VIEW pg_catalog.svl_s3query_summary AS
SELECT 0 AS userid, 0 AS query, 0::bigint AS xid, 0 AS pid, now()::timestamp AS starttime,
       now()::timestamp AS endtime, 0::bigint AS elapsed, 0::bigint AS s3_scanned_rows,
       0::bigint AS s3_scanned_bytes
WHERE false;

-- For superusers: no rights are given.
CREATE VIEW pg_catalog.sys_connection_log AS
SELECT event::char(50) AS event, record_time, '127.0.0.1'::char(45) AS remote_host, session_id,
       database_name::char(50) AS database_name, user_name::char(50) AS user_name,
       ssl_version::char(50) AS ssl_version, application_name::char(250) AS application_name,
       session_id::char(36) AS global_session_id
FROM redshift_like.connection;

CREATE VIEW pg_catalog.svcs_concurrency_scaling_usage AS
SELECT now()::timestamp AS start_time, now()::timestamp AS end_time, 0::bigint AS queries,
       0::numeric(27, 0) AS usage_in_seconds
WHERE false;

-- One activity is billed for at least 60 s; its charge stands in the minute it began in, and only
-- once it has ended for a while.
CREATE VIEW pg_catalog.sys_serverless_usage AS
WITH busy AS (
    SELECT unnest(range_agg(tsrange(start_time, end_time, '[]'))) AS span
    FROM redshift_like.query
), billed AS (
    SELECT unnest(range_agg(tsrange(
               lower(span), greatest(upper(span), lower(span) + interval '60 s')))) AS span
    FROM busy CROSS JOIN redshift_like.cluster
    WHERE upper(span) + 2 * view_delay < clock_timestamp()::timestamp
), minute AS (
    SELECT DISTINCT generate_series(
               date_trunc('minute', lower(span)), upper(span), interval '1 min') AS start_time
    FROM busy
)
SELECT start_time, start_time + interval '1 min' AS end_time,
       (SELECT rpu * sum(extract(epoch FROM least(upper(span), start_time + interval '1 min')
                                            - greatest(lower(span), start_time)))
        FROM busy WHERE span && tsrange(start_time, start_time + interval '1 min')
       )::float8 AS compute_seconds,
       rpu::float8 AS compute_capacity, 0 AS data_storage, 0 AS cross_region_transferred_data,
       coalesce((SELECT ceil(rpu * sum(extract(epoch FROM upper(span) - lower(span))))
                 FROM billed WHERE date_trunc('minute', lower(span)) = start_time
                ), 0)::int AS charged_seconds
FROM minute CROSS JOIN redshift_like.cluster WHERE rpu > 0;

GRANT SELECT ON pg_catalog.sys_query_history, pg_catalog.sys_query_text, pg_catalog.stl_query,
    pg_catalog.stl_wlm_query, pg_catalog.svl_qlog, pg_catalog.svl_compile,
    pg_catalog.stv_wlm_service_class_config, pg_catalog.svv_table_info,
    pg_catalog.sys_external_query_detail, pg_catalog.svl_s3query_summary TO PUBLIC;
