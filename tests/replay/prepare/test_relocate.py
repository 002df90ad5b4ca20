from __future__ import annotations

import pytest
import sqlglot

from replay.prepare.places import Places, read_places
from replay.prepare.relocate import relocate
from replay.prepare.unsupported import UnsupportedError

PLACES = """
[tables.people]
to = "crm.person"
[tables.people.columns]
id = "person_id"
name = "first_name || ' ' || last_name"
city = "address.city"
land = "country.label"
age = "age"
[tables.people.joins]
address = { table = "crm.address", on = "address.person_id = person_id", kind = "left" }
country = { table = "country", on = "country.code = address.country_code" }

[tables.visits]
to = "visit"
"""

MOVED = {
    "root columns need no join": (
        "select age from people",
        "SELECT people.age FROM crm.person AS people",
    ),
    "an expression keeps the name of the answer": (
        "select name from people p where name like 'x%'",
        "SELECT p.first_name || ' ' || p.last_name AS name FROM crm.person AS p "
        "WHERE (p.first_name || ' ' || p.last_name) LIKE 'x%'",
    ),
    "a cast keeps the name of the answer": (
        "select id::text from people",
        "SELECT CAST(people.person_id AS TEXT) AS id FROM crm.person AS people",
    ),
    "an alias stays": (
        "select id as i from people",
        "SELECT people.person_id AS i FROM crm.person AS people",
    ),
    "only the joins needed": (
        "select city from people p",
        "SELECT p_address.city FROM crm.person AS p "
        "LEFT JOIN crm.address AS p_address ON p_address.person_id = p.person_id",
    ),
    "a join brings those it needs": (
        "select land from people p",
        "SELECT p_country.label AS land FROM crm.person AS p "
        "LEFT JOIN crm.address AS p_address ON p_address.person_id = p.person_id "
        "JOIN country AS p_country ON p_country.code = p_address.country_code",
    ),
    "under an outer join the joins are nested": (
        "select o.x from orders o left join people p on p.city = o.city",
        "SELECT o.x FROM orders AS o LEFT JOIN (crm.person AS p "
        "LEFT JOIN crm.address AS p_address ON p_address.person_id = p.person_id) "
        "ON p_address.city = o.city",
    ),
    "order by means the answer": (
        "select name from people order by name",
        "SELECT people.first_name || ' ' || people.last_name AS name "
        "FROM crm.person AS people ORDER BY name",
    ),
    "an expression in order by means the table": (
        "select id from people order by lower(name)",
        "SELECT people.person_id AS id FROM crm.person AS people "
        "ORDER BY LOWER(people.first_name || ' ' || people.last_name)",
    ),
    "group by means the table first": (
        "select id as age, count(*) from people group by age",
        "SELECT people.person_id AS age, COUNT(*) FROM crm.person AS people GROUP BY people.age",
    ),
    "group by an alias": (
        "select upper(name) as label, count(*) from people group by label",
        "SELECT UPPER(people.first_name || ' ' || people.last_name) AS label, COUNT(*) "
        "FROM crm.person AS people GROUP BY label",
    ),
    "a star is spelt out": (
        "select *, 1 as one from people",
        "SELECT people.person_id AS id, people.first_name || ' ' || people.last_name AS name, "
        "people_address.city, people_country.label AS land, people.age, 1 AS one "
        "FROM crm.person AS people "
        "LEFT JOIN crm.address AS people_address ON people_address.person_id = people.person_id "
        "JOIN country AS people_country ON people_country.code = people_address.country_code",
    ),
    "a star of another table stays": (
        "select o.* from orders o join people p on p.id = o.person",
        "SELECT o.* FROM orders AS o JOIN crm.person AS p ON p.person_id = o.person",
    ),
    "a correlated subquery sees the outer table": (
        "select id from people p where exists (select 1 from orders o where o.person = p.id)",
        "SELECT p.person_id AS id FROM crm.person AS p "
        "WHERE EXISTS(SELECT 1 FROM orders AS o WHERE o.person = p.person_id)",
    ),
    "a cte keeps its columns": (
        "with q as (select id, name from people) select q.name from q where id > 3",
        "WITH q AS (SELECT people.person_id AS id, "
        "people.first_name || ' ' || people.last_name AS name FROM crm.person AS people) "
        "SELECT q.name FROM q WHERE q.id > 3",
    ),
    "a cte may rename its columns": (
        "with q(i) as (select id from people) select i, age from q, people where i = id",
        "WITH q(i) AS (SELECT people.person_id AS id FROM crm.person AS people) "
        "SELECT q.i, people.age FROM q, crm.person AS people WHERE q.i = people.person_id",
    ),
    "a derived table may rename its columns": (
        "select x from (select id from people) as d(x)",
        "SELECT d.x FROM (SELECT people.person_id AS id FROM crm.person AS people) AS d(x)",
    ),
    "a quoted alias stays quoted": (
        'select "P".id, n from people "P", (select 1 as n) "D"',
        'SELECT "P".person_id AS id, "D".n FROM crm.person AS "P", (SELECT 1 AS n) AS "D"',
    ),
    "a cte of the old table's name hides it": (
        "with people as (select 1 as id) select id from people",
        None,
    ),
    "a table without columns keeps its own": (
        "select v.day, n from visits v",
        "SELECT v.day, v.n FROM visit AS v",
    ),
    "the default schema may be named": (
        "select id from public.people",
        "SELECT people.person_id AS id FROM crm.person AS people",
    ),
    "another schema is another table": ("select id from archive.people", None),
    "both sides of a union": (
        "select id from people union all select id from people order by 1",
        "SELECT people.person_id AS id FROM crm.person AS people UNION ALL "
        "SELECT people.person_id AS id FROM crm.person AS people ORDER BY 1",
    ),
    "the same table twice": (
        "select a.id, b.city from people a, people b where a.age = b.age",
        "SELECT a.person_id AS id, b_address.city FROM crm.person AS a, (crm.person AS b "
        "LEFT JOIN crm.address AS b_address ON b_address.person_id = b.person_id) "
        "WHERE a.age = b.age",
    ),
    "the name in a string is no table": ("select 'people'", None),
}

REFUSED = {
    "unknown column": (
        "select nam from people",
        "`people` has no place for column `nam`, nearest: `name`",
    ),
    "unknown qualified column": ("select p.x from people p", "no place for column `x`"),
    "using": ("select 1 from people join visits using (id)", "USING"),
    "natural join": ("select 1 from people natural join visits", "NATURAL"),
    "renamed columns": ("select a from people p(a)", "new column names"),
    "insert": ("insert into people (id) values (1)", "`insert` on `people`"),
    "update": ("update people set id = 1", "`update` on `people`"),
    "ambiguous": ("select a from visits v, orders o", "could be of several tables"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    path = tmp_path_factory.mktemp("places") / "places.toml"
    path.write_text(PLACES, encoding="utf-8")
    return read_places(path, read="postgres", write="postgres", templates={})


@pytest.mark.parametrize(("sql", "expected"), MOVED.values(), ids=MOVED.keys())
def test_references_are_moved_in_their_scope(
    places: Places, sql: str, expected: str | None
) -> None:
    tree = sqlglot.parse_one(sql, read="postgres")
    before = tree.sql("postgres")
    assert relocate(tree, places) is (expected is not None)
    assert tree.sql("postgres") == (expected or before)


@pytest.mark.parametrize(("sql", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_place_is_refused_by_name(places: Places, sql: str, reason: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        relocate(sqlglot.parse_one(sql, read="postgres"), places)
    assert reason in str(caught.value)
