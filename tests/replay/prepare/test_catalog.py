from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import sqlglot

from replay.errors import ExitCode, Unreachable, UsageError
from replay.prepare.catalog import Catalog, read_catalog
from replay.prepare.places import read_places
from replay.prepare.relocate import relocate
from replay.prepare.unsupported import UnsupportedError
from replay.target.embedded import EmbeddedServer

HEADER = "table_schema,table_name,column_name"
READ = {
    "in the order of the file": (f"{HEADER}\np,t,b\np,t,a\n", ("b", "a")),
    "by position, other columns left alone": (
        'ORDINAL_POSITION,TABLE_NAME,COLUMN_NAME,TABLE_SCHEMA,COMMENT\n2,t,a,p,"x\ny"\n1,t,b,p,\n',
        ("b", "a"),
    ),
    "with a byte order mark": (f"\ufeff{HEADER}\np,t,a\n", ("a",)),
}
BAD = {
    "no header": ("p,t,a\n", ["line 1: the header lacks `table_schema`"]),
    "rows": (
        f"{HEADER},ordinal_position\np,t\np,,a,1\np,t,a,x\np,t,b,1\np,t,b,2\n\n",
        [
            "has 4 bad line(s)",
            "line 2: 2 fields, the header has 4",
            "line 3: `table_name` is empty",
            "line 4: `ordinal_position` is no number",
            "line 6: a column of this name or position was there before",
        ],
    ),
    "no table": (f"{HEADER}\n", ["has no table"]),
    "not UTF-8": (b"\xff", ["cannot be read"]),
}
PLACES = """
[tables.t]
to = "two.u"
others = "keep"
columns = { b = "x.c" }
joins.x = { table = "x", on = "x.id = id" }
[tables.kept]
to = "two.kept"
"""
CATALOG = Catalog(
    {
        ("public", "t"): ("id", "b", "Upper"),
        ("public", "kept"): ("id", "n"),
        ("public", "orders"): ("id", "m"),
    }
)
MOVED = {
    "others are kept in stars": (
        "select * from t",
        'SELECT t.id, t_x.c AS b, t."Upper" FROM two.u AS t JOIN x AS t_x ON t_x.id = t.id',
    ),
    "a star of a table without columns": (
        "select * from kept, orders",
        "SELECT kept.id, kept.n, orders.* FROM two.kept, orders",
    ),
    "whose column it is": (
        "select n, m, b from kept, orders, t",
        "SELECT kept.n, orders.m, t_x.c AS b FROM two.kept, orders, "
        "(two.u AS t JOIN x AS t_x ON t_x.id = t.id)",
    ),
    "the outer query's": (
        "select 1 from t where exists (select 1 from orders where m = b)",
        "SELECT 1 FROM two.u AS t JOIN x AS t_x ON t_x.id = t.id "
        "WHERE EXISTS(SELECT 1 FROM orders WHERE orders.m = t_x.c)",
    ),
}
REFUSED = {
    "column": ("select t.uper from t", "1.0's `t` has no column `uper`, nearest: `Upper`"),
    "bare column": ("select idd from t, orders", "has no column `idd`, nearest: `id`"),
    "column of a table that stays": ("select o.n from t, orders o", "`orders` has no column `n`"),
    "table": ("select 1 from ordres", "1.0 has no table `ordres`, nearest: `orders`"),
}


def _written(tmp_path: Path, text: str | bytes, name: str = "catalog.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(("text", "columns"), READ.values(), ids=READ.keys())
def test_an_export_gives_columns_in_order(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    assert read_catalog(str(_written(tmp_path, text))).columns("p", "t") == columns


@pytest.mark.parametrize(("text", "messages"), BAD.values(), ids=BAD.keys())
def test_bad_rows_are_listed(tmp_path: Path, text: str | bytes, messages: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read_catalog(str(_written(tmp_path, text)))
    assert [each for each in messages if each not in str(caught.value)] == []
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_server_tells_of_tables_and_views(embedded_empty: EmbeddedServer) -> None:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE told")
    url = embedded_empty.url("told")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('CREATE TABLE "T" (b int, a int, gone int); ALTER TABLE "T" DROP gone')
        connection.execute("CREATE MATERIALIZED VIEW v AS SELECT 1 AS z")
    assert read_catalog(url).tables == {("public", "T"): ("b", "a"), ("public", "v"): ("z",)}
    with pytest.raises(Unreachable):
        read_catalog(embedded_empty.url("nowhere"))


@pytest.mark.parametrize(("sql", "expected"), MOVED.values(), ids=MOVED.keys())
def test_the_catalog_tells_names_apart(tmp_path: Path, sql: str, expected: str) -> None:
    path = _written(tmp_path, PLACES, "places.toml")
    places = read_places(path, read="postgres", write="postgres", templates={}, catalog=CATALOG)
    tree = sqlglot.parse_one(sql, read="postgres")
    assert relocate(tree, places, CATALOG)
    assert tree.sql("postgres") == expected


@pytest.mark.parametrize(("sql", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_1_0_never_had_is_refused(tmp_path: Path, sql: str, reason: str) -> None:
    path = _written(tmp_path, PLACES, "places.toml")
    places = read_places(path, read="postgres", write="postgres", templates={}, catalog=CATALOG)
    with pytest.raises(UnsupportedError) as caught:
        relocate(sqlglot.parse_one(sql, read="postgres"), places, CATALOG)
    assert reason in str(caught.value)


def test_places_name_what_1_0_has(tmp_path: Path) -> None:
    text = PLACES.replace("b =", "bb =").replace("tables.kept", "tables.kep")
    path = _written(tmp_path, f'default_schema = "publik"\n{text}[schemas]\nold = "new"\n')
    with pytest.raises(UsageError) as caught:
        read_places(path, read="postgres", write="postgres", templates={}, catalog=CATALOG)
    assert "line 1: default_schema: 1.0 has no schema `publik`, nearest: `public`" in str(
        caught.value
    )
    path.write_text(f'{text}[schemas]\nold = "new"\n', encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_places(path, read="postgres", write="postgres", templates={}, catalog=CATALOG)
    for message in (
        "line 5: tables.t.columns.bb: 1.0's `t` has no column `bb`, nearest: `b`",
        "line 7: tables.kep: 1.0 has no table `public.kep`, nearest: `kept`",
        "line 10: schemas.old: 1.0 has no schema `old`",
    ):
        assert message in str(caught.value)
