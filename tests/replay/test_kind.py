from __future__ import annotations

import pytest

from replay.kind import READING, tables_and_kind

CASES = {
    "select * from s.a join b using (id)": ("select", ["b", "s.a"]),
    "with c as (select 1 from a) select * from c": ("select", ["a"]),
    "(select 1) union all select 2 from t": ("select", ["t"]),
    "values (1)": ("select", []),
    "with x as (insert into t values (1) returning *) select * from x": ("insert", ["t"]),
    "with x as (delete from t returning *) select * from x": ("delete", ["t"]),
    "select * into copy_of_t from t": ("ddl", ["copy_of_t", "t"]),
    "select * from t for update": ("update", ["t"]),
    "select nextval('s')": ("call", []),
    "select pg_terminate_backend(1)": ("call", []),
    "insert into t values (1)": ("insert", ["t"]),
    "update t set a = 1": ("update", ["t"]),
    "delete from t": ("delete", ["t"]),
    "truncate t": ("ddl", ["t"]),
    "vacuum": ("ddl", []),
    "begin": ("begin", []),
    "START TRANSACTION": ("begin", []),
    "commit": ("commit", []),
    "end": ("commit", []),
    "rollback": ("rollback", []),
    "set search_path to a": ("set", []),
    "show all": ("utility", []),
    "explain select 1": ("utility", []),
    "explain analyze delete from t": ("delete", []),
    "declare c cursor for select * from t": ("utility", []),
    "call f(1)": ("call", []),
    "unload ('select 1') to 's3://b/k'": ("unload", []),
    "select 1; drop table t": ("ddl", ["t"]),
    "begin; select 1; commit": ("select", []),
    "": ("other", []),
    "complete nonsense ((": ("other", []),
}


@pytest.mark.parametrize(("sql", "expected"), CASES.items(), ids=CASES.keys())
def test_kind_and_tables(sql: str, expected: tuple[str, list[str]]) -> None:
    assert tables_and_kind(sql) == expected


MYSQL = {
    "SELECT a INTO OUTFILE '/tmp/x' FROM t": ("unload", []),
    "SELECT a INTO @x FROM t": ("select", ["t"]),
    "SHOW TABLES": ("utility", []),
    "USE db1": ("utility", []),
    "SELECT GET_LOCK('a', 1)": ("call", []),
    "REPLACE INTO t VALUES (1)": ("insert", []),
    "LOAD DATA INFILE 'x' INTO TABLE t": ("other", []),
    "SELECT * FROM t LOCK IN SHARE MODE": ("update", ["t"]),
}


@pytest.mark.parametrize(("sql", "expected"), MYSQL.items(), ids=MYSQL.keys())
def test_kind_and_tables_in_mysql(sql: str, expected: tuple[str, list[str]]) -> None:
    assert tables_and_kind(sql, "mysql") == expected


def test_what_is_not_understood_is_not_taken_for_reading() -> None:
    assert tables_and_kind("frobnicate the table")[0] not in READING
