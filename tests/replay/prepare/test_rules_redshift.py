"""Between PostgreSQL and Redshift: what is written, what is refused, and that answers agree.

No Redshift runs here. Its text is brought back to PostgreSQL by the rules of the other direction,
or run as it is where PostgreSQL takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from replay.prepare.translate import Translator
from replay.target.embedded import EmbeddedServer

Connection = psycopg.Connection[tuple[Any, ...]]

SEED = """
CREATE TABLE t (id int, g text, n int, m numeric(10,2), s text, d date, ts timestamp,
                tz timestamptz, b bool, j json);
INSERT INTO t VALUES
 (1, 'a', 3, 10.50, 'Abc_1', '2024-02-29', '2024-02-29 10:11:12.345678', '2024-02-29 23:30+00',
  true, '{"x": {"y": "deep"}, "z": 1}'),
 (2, 'a', 3, -2.25, 'abc', '2024-12-30', '2024-12-30 00:00:00', '2024-12-30 00:00+00', false, '{}'),
 (3, 'a', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (4, 'b', -7, 0.00, 'x,y', '2023-01-01', '2023-01-01 23:59:59.5', '2023-01-01 12:00+00', true,
  '{"x": null}'),
 (5, 'b', 8, 7.77, 'ABC%', '2024-02-29', '2024-03-01 00:00:01', '2024-03-01 00:00:01+00', NULL,
  '{"z": "t"}'),
 (6, NULL, 0, 1.00, 'été', '2024-03-01', '2024-02-29 10:11:12', '2024-02-29 10:11:12+00', false,
  '{"x": {"y": null}}');
CREATE TABLE u (id int, g text, k int);
INSERT INTO u VALUES (1, 'a', 3), (2, 'a', NULL), (3, 'b', -7), (4, NULL, 0);
"""

# A name, how Redshift's text runs here (`back`, `as it is` or `not run`) and what is asked; after
# => what Redshift is asked, where that differs.
WRITTEN = r"""
- distinct on | back | select distinct on (g) g, id, m from t order by g, m desc, id
=> SELECT g, id, m FROM t WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY g ORDER BY g, m DESC,
id) = 1 ORDER BY g, m DESC, id
- distinct on, alias, number, limit | back | select distinct on (k) lower(g) as k, id from t where
id > 0 order by 1, id desc limit 2
=> SELECT LOWER(g) AS k, id FROM t WHERE id > 0 QUALIFY ROW_NUMBER() OVER (PARTITION BY LOWER(g)
ORDER BY LOWER(g), id DESC) = 1 ORDER BY 1, id DESC LIMIT 2
- distinct on, star | not run | select distinct on (g) * from t
=> SELECT * FROM t WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY g ORDER BY g) = 1
- filter | back | select g, count(*) filter (where n > 0) c, sum(m) filter (where b) s,
count(distinct n) filter (where m > 0) from t group by g
=> SELECT g, COUNT(CASE WHEN n > 0 THEN 1 END) AS c, SUM(CASE WHEN b THEN m END) AS s,
COUNT(DISTINCT CASE WHEN m > 0 THEN n END) FROM t GROUP BY g
- filter of an ordered list | back | select string_agg(s, ',' order by id) filter (where n > 0)
from t
=> SELECT LISTAGG(CASE WHEN n > 0 THEN s END, ',') WITHIN GROUP (ORDER BY id) FROM t
- filter of a percentile | back | select percentile_cont(0.5) within group (order by n) filter
(where n <> 0) from t
=> SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY CASE WHEN n <> 0 THEN n END) FROM t
- any of an array | back | select id from t where n = any(array[3, 8, null])
=> SELECT id FROM t WHERE n IN (3, 8, NULL)
- any of a literal | back | select id from t where n = any('{3, -7}'::int[]) or s = any('{abc}')
=> SELECT id FROM t WHERE n IN (CAST('3' AS INTEGER), CAST('-7' AS INTEGER)) OR s IN ('abc')
- all of a literal | back | select id from t where n <> all('{3,8}') and id <> all('{}'::int[])
=> SELECT id FROM t WHERE NOT n IN ('3', '8') AND NOT FALSE
- ordered list | back | select g, string_agg(s, '; ' order by id desc) from t group by g
=> SELECT g, LISTAGG(s, '; ') WITHIN GROUP (ORDER BY id DESC) FROM t GROUP BY g
- distinct from | back | select id, n is distinct from id, n is not distinct from null from t
=> SELECT id, NOT (n = id AND NOT n IS NULL AND NOT id IS NULL OR n IS NULL AND id IS NULL), (n =
NULL AND NOT n IS NULL AND NOT NULL IS NULL OR n IS NULL AND NULL IS NULL) FROM t
- values | back | select v.x, v.y from (values (1, 'a'), (2, null)) v(x, y)
=> SELECT v.x, v.y FROM (SELECT 1 AS x, 'a' AS y UNION ALL SELECT 2, NULL) AS v
- concat | back | select id, concat(g, '-', n, s) from t
=> SELECT id, COALESCE(CAST(g AS VARCHAR(MAX)), '') || '-' || COALESCE(CAST(n AS VARCHAR(MAX)), '')
|| COALESCE(CAST(s AS VARCHAR(MAX)), '') FROM t
- concat_ws | back | select id, concat_ws(', ', g, n, s) from t
=> SELECT id, SUBSTRING(COALESCE(', ' || CAST(g AS VARCHAR(MAX)), '') || COALESCE(', ' || CAST(n AS
VARCHAR(MAX)), '') || COALESCE(', ' || CAST(s AS VARCHAR(MAX)), '') FROM LENGTH(', ') + 1) FROM t
- casts without length | back | select n::text, s::varchar, m::numeric, n::decimal(5,1) from t
=> SELECT CAST(n AS VARCHAR(MAX)), CAST(s AS VARCHAR(MAX)), CAST(m AS DECIMAL(30, 10)), CAST(n AS
DECIMAL(5, 1)) FROM t
- quotient of a cast | back | select id, round(n::numeric / nullif(m, 0), 4) from t
=> SELECT id, ROUND(CAST(n AS DECIMAL(30, 10)) / NULLIF(m, 0), 4) FROM t
- average | back | select g, avg(n), avg(distinct n), avg(m) from t group by g
=> SELECT g, AVG(CAST(n AS DOUBLE PRECISION)), AVG(DISTINCT CAST(n AS DOUBLE PRECISION)),
AVG(CAST(m AS DOUBLE PRECISION)) FROM t GROUP BY g
- now | back | select id from t where ts < now() - interval '1 day' and d < current_date
=> SELECT id FROM t WHERE ts < SYSDATE - INTERVAL '1 DAY' AND d < CURRENT_DATE
- now in a zone | back | select id from t where ts < now() at time zone 'Europe/Berlin'
=> SELECT id FROM t WHERE ts < CAST(SYSDATE AS TIMESTAMP WITH TIME ZONE) AT TIME ZONE
'Europe/Berlin'
- cast to interval | back | select id, ts + '1 day 2 hours'::interval from t
=> SELECT id, ts + INTERVAL '1 day 2 hours' FROM t
- seconds of an epoch | back | select id, to_timestamp(n + 0.5) from t
=> SELECT id, (CAST('1970-01-01 00:00:00+00' AS TIMESTAMP WITH TIME ZONE) + (n + 0.5) * INTERVAL '1
SECOND') FROM t
- fields | as it is | select id, extract(epoch from ts), extract(second from ts),
extract(milliseconds from ts), extract(isodow from d), extract(isoyear from d), extract(decade from
d) from t
=> SELECT id, DATE_PART('epoch', ts), DATE_PART('second', ts), (DATE_PART('second', ts) * 1000),
((EXTRACT(DOW FROM d) + 6) % 7 + 1), CAST(TO_CHAR(d, 'IYYY') AS INTEGER), FLOOR(EXTRACT(YEAR FROM
d) / 10) FROM t
- quotient of a field | back | select id, extract(month from d) / 4 from t
=> SELECT id, CAST(EXTRACT(MONTH FROM d) AS DOUBLE PRECISION) / 4 FROM t
- seconds between | back | select id, extract(epoch from (ts - timestamp '2024-01-01')) / 3600 from
t
=> SELECT id, (DATEDIFF(MICROSECOND, CAST('2024-01-01' AS TIMESTAMP), ts) / 1000000.0) / 3600 FROM
t
- ilike | back | select id from t where s ilike 'É%' or s ilike 'aBc%'
=> SELECT id FROM t WHERE LOWER(s) LIKE LOWER('É%') OR LOWER(s) LIKE LOWER('aBc%')
- posix without case | back | select id, s ~* '^ABC', s !~* 'b' from t
=> SELECT id, REGEXP_INSTR(s, '^ABC', 1, 1, 0, 'i') > 0, NOT REGEXP_INSTR(s, 'b', 1, 1, 0, 'i') > 0
FROM t
- starts with | back | select id, starts_with(s, 'ABC%'), s ^@ 'a' from t
=> SELECT id, LEFT(s, LENGTH('ABC%')) = 'ABC%', LEFT(s, LENGTH('a')) = 'a' FROM t
- replace every match | back | select id, regexp_replace(s, '[bc]', '-', 'g') from t
=> SELECT id, REGEXP_REPLACE(s, '[bc]', '-') FROM t
- substring by a pattern | not run | select substring(s from '[a-z]+') from t
=> SELECT CASE WHEN s ~ '[a-z]+' THEN REGEXP_SUBSTR(s, '[a-z]+', 1, 1, 'e') END FROM t
- json | back | select id, j ->> 'z', j -> 'x' ->> 'y', j::json ->> 'z' from t
=> SELECT id, JSON_EXTRACT_PATH_TEXT(j, 'z'), JSON_EXTRACT_PATH_TEXT(JSON_EXTRACT_PATH_TEXT(j,
'x'), 'y'), JSON_EXTRACT_PATH_TEXT(j, 'z') FROM t
- running total of groups | back | select date_trunc('month', d) as month, g, sum(count(*)) over
(partition by g order by date_trunc('month', d)) from t group by 1, g
=> SELECT DATE_TRUNC('MONTH', d) AS month, g, SUM(COUNT(*)) OVER (PARTITION BY g ORDER BY
DATE_TRUNC('MONTH', d) ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t GROUP BY 1, g
- first value, named window | back | select id, first_value(n) over w, rank() over w from t window
w as (order by m)
=> SELECT id, FIRST_VALUE(n) OVER (ORDER BY m ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
RANK() OVER (ORDER BY m) FROM t
- every | back | select every(n > 0) from t
=> SELECT BOOL_AND(n > 0) FROM t
- hexadecimal | not run | select to_hex(255)
- uuid | back | select 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid::text
=> SELECT CAST(LOWER(CAST('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' AS VARCHAR(36))) AS VARCHAR(MAX))
- materialized | not run | with x as materialized (select id from t) select id from x order by id
collate "C"
=> WITH x AS (SELECT id FROM t) SELECT id FROM x ORDER BY (id)
- user | back | select user
=> SELECT CURRENT_USER
- local time in a zone | back | select id from t where tz > localtimestamp at time zone 'UTC'
=> SELECT id FROM t WHERE tz > CAST(SYSDATE AS TIMESTAMP) AT TIME ZONE 'UTC'
- escaped ilike | back | select id from t where not s ilike 'abc!%' escape '!'
=> SELECT id FROM t WHERE NOT LOWER(s) LIKE LOWER('abc!%') ESCAPE '!'
- not ilike | back | select id, s not ilike 'a%', (s not ilike 'A!%' escape '!') is true from t
=> SELECT id, LOWER(s) NOT LIKE LOWER('a%'), (LOWER(s) NOT LIKE LOWER('A!%') ESCAPE '!') IS TRUE
FROM t
- other negations | back | select id, s not like 'a%', b is not true, n is not null, s !~* 'A'
from t
=> SELECT id, s NOT LIKE 'a%', NOT b IS TRUE, n IS NOT NULL, NOT REGEXP_INSTR(s, 'A', 1, 1, 0, 'i')
> 0 FROM t
- months | back | select id, d + interval '1 month', '-2 years'::interval + ts, date_trunc('month',
tz) - interval '3 mons' + interval '1 day' from t
=> SELECT id, DATEADD(MONTH, 1, d), DATEADD(YEAR, -2, ts), DATEADD(MONTH, -3, DATE_TRUNC('MONTH',
tz)) + INTERVAL '1 DAY' FROM t
- months by number | back | select id, ts - (n + 1) * interval '1 month', d + interval '3 months' *
n from t
=> SELECT id, DATEADD(MONTH, (n + 1) * -1, ts), DATEADD(MONTH, n * 3, d) FROM t
- epoch of now | back | select extract(epoch from now() - interval '1 day') > 0
=> SELECT DATE_PART('epoch', CAST(SYSDATE - INTERVAL '1 DAY' AS TIMESTAMP WITH TIME ZONE)) > 0
- quotient of a remainder | back | select id, extract(month from d) % 7 / 2 from t
=> SELECT id, CAST(EXTRACT(MONTH FROM d) AS DECIMAL(30, 10)) % 7 / 2 FROM t
- texts of columns | back | select id, left(s::text, 2), lower(s::varchar(2)) from t where s::text
like 'a%' and length(g::varchar) < 2
=> SELECT id, LEFT(s, 2), LOWER(CAST(s AS VARCHAR(2))) FROM t WHERE s LIKE 'a%' AND LENGTH(g) < 2
- text of a bind | not run | select length($1::text)
=> SELECT LENGTH(CAST($1 AS VARCHAR(MAX)))
- filter of an average | back | select avg(n) filter (where b) from t
=> SELECT AVG(CASE WHEN b THEN CAST(n AS DOUBLE PRECISION) END) FROM t
"""

# A name, what the reason has in it, and what is asked.
UNSUPPORTED = r"""
- series | generate_series: join a table of numbers | select * from generate_series(1, 9)
- array | array() | select array[1]
- array_agg | array_agg() | select array_agg(id) from t
- any of a bind | ANY or ALL of a bind | select id from t where n = any($1)
- subscript | subscripts | select (string_to_array(s, ','))[1] from t
- unnest | unnest | select * from unnest(array[1, 2]) x
- lateral | LATERAL | select * from t, lateral (select t.id) x
- locks | row locks | select id from t for update
- interval of a column | cast to interval | select (s || ' days')::interval from t
- age | age() | select age(ts) from t
- first match | flag 'g' | select regexp_replace(s, 'secret', 'y') from t
- reference | flag 'g' | select regexp_replace(s, '(secret)', '\1', 'g') from t
- json as a value | -> | select j -> 'secret' from t
- json path | #>> | select j #>> '{secret,y}' from t
- json path of a column | ->> of no name | select j ->> g from t
- json contains | @> | select j @> '{}' from t
- json aggregate | jsonb_agg() | select jsonb_agg(s) from t
- type | type INET | select s::inet from t
- peers | frame of peers | select sum(n) over (order by g) from t
- peers of part of the group | frame of peers | select sum(count(*)) over (order by g) from t group
by g, n
- range | frame of peers | select sum(n) over (order by d range '1 day' preceding) from t
- exclude | frame of peers | select sum(n) over (order by id rows 1 preceding exclude ties) from t
- lag with a default | default of lag | select lag(n, 1, 0) over (order by id) from t
- percentile of values | percentile_disc() | select percentile_disc(0.5) within group (order by n)
from t
- correlation | corr() | select corr(n, m) from t
- rows in order | order of rows | select id from t where (n, id) > (1, 2)
- distinct rows | DISTINCT of several | select count(distinct (n, g)) from t
- except all | EXCEPT ALL | select n from t except all select k from u
- ties | WITH TIES | select n from t order by n fetch first 2 rows with ties
- writing in with | writing in WITH | with x as (delete from t) select 1
- conflict | ON CONFLICT | insert into t values (1) on conflict do nothing
- returning | RETURNING | update t set n = 1 returning id
- alias in delete | alias in DELETE | delete from t as x where x.id = 1
- values unnamed | VALUES without names | select * from (values (1)) v
- collation | COLLATE | select s collate "de-x-icu" from t
- zone of date_trunc | date_trunc in a zone | select date_trunc('day', tz, 'UTC') from t
- underscores | 1_000 | select 1_000
- separator of each row | separator | select string_agg(s, g) from t
- made interval | make_interval() | select make_interval(days => 3)
- months and days | months in an interval | select ts + interval '1 year 2 days' from t
- months in part | months in an interval | select ts + 1.5 * interval '1 month' from t
- months alone | months in an interval | select max(ts) - min(ts) > interval '1 month' from t
- pattern of a column | column as pattern | select id from t where s ~* g
- any pattern | LIKE ANY | select id from t where s not ilike any ('{secret%}')
- sleep | pg_sleep() | select pg_sleep(1)
- an alias of a column's name | frame of peers | select date_trunc('month', d) d, sum(count(*))
over (order by date_trunc('month', d)) from t group by d
"""

# A name and what Redshift was asked; after => what PostgreSQL is.
READ = r"""
- null | select nvl(n, 0), isnull(n, 1) from t
=> SELECT COALESCE(n, 0), COALESCE(n, 1) FROM t
- clock | select getdate(), sysdate
=> SELECT LOCALTIMESTAMP, LOCALTIMESTAMP
- list | select listagg(distinct g, ',') within group (order by g), listagg(g) from t
=> SELECT STRING_AGG(DISTINCT g, ',' ORDER BY g), STRING_AGG(g, '') FROM t
- concat | select concat(g, s) from t
=> SELECT (g || s) FROM t
- approximate | select approximate count(distinct g), median(n) from t
=> SELECT COUNT(DISTINCT g), PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY n) FROM t
- top | select top 2 id from t order by id
=> SELECT id FROM t ORDER BY id LIMIT 2
- date parts | select date_part(dayofweek, d), date_part(yr, d), date_part(w, d) from t
=> SELECT EXTRACT(DOW FROM d), EXTRACT(YEAR FROM d), EXTRACT(WEEK FROM d) FROM t
- replace | select regexp_replace(s, 'b', 'x') from t
=> SELECT REGEXP_REPLACE(s, 'b', 'x', 'g') FROM t
- found | select regexp_substr(s, 'b+') from t
=> SELECT CASE WHEN NOT s IS NULL THEN COALESCE(REGEXP_SUBSTR(s, 'b+'), '') END FROM t
- types | select s::varchar(max), s::varchar, m::decimal from t
=> SELECT CAST(s AS TEXT), CAST(s AS VARCHAR(256)), CAST(m AS DECIMAL(18, 0)) FROM t
- day of a moment | select trunc(ts::timestamp), trunc(sysdate), trunc(m) from t
=> SELECT CAST(CAST(ts AS TIMESTAMP) AS DATE), CAST(LOCALTIMESTAMP AS DATE), TRUNC(m) FROM t
- added | select dateadd(month, -1, tz), dateadd(qtr, n + 1, d), dateadd(day, 2, '2024-01-31')
from t
=> SELECT tz + INTERVAL '-1 MONTH', d + (INTERVAL '3 MONTH' * (n + 1)), CAST('2024-01-31' AS
TIMESTAMP) + INTERVAL '2 DAY' FROM t
- number of a text | select strtol('12', 10)
=> SELECT CAST('12' AS BIGINT)
- storage | create temp table x (a int encode zstd, b varchar(max)) diststyle key distkey(a)
sortkey(a)
=> CREATE TEMPORARY TABLE x (a INT, b TEXT)
"""


def cases(text: str) -> list[Any]:
    """Each entry's parts, what is expected last where it is said, and its name as the id."""
    found = []
    for entry in text.removeprefix("\n- ").split("\n- "):
        asked, _, expected = entry.partition("\n=> ")
        name, *parts = asked.replace("\n", " ").strip().split(" | ")
        expected = expected.replace("\n", " ").strip()
        found.append(pytest.param(*parts, expected or parts[-1], id=name))
    return found


@pytest.fixture(scope="module")
def one(embedded_empty: EmbeddedServer) -> Iterator[Connection]:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS rules CASCADE; CREATE SCHEMA rules")
        connection.execute("SET search_path TO rules; SET timezone TO 'UTC'")
        connection.execute(SEED)
        yield connection
        connection.execute("DROP SCHEMA rules CASCADE")


def answer(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Rows in the order asked for, else sorted; numbers alike whatever their type."""

    def plain(value: Any) -> Any:
        number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        return f"{float(value):.9g}" if number else value

    rows = [tuple(map(plain, row)) for row in connection.execute(sql.encode()).fetchall()]
    ordered = "order by" in sql.lower().rpartition(")")[2]
    return rows if ordered else sorted(rows, key=repr)


@pytest.mark.parametrize(("way", "sql", "expected"), cases(WRITTEN))
def test_postgres_is_written_for_redshift(
    one: Connection, way: str, sql: str, expected: str
) -> None:
    done = Translator(read="postgres", write="redshift").translate(sql)
    assert (done.sql, done.reason) == (expected, None)
    if way != "not run":
        back = Translator(read="redshift", write="postgres").translate(done.sql)
        assert (back.reason is None) == (way == "back")
        assert answer(one, back.sql) == answer(one, sql)


@pytest.mark.parametrize(("construct", "sql", "_"), cases(UNSUPPORTED))
def test_what_redshift_lacks_is_named(construct: str, sql: str, _: str) -> None:
    done = Translator(read="postgres", write="redshift").translate(sql)
    assert construct in (done.reason or "")
    assert "secret" not in (done.reason or "")


@pytest.mark.parametrize(("sql", "expected"), cases(READ))
def test_redshift_is_written_for_postgres(one: Connection, sql: str, expected: str) -> None:
    done = Translator(read="redshift", write="postgres").translate(sql)
    assert (done.sql, done.reason) == (expected, None)
    one.execute(done.sql.encode())


@pytest.mark.parametrize("unit", ["year", "quarter", "month", "day", "hour", "minute"])
def test_datediff_counts_the_boundaries_that_are_crossed(one: Connection, unit: str) -> None:
    moments = "timestamp '2024-12-31 23:59:59', timestamp '2025-01-01 00:00:01'"
    done = Translator(read="redshift", write="postgres").translate(
        f"select datediff({unit}, {moments})"
    )
    assert answer(one, done.sql) == [("1",)]


def test_a_value_that_decides_stays_each_statements_own() -> None:
    translator = Translator(read="postgres", write="redshift")
    lists = {"{a}": "'a'", "{b,c}": "'b', 'c'", "{a }": "'a'", "{x,NULL}": "'x', NULL"}
    for text, expected in lists.items():
        done = translator.translate(f"select id from t where s = any('{text}') and g = '{text}'")
        assert done.sql == f"SELECT id FROM t WHERE s IN ({expected}) AND g = '{text}'"
    flags = {"g": "", "gi": ", 1, 'i'", "g ": "refused", "": "refused"}
    for flag, more in flags.items():
        done = translator.translate(f"select regexp_replace(s, 'a', 'b', '{flag}') from t")
        assert (done.reason is not None) == (more == "refused")
        if done.reason is None:
            assert done.sql == f"SELECT REGEXP_REPLACE(s, 'a', 'b'{more}) FROM t"


def test_an_output_by_number_is_not_taken_for_another() -> None:
    translator = Translator(read="postgres", write="redshift")
    for number, name in ((1, "g"), (2, "id"), (1, "g")):
        sql = f"select distinct on ({number}) g, id from t where id > 3 limit 1"
        row = f"ROW_NUMBER() OVER (PARTITION BY {name} ORDER BY {name}) = 1"
        expected = f"SELECT g, id FROM t WHERE id > 3 QUALIFY {row} LIMIT 1"
        assert translator.translate(sql).sql == expected
