from __future__ import annotations

import psycopg
import pytest

from replay.kind import tables_and_kind
from replay.prepare.chatter import KEPT, Chatter, Fate
from replay.target.embedded import EmbeddedServer

SKIPPED = "skipped"
CASES: dict[str, tuple[str, str, str, Fate | str | None]] = {
    # read, write, statement: kept, a new text, or a word of the reason
    "begin": ("postgres", "redshift", "BEGIN", KEPT),
    "start": ("mysql", "redshift", "START TRANSACTION", KEPT),
    "snapshot": (
        "mysql",
        "postgres",
        "start transaction with consistent snapshot",
        Fate("BEGIN"),
    ),
    "chain": ("mysql", "postgres", "COMMIT AND NO CHAIN", Fate("COMMIT")),
    "commit": ("postgres", "redshift", "commit;", KEPT),
    "comment before": ("postgres", "redshift", "/* set x */ begin", KEPT),
    "read write": ("postgres", "postgres", "begin read write", Fate("BEGIN")),
    "savepoint": ("postgres", "redshift", "SAVEPOINT a", "savepoint"),
    "release": ("postgres", "redshift", "RELEASE a", "savepoint"),
    "to savepoint": ("postgres", "redshift", "rollback work to savepoint a", "savepoint"),
    "to savepoint stays": ("mysql", "postgres", "rollback to a", KEPT),
    "rollback": ("postgres", "redshift", "ROLLBACK", KEPT),
    "set": ("postgres", "redshift", "SET application_name = 'a'", KEPT),
    "set zone": ("postgres", "redshift", "set time zone 'UTC'", KEPT),
    "set unknown": ("postgres", "redshift", "set local work_mem to '1GB'", "set work_mem"),
    "set same": ("postgres", "postgres", "set work_mem to '1GB'", KEPT),
    "set characteristics": (
        "postgres",
        "redshift",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "set characteristics",
    ),
    "set read write": (
        "postgres",
        "postgres",
        "SET default_transaction_read_only = off",
        "set read write",
    ),
    "set of redshift": ("redshift", "postgres", "set query_group to 'a'", "set query_group"),
    "set of both": ("redshift", "postgres", "set statement_timeout to 5", KEPT),
    "set names": ("mysql", "redshift", "SET NAMES utf8mb4", "set names"),
    "set autocommit": ("mysql", "postgres", "SET autocommit=0", "set autocommit"),
    "set global": ("mysql", "postgres", "SET @@session.sql_mode = 'ANSI'", "set session.sql_mode"),
    "set offset": (
        "mysql",
        "postgres",
        "SET time_zone = '+02:00'",
        Fate("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE"),
    ),
    "set offset redshift": ("mysql", "redshift", "SET time_zone = '+02:00'", "set time_zone"),
    "set named zone": (
        "mysql",
        "redshift",
        "SET time_zone = 'Europe/Paris'",
        Fate("SET timezone TO 'Europe/Paris'"),
    ),
    "set timeout": (
        "mysql",
        "redshift",
        "SET SESSION max_execution_time=5000",
        Fate("SET statement_timeout TO 5000"),
    ),
    "use": ("mysql", "redshift", "USE `ads`", Fate("SET search_path TO ads")),
    "use quoted": ("mysql", "postgres", "use `My Ads`;", Fate('SET search_path TO "My Ads"')),
    "show": ("mysql", "postgres", "SHOW TABLES", "show"),
    "show known": ("postgres", "redshift", "SHOW search_path", KEPT),
    "show unknown": ("postgres", "redshift", "show server_version_num", "show"),
    "reset": ("postgres", "redshift", "RESET ALL", KEPT),
    "discard": ("postgres", "redshift", "DISCARD ALL", "discard"),
    "deallocate": ("postgres", "redshift", "DEALLOCATE s1", KEPT),
    "deallocate all": ("postgres", "redshift", "DEALLOCATE ALL", "deallocate"),
    "listen": ("postgres", "redshift", "LISTEN a", "listen"),
    "listen stays": ("postgres", "postgres", "LISTEN a", KEPT),
    "describe": ("mysql", "postgres", "DESCRIBE a", "describe"),
    "probe": ("postgres", "redshift", "select 1 from pg_catalog.pg_class", "catalog probe"),
    "probe bare": ("postgres", "redshift", "select relname from pg_class", "catalog probe"),
    "probe mysql": (
        "mysql",
        "postgres",
        "select * from information_schema.columns",
        "catalog probe",
    ),
    "probe stays": ("postgres", "postgres", "select 1 from pg_class", None),
    "probe and more": ("postgres", "redshift", "select 1 from pg_class, t", None),
    "variable": ("mysql", "redshift", "SELECT @@tx_isolation", "session variable"),
    "question": ("mysql", "redshift", "select a from t", None),
    "several": ("postgres", "redshift", "set work_mem to 1; select 2", None),
    "empty": ("postgres", "redshift", " ", None),
}


@pytest.mark.parametrize(("read", "write", "sql", "expected"), CASES.values(), ids=CASES.keys())
def test_the_list(read: str, write: str, sql: str, expected: Fate | str | None) -> None:
    kind, tables = tables_and_kind(sql, read)
    found = Chatter(read=read, write=write).fate(sql, kind=kind, tables=tables)
    if isinstance(expected, str):
        assert found == Fate(skipped=f"chatter: {expected}")
    else:
        assert found == expected


def test_places_decide_about_settings_and_schemas() -> None:
    chatter = Chatter(
        read="mysql",
        write="redshift",
        settings={"time_zone": None, "sql_mode": "'x'"},
        schemas={"ads": "reporting"},
    )
    asked = {
        "set time_zone = 'UTC'": Fate(skipped="chatter: set time_zone"),
        "set sql_mode = 'ANSI'": Fate("SET sql_mode TO 'x'"),
        "set search_path to default": KEPT,
        "use ads": Fate("SET search_path TO reporting"),
    }
    for sql, fate in asked.items():
        assert chatter.fate(sql, kind="set") == fate


def test_an_offset_counts_as_on_mysql(demo_one: EmbeddedServer) -> None:
    fate = Chatter(read="mysql", write="postgres").fate("SET time_zone = '+02:00'", kind="set")
    assert fate is not None
    assert fate.sql is not None
    with psycopg.connect(demo_one.url()) as connection:
        connection.execute(fate.sql.encode())
        row = connection.execute("SELECT '2026-01-01 12:00+00'::timestamptz::text").fetchone()
    assert row == ("2026-01-01 14:00:00+02",)
