from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

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

[tables.stays]
others = "keep"
columns.a = "b"

[tables."old.named"]
to = "kept.other"
columns = { id = "key" }

[tables.NYC_1]
to = "nyc"
[tables.NYC_1.columns]
"Complaint Type" = "kind"
City = "place"

[schemas]
old = "new"
[databases]
d1 = "d2"
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
        "FROM crm.person AS people GROUP BY 1",
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
        "SELECT q.name FROM q WHERE id > 3",
    ),
    "a cte may rename its columns": (
        "with q(i) as (select id from people) select i, age from q, people where i = id",
        "WITH q(i) AS (SELECT people.person_id AS id FROM crm.person AS people) "
        "SELECT q.i, people.age FROM q, crm.person AS people WHERE q.i = people.person_id",
    ),
    "a derived table may rename its columns": (
        "select x from (select id from people) as d(x)",
        "SELECT x FROM (SELECT people.person_id AS id FROM crm.person AS people) AS d(x)",
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
        "SELECT v.day, n FROM visit AS v",
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
    "new names for its columns": (
        "select a, b, city from people p(a, b)",
        "SELECT p.person_id AS a, p.first_name || ' ' || p.last_name AS b, p_address.city FROM "
        "crm.person AS p LEFT JOIN crm.address AS p_address ON p_address.person_id = p.person_id",
    ),
    "names that the server can tell": (
        "select a from visits v, orders o",
        "SELECT a FROM visit AS v, orders AS o",
    ),
    "using is spelt out": (
        "select id, p.age from visits join people p using (id)",
        "SELECT visits.id, p.age FROM visit AS visits JOIN crm.person AS p "
        "ON visits.id = p.person_id",
    ),
    "the right side's of a right join": (
        "select id from visits right join people p using (id) order by id",
        "SELECT p.person_id AS id FROM visit AS visits RIGHT JOIN crm.person AS p "
        "ON visits.id = p.person_id ORDER BY id",
    ),
    "either side's of a full join": (
        "select id from people a full join people b using (id)",
        "SELECT COALESCE(a.person_id, b.person_id) AS id FROM crm.person AS a "
        "FULL JOIN crm.person AS b ON a.person_id = b.person_id",
    ),
    "a star lists merged columns first": (
        "select * from people a natural join (select age, 1 as one from people) b",
        "SELECT a.age, a.person_id AS id, a.first_name || ' ' || a.last_name AS name, "
        "a_address.city, a_country.label AS land, b.one FROM crm.person AS a "
        "LEFT JOIN crm.address AS a_address ON a_address.person_id = a.person_id "
        "JOIN country AS a_country ON a_country.code = a_address.country_code "
        "JOIN (SELECT people.age, 1 AS one FROM crm.person AS people) AS b ON a.age = b.age",
    ),
    "a star beside a table that stays": (
        "select * from orders, people p(a, b, c, d, e) where c = 'x'",
        "SELECT orders.*, p.person_id AS a, p.first_name || ' ' || p.last_name AS b, "
        "p_address.city AS c, p_country.label AS d, p.age AS e FROM orders, (crm.person AS p "
        "LEFT JOIN crm.address AS p_address ON p_address.person_id = p.person_id "
        "JOIN country AS p_country ON p_country.code = p_address.country_code) "
        "WHERE p_address.city = 'x'",
    ),
    "the reading side of an insert": (
        "insert into log (id) select id from people",
        "INSERT INTO log (id) SELECT people.person_id AS id FROM crm.person AS people",
    ),
    "a subquery of an update sees its table": (
        "update log set n = (select age from people where id = log.person)",
        "UPDATE log SET n = (SELECT people.age FROM crm.person AS people "
        "WHERE people.person_id = log.person)",
    ),
    "an alias in sets of groups": (
        "select upper(name) as label, age from people group by rollup(label, age)",
        "SELECT UPPER(people.first_name || ' ' || people.last_name) AS label, people.age "
        "FROM crm.person AS people GROUP BY ROLLUP (1, people.age)",
    ),
    "group by what the answer is made of": (
        "select date(d) as d, lower(v.x) as e from visits v, people group by d, e",
        "SELECT DATE(v.d) AS d, LOWER(v.x) AS e FROM visit AS v, crm.person AS people "
        "GROUP BY v.d, 2",
    ),
    "a word that is a function": (
        "select user, p.age from people p",
        "SELECT user, p.age FROM crm.person AS p",
    ),
    "a schema moves": ("select t.a, old.t.b from old.t", "SELECT t.a, t.b FROM new.t"),
    "a database of three": ("select 1 from d1.old.t", "SELECT 1 FROM d2.new.t"),
    "a table that is named goes its own way": (
        "select id from old.named",
        "SELECT named.key AS id FROM kept.other AS named",
    ),
    "columns change where the table stays": (
        "select a, c from stays",
        "SELECT stays.b AS a, stays.c FROM stays",
    ),
    "names in quotes": (
        'select "NYC_1"."Complaint Type", "City" from "NYC_1"',
        'SELECT "NYC_1".kind AS "Complaint Type", "NYC_1".place AS "City" FROM nyc AS "NYC_1"',
    ),
    "and without": ("select city from NYC_1", "SELECT NYC_1.place AS city FROM nyc AS NYC_1"),
}

REFUSED = {
    "unknown column": (
        "select nam from people",
        "`people` has no place for column `nam`, nearest: `name`",
    ),
    "unknown qualified column": ("select p.x from people p", "no place for column `x`"),
    "using": ("select 1 from (visits a join visits b on true) join people using (id)", "USING"),
    "natural join": ("select 1 from people natural join visits", "NATURAL"),
    "renamed columns": ("select x from stays p(x)", "new columns for `stays`"),
    "star with others kept": ("select * from stays", "a star over `stays`"),
    "star over using": ("select * from visits join people using (id)", "a star over JOIN USING"),
    "counted row": ("select count(p.*) from people p", "a row of `p` as one value"),
    "whole row": ("select to_json(p) from people p", "a row of `p` as one value"),
    "row that hides no column of a query around": (
        "select 1 from people p where exists (select name from visits name where n = name)",
        "could be of several tables",
    ),
    "row of its own name": ("select people from people", "a row of `people` as one value"),
    "a query called as the new table": (
        "with visit as (select 1 as id) select * from visits",
        "WITH names a query as the new table `visit`",
    ),
    "element": ("select name[1] from people", "an element of `name`"),
    "delete in with": ("with d as (delete from people) select 1", "`delete` on `people`"),
    "delete": ("delete from people where id = 1", "`delete` on `people`"),
    "written and read": (
        "insert into people select * from people",
        "`insert` on `people`, which moves",
    ),
    "insert": ("insert into people (id) values (1)", "`insert` on `people`"),
    "update": ("update people set id = 1", "`update` on `people`"),
    "ambiguous": ("select z from stays v, orders o", "could be of several tables"),
    "hidden": (
        "select p.id from people p where exists (select from (select 1 as one) p where land = 'x')",
        "a column of `p`, which a nearer `p` hides",
    ),
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


FOLDED = {
    "postgres": 'select "City" as "CITY", city as "City" from "NYC_1"',
    "mysql": "select `CITY`, City from `NYC_1` limit 1",
    "redshift": 'select "CITY", City from "nyc_1" limit 1',
}


@pytest.mark.parametrize(("dialect", "sql"), FOLDED.items(), ids=FOLDED.keys())
def test_names_are_folded_as_1_0_folds_them(tmp_path: Path, dialect: str, sql: str) -> None:
    path = tmp_path / "places.toml"
    path.write_text(PLACES, encoding="utf-8")
    places = read_places(path, read=dialect, write="postgres", templates={})
    tree = sqlglot.parse_one(sql, read=dialect)
    assert relocate(tree, places)
    assert [each.name for each in tree.find_all(exp.Column)] == ["place", "place"]
    assert [each.alias for each in tree.find_all(exp.Alias)] == ["CITY", "City"]
