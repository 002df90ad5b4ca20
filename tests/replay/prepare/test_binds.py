from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from replay.demo.load import DATABASE
from replay.prepare.binds import casts_everywhere, casts_needed, with_casts, with_literals
from replay.prepare.coverage import CoverageWord
from replay.prepare.examples import find_bind_types
from replay.prepare.prepare import prepare
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from tests.replay.prepare.workloads import Asked, make_workload

NEEDED: dict[str, tuple[str, list[str], str]] = {
    "comparison": ("select a from t where b = $1", ["BIGINT"], "select a from t where b = $1"),
    "between": (
        "select a from t where b between $1 and $2",
        ["DATE", "DATE"],
        "select a from t where b between $1 and $2",
    ),
    "cast": ("select $1::int", ["BIGINT"], "select $1::int"),
    "limit": ("select a from t limit $1", ["BIGINT"], "select a from t limit $1"),
    "arithmetic": (
        "select a from t where b > $1 + $2",
        ["BIGINT", "NUMERIC"],
        "select a from t where b > CAST($1 AS BIGINT) + CAST($2 AS NUMERIC)",
    ),
    "beside a column": ("select a from t where b > c + $1", ["BIGINT"], ""),
    "truncated": (
        "select date_trunc('day', $1), a from t where b = $1",
        ["TIMESTAMP"],
        "select date_trunc('day', CAST($1 AS TIMESTAMP)), a from t where b = $1",
    ),
    "null test": (
        "select a from t where $1 is null or b = $1",
        ["TEXT"],
        "select a from t where CAST($1 AS TEXT) is null or b = $1",
    ),
    "select list": ("select $1, a from t", ["BIGINT"], "select CAST($1 AS BIGINT), a from t"),
    "text in select list": ("select $1, a from t", ["TEXT"], "select $1, a from t"),
    "literal that looks like one": (
        "select '$1', $1 + 1 from t",
        ["BIGINT"],
        "select '$1', CAST($1 AS BIGINT) + 1 from t",
    ),
    "no grammar": ("select (( $1 + 1", ["BIGINT"], "select (( $1 + 1"),
    "json operator": ("select a ? 'x' from t", [], "select a ? 'x' from t"),
}


@pytest.mark.parametrize(("sql", "types", "expected"), NEEDED.values(), ids=NEEDED.keys())
def test_casts_where_the_place_leaves_the_type_open(
    sql: str, types: list[str], expected: str
) -> None:
    casts = casts_needed(sql, types, dialect="postgres")
    assert with_casts(sql, casts, dialect="postgres") == (expected or sql)


def test_mysql_binds_have_mysql_types() -> None:
    sql = "select ? + ?, 'x?' from t where a = ?"
    casts = casts_needed(sql, ["BIGINT", "NUMERIC", "TEXT"], dialect="mysql")
    assert with_casts(sql, casts, dialect="mysql") == (
        "select CAST(? AS SIGNED) + CAST(? AS DECIMAL(38, 10)), 'x?' from t where a = ?"
    )


def test_every_value_of_a_bind_decides_its_type(tmp_path: Path) -> None:
    rows: list[tuple[str | None, ...]] = [
        ("1", "1", "2026-01-01", "2026-01-01", "2026-01-01 00:00:00Z", "t", None, "'"),
        (
            "-2",
            "1.5e3",
            "2026-02-01",
            "2026-01-01 10:00",
            "2026-01-01 10:00:00.5+02",
            "f",
            None,
            "",
        ),
    ]
    sql = "select $1, $2, $3, $4, $5, $6, $7, $8"
    workload = make_workload(tmp_path / "w", [Asked(sql=sql, params=row) for row in rows])
    (types,) = find_bind_types(workload).values()
    assert types == (
        ["BIGINT", "NUMERIC", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "BOOLEAN", "TEXT", "TEXT"]
    )


def test_typed_literals_mean_what_the_binds_did(demo_two: EmbeddedServer) -> None:
    values = ["-5", "1.5", "2026-03-01", "2026-03-01 10:00:00+02", "t", "O'Neil \\ $1", None]
    types = ["BIGINT", "NUMERIC", "DATE", "TIMESTAMPTZ", "BOOLEAN", "TEXT", "TEXT"]
    sql = "select 1 - $1, $2 + 1, $3, $4, $5, $6, $7, '$1'"
    spelt = with_literals(sql, values, types, dialect="postgres")
    casts = casts_everywhere(sql, types, dialect="postgres")
    bound = with_casts(sql, casts, dialect="postgres")
    with psycopg.connect(demo_two.url(DATABASE)) as connection:
        expected = psycopg.RawCursor(connection).execute(bound.encode(), values).fetchone()
        found = connection.execute(spelt.encode()).fetchone()
    assert found == expected
    assert expected is not None
    assert expected[0] == 6


def test_lists_of_binds_have_any_length(tmp_path: Path) -> None:
    asked = [
        Asked(sql="select a from t where c > $1 + 1 and b in ($2)", params=("5", "x")),
        Asked(sql="select a from t where c > $1 + 1 and b in ($2, $3)", params=("6", "7", "x")),
    ]
    source = make_workload(tmp_path / "w1", asked)
    assert len(source.templates()) == 1
    prepare(source, tmp_path / "w2", read="postgres", write="postgres")
    assert Workload(tmp_path / "w2").statements(["sql"])["sql"].to_pylist() == [
        "select a from t where c > CAST($1 AS BIGINT) + 1 and b in ($2)",
        "select a from t where c > CAST($1 AS BIGINT) + 1 and b in ($2, $3)",
    ]


AMBIGUOUS: dict[str, tuple[Asked, dict[str, Any]]] = {
    # What the target cannot type is cast, and what takes no bind is spelt out.
    "cast": (
        Asked(sql="select to_char($1, 'YYYY')", params=("2026-01-01 10:00:00",)),
        {"sql": "select to_char(CAST($1 AS TIMESTAMP), 'YYYY')", "params": ["2026-01-01 10:00:00"]},
    ),
    "function": (
        Asked(sql="select sum(site_id + $1) from dim_site where abs($2) > 1", params=("1", "2")),
        {"sql": "select sum(site_id + $1) from dim_site where abs($2) > 1", "params": ["1", "2"]},
    ),
    "generate": (
        Asked(sql="select * from generate_series($1, $2)", params=("1", "3")),
        {
            "sql": "select * from generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT))",
            "params": ["1", "3"],
        },
    ),
    "spelt out": (
        Asked(sql="select interval $1", params=("1 day",)),
        {"sql": "select interval '1 day'", "params": None},
    ),
}


@pytest.mark.parametrize(("asked", "expected"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_the_target_decides_how_binds_are_sent(
    tmp_path: Path, demo_two: EmbeddedServer, asked: Asked, expected: dict[str, Any]
) -> None:
    source = make_workload(tmp_path / "w1", [asked])
    coverage = prepare(
        source,
        tmp_path / "w2",
        read="postgres",
        write="postgres",
        check_url=demo_two.url(DATABASE),
    )
    prepared = Workload(tmp_path / "w2").statements(["sql", "params"]).to_pylist()
    assert prepared == [expected]
    changed = expected["sql"] != asked.sql
    assert [each.word for each in coverage.templates] == [
        CoverageWord.TRANSLATED if changed else CoverageWord.UNCHANGED
    ]
    with psycopg.connect(demo_two.url(DATABASE)) as connection:
        psycopg.RawCursor(connection).execute(expected["sql"].encode(), expected["params"])
