"""Moved queries give the answers they gave: 1.0's tables are views over 2.0's.

2.0's tables have columns that are called as those of 1.0's other tables are, so that a name that is
left to the server by mistake is found by another meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any

import psycopg
import pytest
import sqlglot
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from replay.prepare.catalog import Catalog, read_catalog
from replay.prepare.places import Places, read_places
from replay.prepare.relocate import relocate
from replay.prepare.unsupported import UnsupportedError
from replay.target.embedded import EmbeddedServer

SEED = """
CREATE SCHEMA two;
CREATE TABLE two.person (person_id int, first text, last text, age int, amount int, label text);
CREATE TABLE two.address (person_id int, town text, code text, id int, n int);
CREATE TABLE two.country (code text, label text, city text, age int);
CREATE TABLE two.visit (visit_id int, who int, n int, town text, id int, land text);
CREATE TABLE orders (person int, amount int, city text, id int);
INSERT INTO two.person SELECT i, chr(96 + i % 3), chr(97 + i % 2), i % 4, -i, 'x' || i
    FROM generate_series(1, 12) i;
INSERT INTO two.address SELECT i, 'town' || i % 3, CASE WHEN i % 4 > 0 THEN 'c' || i % 2 END, -i, -i
    FROM generate_series(1, 10) i;
INSERT INTO two.country VALUES ('c0', 'low', 'town9', -1), ('c1', 'high', 'town8', -2);
INSERT INTO two.visit SELECT i, i % 15, i % 5, 'town' || i % 4, -i, 'none'
    FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i % 7, i % 4, 'town' || i % 5, i FROM generate_series(1, 9) i;
CREATE VIEW people AS SELECT p.person_id AS id, p.first || p.last AS name, a.town AS city,
    c.label AS land, p.age FROM two.person p LEFT JOIN two.address a USING (person_id)
    LEFT JOIN two.country c USING (code);
CREATE VIEW visits AS SELECT visit_id AS id, who AS person, n, town AS city FROM two.visit;
"""
PLACES = """
[tables.people]
to = "two.person"
[tables.people.columns]
id = "person_id"
name = "first || last"
city = "address.town"
land = "country.label"
age = "age"
[tables.people.joins]
address = { table = "two.address", on = "address.person_id = person_id", kind = "left" }
country = { table = "two.country", on = "country.code = address.code", kind = "left" }

[tables.visits]
to = "two.visit"
others = "keep"
[tables.visits.columns]
id = "visit_id"
person = "who"
city = "town"
"""
TABLES = {
    "people": ("id", "name", "city", "land", "age"),
    "visits": ("id", "person", "n", "city"),
    "orders": ("person", "amount", "city", "id"),
}
TEXTS = ("name", "city", "land")
# `name` is of the outer `o`; whoever qualifies it asks the inner one.
HIDDEN = (
    "SELECT o.name, l.city FROM people o, LATERAL "
    "(SELECT m.id, name AS city FROM (SELECT id FROM people) m, visits o) l"
)


@pytest.fixture(scope="module")
def asked(
    embedded_empty: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psycopg.Connection[Any], Places, Catalog]]:
    """A connection, the places, and the catalog of 1.0's tables."""
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE relocated")
    url = embedded_empty.url("relocated")
    path = tmp_path_factory.mktemp("answers") / "places.toml"
    path.write_text(PLACES, encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SEED.encode())
        catalog = read_catalog(url)
        yield (
            connection,
            read_places(path, read="postgres", write="postgres", templates={}, catalog=catalog),
            catalog,
        )


class _Writer:
    """Draws one query; keeps what its sources are called and have."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._aliases = (f"{letter}{n or ''}" for n in range(9) for letter in ascii_lowercase)
        self._used: set[str] = set()

    def pick(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def source(self, depth: int) -> tuple[str, str, tuple[str, ...]]:
        """`(text, alias, columns)` of one item of FROM."""
        table = self.pick("people", "visits", "people", "visits", "orders")
        columns, alias = TABLES[table], next(self._aliases)
        kind = self.pick("alias", "alias", "table", "derived", "renamed", "parentheses", "star")
        if depth and kind == "derived":
            text, columns = self.query(depth - 1, names=("id", "city"))
            return f"({text}) AS {alias}", alias, columns
        if kind == "star":
            return f"(SELECT * FROM {table}) {alias}", alias, columns
        if kind == "renamed" and table == "people":
            return f"{table} AS {alias}(x, y)", alias, ("x", "y", *columns[2:])
        if kind == "parentheses":
            other = next(self._aliases)
            inner = f"({table} {alias} JOIN visits {other} ON {alias}.id = {other}.id)"
            return inner, alias, columns
        if kind == "table":
            # A name of another table, now and then.
            alias = self.pick(
                *sorted({table, "visit", "person", "orders"} - self._used), f"{alias}_o"
            )
            self._used.add(alias)
        return f"{table} {alias}" if alias != table else table, alias, columns

    def query(
        self, depth: int, names: tuple[str, ...] = (), outer: tuple[str, ...] = ()
    ) -> tuple[str, tuple[str, ...]]:
        """`(text, output names)`; `outer` are columns that it may refer to besides its own."""
        items = [self.source(depth) for _ in range(self.pick(1, 1, 2, 2, 3))]
        text, merged = items[0][0], set[str]()
        for item, alias, columns in items[1:]:
            side = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", ",", "CROSS JOIN")
            shared = [name for name in items[0][2] if name in columns]
            how = self.pick("using", "natural", "on")
            if side in (",", "CROSS JOIN"):
                text += f"{'' if side == ',' else ' '}{side} {item}"
            elif how == "using" and shared:
                name = self.pick(*shared)
                merged.add(name)
                text += f" {side} {item} USING ({name})"
            elif how == "natural" and len(items) == 2:
                merged.update(shared)
                text += f" NATURAL {side} {item}"
            else:
                first = items[0]
                pairs = [(a, b) for a in first[2] for b in columns if _alike(a, b)]
                a, b = self.pick(*pairs)
                text += f" {side} {item} ON {first[1]}.{a} = {alias}.{b}"
        qualified = [f"{alias}.{name}" for _, alias, own in items for name in own]
        counts = Counter(name for _, _, own in items for name in own)
        hidden = [item for item, _, _ in items if item.startswith("(") and " JOIN visits" in item]
        counts.update([*TABLES["visits"]] * len(hidden))
        bare = [name for name, count in counts.items() if count == 1 or name in merged]
        usable = [*qualified, *bare, *bare, *outer]
        where = self.where(usable, depth)
        if names:
            found = [
                self.pick(*[c for c in usable if _alike(c, name)] or ["NULL"]) for name in names
            ]
            shown = ", ".join(f"{c} AS {n}" for c, n in zip(found, names, strict=True))
            return f"SELECT {shown} FROM {text}{where}", names
        form = self.pick("columns", "star", "group", "distinct", "window", "order")
        column, other = self.pick(*usable), self.pick(*usable)
        if form == "star":
            shown = self.pick("*", f"{items[0][1]}.*", "*, 1 AS one", f"{items[-1][1]}.*, {column}")
        elif form == "group":
            key = self.pick(column, "label", "1")
            named = f"{column} AS label" if key == "label" else column
            return (
                f"SELECT {named}, count(*), max({other}) FILTER (WHERE {column} IS NOT NULL) "
                f"FROM {text}{where} GROUP BY {key} HAVING count({column}) >= 0",
                (),
            )
        elif form == "distinct":
            name = column.rpartition(".")[2]
            return (
                f"SELECT DISTINCT ON ({name}) {column} FROM {text}{where} ORDER BY {name}",
                (),
            )
        elif form == "window":
            shown = f"{column}, count({other}) OVER w, sum(1) OVER (PARTITION BY {column})"
            return f"SELECT {shown} FROM {text}{where} WINDOW w AS (PARTITION BY {column})", ()
        else:
            shown = f"{column}, {other} AS id, ({column} || 'people')::text"
        order = f" ORDER BY {self.pick('id', column, '1')}" if form == "order" else ""
        return f"SELECT {shown} FROM {text}{where}{order}", ()

    def where(self, columns: list[str], depth: int) -> str:
        column = self.pick(*columns)
        alike = [each for each in columns if _alike(each, column)]
        tests = ["", f" WHERE {column} = {self.pick(*alike)}", f" WHERE {column} IS NOT NULL"]
        if depth:
            text, _ = self.query(depth - 1, names=(column.rpartition(".")[2],), outer=tuple(alike))
            tests += [f" WHERE {column} IN ({text})", f" WHERE EXISTS ({text})"]
            tests += [f" WHERE {column} = (SELECT max(v.{_name(column)}) FROM ({text}) v)"]
        return str(self.pick(*tests))


def _name(column: str) -> str:
    return column.rpartition(".")[2]


def _alike(left: str, right: str) -> bool:
    texts = (*TEXTS, "y")
    return (_name(left) in texts) == (_name(right) in texts)


@st.composite
def queries(draw: st.DrawFn) -> str:
    writer = _Writer(draw)
    form = writer.pick("plain", "plain", "plain", "cte", "shadow", "union", "lateral", "recursive")
    text, _ = writer.query(2)
    if form == "cte":
        common, _ = writer.query(1, names=("id", "city"))
        return f"WITH q AS ({common}) SELECT q.city, p.name FROM q JOIN people p USING (id)"
    if form == "shadow":
        return f"WITH visits AS (SELECT * FROM visits WHERE n > 1) {text}"
    if form == "union":
        one, _ = writer.query(1, names=("id", "city"))
        two, _ = writer.query(1, names=("id", "city"))
        return f"{one} {writer.pick('UNION', 'EXCEPT', 'INTERSECT ALL')} {two} ORDER BY city, id"
    if form == "lateral":
        inner, _ = writer.query(1, names=("id", "city"), outer=("o.city", "o.id", "age", "name"))
        return f"SELECT o.name, l.city, l.id FROM people o, LATERAL ({inner}) l"
    if form == "recursive":
        return (
            "WITH RECURSIVE r(id, name) AS (SELECT id, name FROM people WHERE id < 3 UNION ALL "
            "SELECT p.id, r.name FROM r JOIN people p ON p.id = r.id + 4) SELECT * FROM r"
        )
    return text


def _answer(connection: psycopg.Connection[Any], sql: str) -> tuple[list[str], Counter[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.encode())
        rows = Counter(cursor.fetchall())
        return [column.name for column in cursor.description or ()], rows


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(sql=queries(), told=st.booleans())
@example(sql=HIDDEN, told=True)
def test_moved_queries_answer_as_before(
    asked: tuple[psycopg.Connection[Any], Places, Catalog], sql: str, told: bool
) -> None:
    connection, places, catalog = asked
    try:
        expected = _answer(connection, sql)
    except psycopg.Error:
        assume(False)
    tree = sqlglot.parse_one(sql, read="postgres")
    literals = Counter(each.this for each in tree.find_all(exp.Literal) if each.is_string)
    try:
        relocate(tree, places, catalog if told else None)
    except UnsupportedError as error:
        # With the catalog nothing of this is in doubt, but a name may stand in another's way.
        assert not told or "hides" in str(error)
        return
    moved = tree.sql("postgres")
    assert _answer(connection, moved) == expected, moved
    assert Counter(each.this for each in tree.find_all(exp.Literal) if each.is_string) == literals
