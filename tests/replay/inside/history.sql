-- Redshift's history as a table, and a question that writes its own row there: it waits in a queue,
-- compiles, and executes, each for a known share of its time.
CREATE TABLE sys_query_history (
    user_id integer, query_id bigint, transaction_id bigint, session_id integer,
    query_label character(320), database_name character(128), username character(128),
    query_type character(32), status character(10), result_cache_hit boolean,
    start_time timestamp, end_time timestamp, elapsed_time bigint, queue_time bigint,
    execution_time bigint, error_message character(512), returned_rows bigint,
    returned_bytes bigint, query_text character(4000), redshift_version character(256),
    usage_limit character(150), compute_type varchar(32), compile_time bigint,
    planning_time bigint, lock_wait_time bigint, service_class_name character(64),
    short_query_accelerated character(10)
);
CREATE SEQUENCE query_ids;
CREATE FUNCTION asked(seconds float, compute text DEFAULT 'primary') RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    took bigint;
BEGIN
    PERFORM pg_sleep(seconds);
    took := extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000;
    INSERT INTO sys_query_history VALUES (
        1, nextval('query_ids'), 1, pg_backend_pid(), current_setting('fourstep.label', true),
        current_database(), current_user, 'SELECT', 'success', seconds = 0,
        statement_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC', took,
        took / 5, took / 2, NULL, -1, 8, '******', '1.0.100', NULL, compute, took / 10, 0, 0,
        'Default', 'NULL'
    );
    RETURN 1;
END $$;
