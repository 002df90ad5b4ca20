"""A real MySQL log on its way to a real 2.0 with other names: captured, prepared and checked."""

from __future__ import annotations

from pathlib import Path

import psycopg

from replay.capture.capture import capture
from replay.prepare.prepare import prepare
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from tests.mariadb import mariadb_server

MADE = (
    "CREATE DATABASE ads",
    "CREATE TABLE ads.report (day DATE, customer VARCHAR(40), clicks INT, paid TINYINT(1))",
    "INSERT INTO ads.report VALUES ('2026-03-01', 'Acme', 5, 1), ('2026-03-02', 'Acme', 7, 0),"
    " ('2026-03-02', 'O''Neil', 0, 1)",
)
ASKED = (
    "SET NAMES utf8mb4",
    "SET time_zone = '+00:00'",
    "SELECT @@version_comment LIMIT 1",
    "SHOW TABLES",
    'SELECT customer, SUM(clicks) AS n FROM `report` WHERE customer LIKE "a%" GROUP BY customer',
    "SELECT DATE_FORMAT(day, '%Y-%m') AS m, COUNT(*) FROM report WHERE paid GROUP BY m",
    "SELECT IFNULL(MAX(clicks), 0) FROM ads.report WHERE day = '2026-03-02' LIMIT 0, 5",
    "SELECT GROUP_CONCAT(customer ORDER BY clicks DESC SEPARATOR ';') FROM report",
    "SELECT customer FROM report WHERE day BETWEEN '2026-03-01' AND '2026-03-02' AND clicks > 1",
    "SELECT SOUNDEX(customer) FROM report",
    "UPDATE report SET clicks = 8 WHERE customer = 'Acme'",
)
TWO = """
CREATE SCHEMA reporting;
CREATE TABLE reporting.fact (happened_on date, name text, clicks int, paid boolean);
INSERT INTO reporting.fact VALUES ('2026-03-01', 'Acme', 5, true), ('2026-03-02', 'Acme', 7, false),
    ('2026-03-02', 'O''Neil', 0, true);
"""
PLACES = """
default_schema = "ads"
[schemas]
ads = "reporting"
[tables.report]
to = "reporting.fact"
others = "keep"
columns = { day = "happened_on", customer = "name" }
[users]
"*" = "reader"
"""
ANSWERS = [
    [("Acme", 12)],
    [("2026-03", 2)],
    [(7,)],
    [("Acme;Acme;O'Neil",)],
    [("Acme",), ("Acme",)],
]


def test_a_mysql_log_is_asked_of_2_0(tmp_path: Path) -> None:
    with mariadb_server() as one:
        with one.connect() as session:
            assert [session.query(sql) for sql in MADE] == [0, 0, 0]
        with one.connect(database="ads") as session:
            for sql in ASKED:
                session.query(sql)
        captured = capture([str(one.general_log)], tmp_path / "captured")
    places = tmp_path / "places.toml"
    places.write_text(PLACES, encoding="utf-8")
    with EmbeddedServer("from-mysql") as two, psycopg.connect(two.url(), autocommit=True) as known:
        known.execute(TWO.encode())
        coverage = prepare(
            captured,
            tmp_path / "prepared",
            read="mysql",
            write="postgres",
            places=places,
            check_url=two.url(),
        )
        prepared = Workload(tmp_path / "prepared")
        rows = prepared.statements(["kind", "sql", "user", "template_id"]).to_pylist()
        lacking = {each.template_id: each.note or "" for each in coverage.unsupported()}
        questions = [row for row in rows if row["kind"] == "select"]
        asked = [row["sql"] for row in questions if row["template_id"] not in lacking]
        assert [known.execute(sql.encode()).fetchall() for sql in asked] == ANSWERS
    assert {row["user"] for row in rows} == {"reader"}
    assert [("SOUNDEX" in note or "soundex" in note) for note in lacking.values()] == [True]
    assert prepared.counts.balanced
    left_out = prepared.counts.skipped
    assert {"chatter: set names", "chatter: show", "chatter: session variable"} <= left_out.keys()
    assert {"may write: update", "may write: insert", "may write: ddl"} <= left_out.keys()
    document = coverage.as_json()
    assert document["users"] == {"all": 1, "wholly_covered": 0}
    assert "Acme" not in (tmp_path / "prepared" / "coverage.json").read_text(encoding="utf-8")
