"""MySQL's answers beside those of the translation: MariaDB runs the one, PostgreSQL the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from replay.prepare.translate import Translator
from replay.target.embedded import EmbeddedServer
from tests.mariadb import Session, mariadb_server

CREATE = """
CREATE TABLE v (id INT, n INT, m INT, p DECIMAL(10, 2), s VARCHAR(40), u VARCHAR(40), d DATE,
                e {datetime}, f INT, l VARCHAR(40), j {json})
"""
FILL = """
INSERT INTO v (id, n, m, p, s, u, d, e, f, l, j) VALUES
 (1, 5, 2, 12.50, 'Alpha', 'beta gamma', '2024-01-31', '2024-01-31 10:20:30', 1, 'a,b,c',
  '{"k": 1}'),
 (2, -7, 3, -3.45, 'alpha', 'Beta', '2024-02-29', '2024-02-29 23:59:59', 0, 'b', '{"k": "x"}'),
 (3, 0, 0, 0.00, '', 'x_y%z', '2023-12-31', '2024-01-01 00:00:00', 1, '', '{}'),
 (4, NULL, 4, NULL, NULL, 'ALPHA', NULL, NULL, NULL, NULL, NULL),
 (5, 12, NULL, 1234567.89, 'été', NULL, '2021-01-03', '2021-01-03 00:00:01', 0, 'c,b',
  '{"k": null}'),
 (6, 5, 2, 99.95, 'a b c', 'été', '2024-12-30', '2023-03-01 12:00:00', 2, 'B,a', '{"k": [1]}'),
 (7, 40, -6, -0.50, '007', '7', '2020-02-29', '2020-01-31 00:30:00', 1, 'd', '{"k": 2.5}')
"""


def days(datetime: str) -> str:
    return f"CREATE TABLE days (d DATE, e {datetime})"


def _day(number: int) -> tuple[str, str]:
    day = date(2019, 12, 20) + timedelta(days=number * 2)
    other = day + timedelta(days=(number * 97) % 900 - 450, hours=number % 24)
    return f"{day}", f"{other} {number % 24:02}:00:00"


DAY_ROWS = "INSERT INTO days VALUES " + ", ".join(str(_day(number)) for number in range(900))


class Reader(Session):
    """A session that gives rows as texts."""

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        self._send(b"\x03" + sql.encode())
        width = self._check(self._receive())[0]
        for _ in range(width + 1):
            self._receive()
        rows = []
        while (packet := self._receive())[0] != 0xFE or len(packet) > 8:
            self._check(packet)
            row: list[str | None] = []
            place = 0
            while place < len(packet):
                size, place = packet[place], place + 1
                if size == 0xFB:
                    row.append(None)
                    continue
                if size == 0xFC:
                    size, place = int.from_bytes(packet[place : place + 2], "little"), place + 2
                row.append(packet[place : place + size].decode())
                place += size
            rows.append(tuple(row))
        return rows


@pytest.fixture(scope="module")
def one() -> Iterator[Reader]:
    with mariadb_server() as server:
        with server.connect() as session:
            session.query("CREATE DATABASE d")
        with Reader(server.socket, user="root", database="d") as session:
            assert (
                session.query("SET sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'") == 0
            )
            assert session.query(CREATE.format(datetime="DATETIME", json="JSON")) == 0
            assert session.query(FILL) == 0
            assert session.query(days("DATETIME")) == 0
            assert session.query(DAY_ROWS) == 0
            yield session


@pytest.fixture(scope="module")
def two(embedded_empty: EmbeddedServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE mysql_two")
    with psycopg.connect(embedded_empty.url("mysql_two"), autocommit=True) as session:
        session.execute(CREATE.format(datetime="TIMESTAMP", json="JSONB"))
        session.execute(FILL)
        session.execute(days("TIMESTAMP").encode())
        session.execute(DAY_ROWS.encode())
        yield session


def statement(text: str) -> str:
    return text if text.startswith("SELECT") else f"SELECT id, {text} AS x FROM v ORDER BY id"


def agree(mine: str | None, theirs: object) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    if isinstance(theirs, timedelta):
        seconds = round(abs(theirs.total_seconds()))
        sign = "-" if theirs < timedelta() else ""
        return mine == f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(theirs, (int, float)) or type(theirs).__name__ == "Decimal":
        return math.isclose(float(mine), float(str(theirs)), rel_tol=1e-9, abs_tol=6e-5)
    return mine.removesuffix(" 00:00:00") == str(theirs).removesuffix(" 00:00:00")


CASES = [
    line.split("\t")
    for line in Path(__file__).with_name("mysql.tsv").read_text(encoding="utf-8").splitlines()
]
"""MySQL's text, of a column or a whole statement, and Redshift's, or `! ` and why it is refused."""

# What Redshift casts by itself and PostgreSQL does not.
CASTS = {"LPAD(n, 5, '0')", "LEFT(d, 7)", "MD5(n)", "n LIKE '1%'", "d LIKE '2024-%'"}

DAYS = [
    *(f"WEEK(d, {mode})" for mode in (0, 1, 2, 3, 5)),
    *(f"YEARWEEK(d, {mode})" for mode in (0, 1, 2, 3)),
    *(f"TIMESTAMPDIFF({unit}, d, e)" for unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")),
    *(f"DATE_ADD(d, INTERVAL {months} MONTH)" for months in (1, -1, 11)),
    "TO_DAYS(d)", "LAST_DAY(e)", "DAYOFWEEK(e)", "WEEKDAY(e)", "DATE_FORMAT(e, '%D %j %v %x')",
]  # fmt: skip

REFUSED = {
    "format without a letter": ("SELECT DATE_FORMAT(d, '%Y %u') FROM v", "%u"),
    "format by weekday": ("SELECT DATE_FORMAT(d, '%w') FROM v", "%w"),
    "format of Sunday's week": ("SELECT DATE_FORMAT(d, '%X%V') FROM v", "%X"),
    "computed format": ("SELECT DATE_FORMAT(d, s) FROM v", "computed"),
    "compound interval": ("SELECT d + INTERVAL '1:30' HOUR_MINUTE FROM v", "interval"),
    "fraction of an interval": ("SELECT d + INTERVAL 1.5 DAY FROM v", "fraction"),
    "extract of two units": ("SELECT EXTRACT(YEAR_MONTH FROM d) FROM v", "EXTRACT"),
    "week mode": ("SELECT WEEK(d, 6) FROM v", "mode"),
    "yearweek mode": ("SELECT YEARWEEK(d, 7) FROM v", "mode"),
    "unit": ("SELECT TIMESTAMPDIFF(MICROSECOND, d, e) FROM v", "TIMESTAMPDIFF"),
    "offset": ("SELECT CONVERT_TZ(e, '+02:00', 'UTC') FROM v", "CONVERT_TZ"),
    "zone of a column": ("SELECT CONVERT_TZ(e, S, 'UTC') FROM v", "CONVERT_TZ"),
    "date as a number": ("SELECT CURDATE() - 7", "arithmetic"),
    "date as a condition": ("SELECT id FROM v WHERE DATE(e)", "condition"),
    "text as a condition": ("SELECT id FROM v WHERE CONCAT(s, u)", "condition"),
    "zero date": ("SELECT id FROM v WHERE d = '0000-00-00'", "zeros"),
    "zero day": ("SELECT id FROM v WHERE d > '2024-01-00'", "zeros"),
    "Perl's signs": (r"SELECT id FROM v WHERE s REGEXP '\\bsecret'", "Perl"),
    "collation": ("SELECT id FROM v WHERE s COLLATE utf8mb4_bin = 'x'", "COLLATE"),
    "user variable": ("SELECT @x := 1", "variable"),
    "into a variable": ("SELECT id INTO @x FROM v", "variable"),
    "system variable": ("SELECT @@version", "variable"),
    "hexadecimal": ("SELECT id FROM v WHERE s = 0x41", "hexadecimal"),
    "duplicate key": ("INSERT INTO v (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 2", "DUPLICATE"),
    "ignore": ("INSERT IGNORE INTO v (id) VALUES (1)", "IGNORE"),
    "update of two": ("UPDATE v JOIN w ON v.id = w.id SET v.n = 1", "UPDATE"),
    "update with limit": ("UPDATE v SET n = 1 ORDER BY id LIMIT 3", "UPDATE"),
    "delete of two": ("DELETE v FROM v JOIN w ON v.id = w.id", "DELETE"),
    "delete with limit": ("DELETE FROM v LIMIT 3", "DELETE"),
    "partition": ("SELECT id FROM v PARTITION (p0)", "PARTITION"),
    "found rows": ("SELECT FOUND_ROWS()", "FOUND_ROWS"),
    "seed": ("SELECT RAND(3)", "RAND"),
    "locale": ("SELECT FORMAT(p, 2, 'de_DE') FROM v", "FORMAT"),
    "third part": ("SELECT SUBSTRING_INDEX(s, ',', -2) FROM v", "SUBSTRING_INDEX"),
    "distinct in another order": ("SELECT GROUP_CONCAT(DISTINCT s ORDER BY id) FROM v", "DISTINCT"),
    "full text": ("SELECT MATCH(s) AGAINST('x') FROM v", "MATCH"),
    "unquoted": ("SELECT JSON_UNQUOTE(j) FROM v", "JSON_UNQUOTE"),
    "year": ("SELECT CAST(n AS YEAR) FROM v", "YEAR"),
    "interval's place": ("SELECT INTERVAL(n, 1, 5) FROM v", "INTERVAL"),
    "replace": ("SELECT REGEXP_REPLACE(s, 'a', 'b') FROM v", "REGEXP"),
    "outfile": ("SELECT id FROM v INTO OUTFILE 'x'", "into"),
    "replace into": ("REPLACE INTO v (id) VALUES (1)", "replace"),
    "group by with order": ("SELECT n FROM v GROUP BY n DESC", "desc"),
}


def translated(text: str, write: str) -> str:
    done = Translator(read="mysql", write=write).translate(statement(text))
    assert done.reason is None
    return done.sql


def brought_back(text: str) -> str:
    """What Redshift is asked as PostgreSQL can be: as it is where that has no other words."""
    return Translator(read="redshift", write="postgres").translate(translated(text, "redshift")).sql


def same(one: Reader, two: psycopg.Connection, text: str, sql: str) -> None:
    mine = [list(row) for row in one.rows(statement(text))]
    theirs = [list(row) for row in two.execute(sql.encode()).fetchall()]
    if "ORDER BY" not in sql:
        mine, theirs = (
            sorted(mine, key=str),
            sorted(theirs, key=lambda row: str([*map(text_of, row)])),
        )
    assert [len(row) for row in mine] == [len(row) for row in theirs]
    for my, their in zip(mine, theirs, strict=True):
        assert all(map(agree, my, their)), (my, their)


def text_of(value: object) -> str | None:
    return None if value is None else str(value)


@pytest.mark.parametrize("text", [text for text, _ in CASES])
def test_postgres_answers_as_mysql(one: Reader, two: psycopg.Connection, text: str) -> None:
    same(one, two, text, translated(text, "postgres"))


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_redshift_has_its_own_text(text: str, expected: str) -> None:
    done = Translator(read="mysql", write="redshift").translate(statement(text))
    if expected.startswith("! "):
        assert expected[2:] in (done.reason or "")
    elif text.startswith("SELECT"):
        assert done.sql == expected
    else:
        assert done.sql == f"SELECT id, {expected} AS x FROM v ORDER BY id NULLS FIRST"


@pytest.mark.parametrize("text", [text for text, expected in CASES if expected[:2] != "! "])
def test_redshift_answers_as_mysql(one: Reader, two: psycopg.Connection, text: str) -> None:
    sql = brought_back(text)
    if text in CASTS:
        with pytest.raises(errors.UndefinedFunction):
            two.execute(sql.encode())
    else:
        same(one, two, text, sql)


@pytest.mark.parametrize("text", DAYS)
def test_every_day_of_years(one: Reader, two: psycopg.Connection, text: str) -> None:
    sql = f"SELECT d, e, {text} AS x FROM days ORDER BY d, e"
    same(one, two, sql, translated(sql, "postgres"))
    same(one, two, sql, brought_back(sql))


@pytest.mark.parametrize("write", ["postgres", "redshift"])
@pytest.mark.parametrize(("sql", "word"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_name_and_without_literals(sql: str, word: str, write: str) -> None:
    done = Translator(read="mysql", write=write).translate(sql)
    assert done.sql == sql
    assert word.lower() in (done.reason or "").lower()
    assert "secret" not in (done.reason or "")


SHAPES = {
    "format": ("DATE_FORMAT(d, '{}')", ["%Y", "x", "%u", "%d %M"]),
    "column": ("ADDDATE(d, {})", ["1", "n", "2", "-3"]),
    "week": ("WEEK(d, {})", ["7", "3", "6", "1"]),
    "zone": ("CONVERT_TZ(e, '{}', 'UTC')", ["UTC", "+02:00", "+00:00", "Europe/Berlin"]),
    "pattern": ("s REGEXP '{}'", ["a", "b.", "(?=a)", "[[:digit:]]"]),
    "part": ("SUBSTRING_INDEX(s, ',', {})", ["9", "1", "2", "3"]),
    "months": ("DATE_ADD(d, INTERVAL {} MONTH)", ["1", "2", "30"]),
    "quarters": ("DATE_ADD(d, INTERVAL {} QUARTER)", ["1", "2", "30"]),
    "digits": ("FORMAT(p, {})", ["9", "2", "0"]),
}


@pytest.mark.parametrize("write", ["postgres", "redshift"])
@pytest.mark.parametrize(("text", "values"), SHAPES.values(), ids=SHAPES.keys())
def test_a_value_means_the_same_after_others(text: str, values: list[str], write: str) -> None:
    shared = Translator(read="mysql", write=write)
    for value in values:
        sql = f"SELECT {text.format(value)} FROM v"
        alone = Translator(read="mysql", write=write).translate(sql)
        assert shared.translate(sql) == alone


def test_days_and_binds_share_a_translation() -> None:
    translator = Translator(read="mysql", write="redshift")
    for days in range(1, 9):
        sql = f"SELECT id FROM v WHERE e > NOW() - INTERVAL {days} DAY"
        now = "CAST(SYSDATE AS TIMESTAMP)"
        expected = f"SELECT id FROM v WHERE e > {now} - INTERVAL '{days} DAY'"
        assert translator.translate(sql).sql == expected
    assert translator.parses == 2
    done = Translator(read="mysql", write="postgres").translate("SELECT d + INTERVAL ? DAY FROM v")
    assert done.sql == "SELECT d + CAST($1 AS INT) * INTERVAL '1 DAY' FROM v"
