"""Statements in Redshift's words; no server."""

from __future__ import annotations

import pytest

from replay.redshift_like.wording import read, split, value_of


@pytest.mark.parametrize(
    ("sql", "query_type", "queues", "cacheable"),
    [
        ("SELECT * FROM sale", "SELECT", True, True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT", True, True),
        ("SELECT count(*) FROM sale WHERE at < GETDATE()", "SELECT", True, False),
        ("SELECT 1", "SELECT", False, False),
        ("SELECT pg_sleep(1)", "SELECT", True, False),
        ("SELECT * FROM SYS_QUERY_HISTORY", "SELECT", False, False),
        ("CREATE TABLE a AS SELECT 1", "CTAS", True, False),
        ("SELECT id INTO a FROM sale", "CTAS", True, False),
        ("create table a (b int)", "DDL", False, False),
        ("DELETE FROM sale", "OTHER", True, False),
        ("COPY sale FROM 's3://a/b' IAM_ROLE default", "COPY", True, False),
        ("BEGIN READ ONLY", "UTILITY", False, False),
        ("SELECT 'from sys_query_history' FROM sale", "SELECT", True, True),
        ("-- nothing", "", False, False),
    ],
)
def test_what_a_statement_is(sql: str, query_type: str, queues: bool, cacheable: bool) -> None:
    statement = read(sql)
    told = (statement.query_type, statement.queues, statement.cacheable)
    assert told == (query_type, queues, cacheable)


@pytest.mark.parametrize(
    ("sql", "backend"),
    [
        ("SET query_group TO 'a'", "SET redshift_like.query_group TO 'a'"),
        ("set session query_group='a'", "set session redshift_like.query_group='a'"),
        ("SHOW enable_result_cache_for_session",
         "SHOW redshift_like.enable_result_cache_for_session"),
        ("SELECT sysdate, 'sysdate'", "SELECT sysdate(), 'sysdate'"),
        ("SELECT dateadd(day, 1, at) FROM sale", "SELECT dateadd('day', 1, at) FROM sale"),
        ("SET search_path TO a, b", "SET search_path TO a, b"),
        ("SET SESSION AUTHORIZATION 'finance'", "SET SESSION AUTHORIZATION 'finance'"),
        ("SELECT 'savepoint a'", "SELECT 'savepoint a'"),
    ],
)  # fmt: skip
def test_what_the_backend_is_asked(sql: str, backend: str) -> None:
    assert read(sql).sql == backend


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SET query_group TO 'Step = 1 to 2'", "Step = 1 to 2"),
        ("set query_group='to A';", "to A"),
        ("SET statement_timeout TO DEFAULT", None),
        ("RESET query_group", None),
    ],
)
def test_what_a_set_sets(sql: str, value: str | None) -> None:
    assert value_of(sql) == value


def test_statements_that_share_a_shape_are_compiled_once() -> None:
    one, two = (read(f"SELECT  a FROM b WHERE c = {value}") for value in ("1", "'it''s'"))
    assert one.shape == two.shape
    assert one.sql != two.sql


def test_a_message_is_split_at_its_own_semicolons() -> None:
    assert split("SET a TO ';'; BEGIN;\nSELECT 1 -- ; 2\n;") == [
        "SET a TO ';'",
        "BEGIN",
        "SELECT 1 -- ; 2",
    ]
    assert split("SELECT 1;") == ["SELECT 1;"]
    assert split(";") == [";"]
