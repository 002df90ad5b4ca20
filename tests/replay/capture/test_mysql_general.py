"""General logs of MySQL and MariaDB: forms, users and databases of threads, and a real server's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.capture import capture
from replay.capture.formats import recognise
from replay.capture.mysql_general import MysqlGeneral
from replay.capture.record import ReaderOptions, What
from tests.mariadb import INIT_DB, PING, MariaDB, mariadb_server
from tests.replay.capture.records import rows_of

BANNER = (
    "/usr/sbin/mysqld, Version: 5.6.30-log (MySQL Community Server (GPL)). started with:\n"
    "Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock\n"
    "Time                 Id Command    Argument\n"
)
MYSQL_8 = (
    "2026-03-01T10:00:01.000001Z\t   12 Connect\tapp@web1 on shop using TCP/IP\n"
    "2026-03-01T10:00:01.000002Z\t   12 Query\tSELECT 'two\nlines'\n"
    "2026-03-01T10:00:01.000003Z\t   13 Connect\troot@localhost as  on  using Socket\n"
    "2026-03-01T10:00:01.000004+02:00\t   13 Init DB\tstock\n"
    "2026-03-01T10:00:01.000005Z\t   13 Query\tSELECT 1\n"
    "2026-03-01T10:00:01.000006Z\t   12 Prepare\tSELECT ?\n"
    "2026-03-01T10:00:01.000007Z\t   12 Execute\tSELECT 'x'\n"
    "2026-03-01T10:00:01.000008Z\t   12 Close stmt\t\n"
    "2026-03-01T10:00:01.000009Z\t   12 Query\tUSE `a``b`;\n"
    "2026-03-01T10:00:01.000010Z\t   12 Query\tSELECT 2\n"
    "2026-03-01T10:00:01.000011Z\t   12 Change user\tother@web1 on shop using TCP/IP\n"
    "2026-03-01T10:00:01.000012Z\t   12 Query\tSELECT 3\n"
    "2026-03-01T10:00:01.000013Z\t   12 Quit\t\n"
    "2026-03-01T10:00:01.000014Z\t   14 Connect\tnobody@web1 on  using TCP/IP\n"
    "2026-03-01T10:00:01.000015Z\t   14 Connect\tAccess denied for user 'nobody'@'web1'\n"
)
MYSQL_5 = (
    "260301 10:00:02\t   21 Connect\tapp@web1 on shop\n"
    "\t\t   21 Query\tSELECT 4\n"
    "260301  9:00:03\t   21 Query\tEXECUTE s USING @a\n"
    "\t\t   21 Execute\tSELECT 5\n"
    "\t\t   21 Query\t\n"
    "\t\t   22 Query\tSELECT 6\n"
)
MYSQL_5_0 = (
    "260301 10:00:04\t     31 Connect     app@web1 on shop\n"
    "\t\t     31 Query       SELECT 7\n"
    "\t\t     31 Field List  t\n"
    "\t\t     31 Quit       \n"
)
ALL = BANNER + MYSQL_8 + BANNER + MYSQL_5 + MYSQL_5_0


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server


def reader_of(data: str) -> MysqlGeneral:
    found = recognise(data.encode(), ReaderOptions(), log_format="auto")
    assert found is not None
    assert isinstance(found.reader, MysqlGeneral)
    return found.reader


def picked(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def us(clock: str) -> int:
    """Microseconds of a time on 2026-03-01, UTC."""
    hours, minutes, seconds = clock.split(":")
    day_s = 1_772_323_200
    return round((day_s + int(hours) * 3600 + int(minutes) * 60) * 1e6 + float(seconds) * 1e6)


def test_each_form_is_understood() -> None:
    rows = rows_of(ALL)
    names = "session at_us user database sql".split()
    assert [picked(row, *names) for row in rows if row["sql"]] == [
        ("12", us("10:00:1.000002"), "app", "shop", "SELECT 'two\nlines'"),
        ("13", us("10:00:1.000005"), "root", "stock", "SELECT 1"),
        ("12", us("10:00:1.000007"), "app", "shop", "SELECT 'x'"),
        ("12", us("10:00:1.000009"), "app", "a`b", "USE `a``b`;"),
        ("12", us("10:00:1.000010"), "app", "a`b", "SELECT 2"),
        ("12", us("10:00:1.000012"), "other", "shop", "SELECT 3"),
        ("21", us("10:00:2"), "app", "shop", "SELECT 4"),
        ("21", us("9:00:3"), "app", "shop", "SELECT 5"),
        ("22", us("9:00:3"), None, None, "SELECT 6"),
        ("31", us("10:00:4"), "app", "shop", "SELECT 7"),
    ]
    others = [(row["what"].name, row["reason"], row["session"]) for row in rows if not row["sql"]]
    assert others == [
        ("RESTART", "server banner", None),
        ("CONNECT", "connection", "12"),
        ("CONNECT", "connection", "13"),
        ("SKIPPED", "administrator command", "13"),
        ("SKIPPED", "prepare", "12"),
        ("SKIPPED", "administrator command", "12"),
        ("SKIPPED", "administrator command", "12"),
        ("DISCONNECT", "disconnection", "12"),
        ("CONNECT", "connection", "14"),
        ("DISCONNECT", "connection refused", "14"),
        ("RESTART", "server banner", None),
        ("CONNECT", "connection", "21"),
        ("SKIPPED", "EXECUTE, logged again with its values", "21"),
        ("SKIPPED", "empty statement", "21"),
        ("CONNECT", "connection", "31"),
        ("SKIPPED", "administrator command", "31"),
        ("DISCONNECT", "disconnection", "31"),
    ]
    assert rows[4]["at_us"] == us("8:00:1.000004")
    assert not any(row["ends"] or row["duration_us"] for row in rows)


@pytest.mark.parametrize("block_bytes", [1, 2, 17, 100, 333, 1000])
def test_blocks_of_any_size_give_the_same_records(block_bytes: int) -> None:
    assert rows_of(ALL, block_bytes=block_bytes) == rows_of(ALL)
    headless = ALL.partition("10:00:02")[2].partition("\n")[2]
    assert rows_of(headless, block_bytes=block_bytes) == rows_of(headless)


def test_a_log_cut_anywhere_gives_no_cut_statement() -> None:
    whole = {row["sql"] for row in rows_of(ALL)}
    for end in range(len(BANNER) + 60, len(ALL), 7):
        rows = rows_of(ALL[:end])
        # What follows a line end within a text cannot be known.
        assert {row["sql"] for row in rows} <= whole | {"SELECT 'two"}
        assert ALL[end - 1] == "\n" or rows[-1]["what"] == What.QUARANTINED


def test_what_a_cut_leaves_is_set_aside_without_its_values() -> None:
    rows = rows_of("  'secret')\n" + MYSQL_5 + "\t\t   21 Query\tSELECT 'secret', 47")
    assert picked(rows[0], "what", "reason", "excerpt") == (What.QUARANTINED, "no header", "")
    assert picked(rows[-1], "what", "reason", "excerpt") == (What.QUARANTINED, "cut off", "Query")
    assert len(rows) == 8


def test_bad_bytes_spoil_their_own_record_only() -> None:
    data = MYSQL_5.encode().replace(b"SELECT 4", b"SELECT '\xff'")
    rows = sorted(rows_of(data), key=lambda row: int(row["line"]))
    assert [row["what"].name for row in rows[:3]] == ["CONNECT", "QUARANTINED", "SKIPPED"]
    assert rows[3]["sql"] == "SELECT 5"


def test_where_no_stamp_was_written_yet_the_next_one_tells() -> None:
    headless = MYSQL_5.partition("\n")[2]
    rows = rows_of(headless)
    assert picked(rows[0], "sql", "at_us") == ("SELECT 4", us("9:00:3"))
    [row] = rows_of("\t\t   21 Query\tSELECT 4\n", log_format="mysql-general")
    assert picked(row, "what", "reason") == (What.QUARANTINED, "no stamp")


def test_a_zone_that_is_given_holds_for_stamps_that_name_none() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert rows_of(MYSQL_5, zone=zone)[0]["at_us"] == us("9:00:2")


def test_the_coarsest_stamps_tell_the_resolution() -> None:
    fine, coarse = reader_of(MYSQL_8), reader_of(MYSQL_5)
    assert (fine.resolution_us, coarse.resolution_us) == (1, 1_000_000)
    assert fine.adopt(coarse)
    assert fine.resolution_us == 1_000_000


PIECES = st.sampled_from(
    [
        "\n", "\n\t\t", "   4 Query\t", "260301 10:00:00\t", " ", "\t", "''", "\\\\", '"', "`", "é",
        "\r\n", ";", ";\n", "# Time: 260301 10:00:00", "--", "/*", ", Version: 1 started with:",
        "2026-03-01T10:00:00.000000Z\t", "1", "Quit",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def can_hold(text: str) -> bool:
    """Whether the log can: nothing tells further lines from records but how they look."""
    return not re.search(r"^(?:\t|\S+(?: \S+)?)\t *\d+ (?:Query|Quit)", text, re.M)


@settings(max_examples=4, deadline=None)
@given(st.lists(TEXTS.filter(can_hold), min_size=10, max_size=30))
def test_what_a_server_was_sent_comes_back_byte_for_byte(
    mariadb: MariaDB, texts: list[str]
) -> None:
    sent = [f"SELECT '{text}' AS x" for text in texts]
    before = mariadb.general_log.stat().st_size
    with mariadb.connect() as session:
        for sql in sent:
            session.query(sql)
    # A stamp as the server writes one each second at most.
    log = b"260301 10:00:00\t     1 Quit\t\n" + mariadb.general_log.read_bytes()[before:]
    rows = rows_of(log)[1:]
    assert [row["what"].name for row in rows] == [
        "CONNECT", *["STATEMENT"] * len(sent), "DISCONNECT",
    ]  # fmt: skip
    assert [row["sql"] for row in rows[1:-1]] == sent
    assert {row["session"] for row in rows} == {session.thread}


def test_a_servers_threads_keep_their_users_and_databases(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.connect() as root:
        root.query("CREATE USER 'jo@home'")
        root.query("CREATE DATABASE one")
        root.query("GRANT ALL ON *.* TO 'jo@home'")
        with mariadb.connect(user="jo@home", database="one") as jo:
            root.query("SELECT 'root'")
            jo.query("SELECT 'jo'")
            jo.command(PING)
            jo.command(INIT_DB, "mysql")
            jo.execute("SELECT ?, ?", ["it's", None])
            jo.query("use one")
            jo.query("EXECUTE IMMEDIATE 'SELECT 1'")
            root.query("SELECT 'root' still")
    rows = rows_of(mariadb.general_log.read_bytes())
    names = ("sql", "user", "database")
    assert [picked(row, *names) for row in rows if row["sql"] and row["session"] == jo.thread] == [
        ("SELECT 'jo'", "jo@home", "one"),
        ("SELECT 'it\\'s', NULL", "jo@home", "mysql"),
        ("use one", "jo@home", "one"),
        ("SELECT 1", "jo@home", "one"),
    ]
    assert {row["user"] for row in rows if row["session"] == root.thread} == {"root"}
    workload = capture([str(mariadb.general_log)], tmp_path / "w")
    assert workload.counts.balanced
    assert workload.counts.captured == len([row for row in rows if row["sql"]])
