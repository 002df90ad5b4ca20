"""Logs of MySQL, Percona Server and MariaDB: forms, damage, and a real server's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.blocks import read_records
from replay.capture.capture import capture
from replay.capture.formats import recognise
from replay.capture.mysql.log import MysqlLog
from replay.capture.record import ReaderOptions, What
from tests.mariadb import INIT_DB, PING, MariaDB, mariadb_server
from tests.replay.capture.records import rows_of

LOGS = Path(__file__).parents[4] / "shared" / "logs"
BANNER = (
    "/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:\n"
    "Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock\n"
    "Time                 Id Command    Argument\n"
)
USER = "# User@Host: app[shop] @ web1 [10.0.0.1]"
TIMES = "# Query_time: 0.250000  Lock_time: 0.000100 Rows_sent: 3  Rows_examined: 9"
MYSQL_8 = (
    "# Time: 2026-03-01T10:00:02.500000Z\n"
    f"{USER}  Id:    12\n"
    f"{TIMES}\n"
    "SET timestamp=1772359202;\n"
    "SELECT 'a';\n"
)
MYSQL_8_EXTRA = (
    "# Time: 2026-03-01T10:00:03.500000Z\n"
    f"{USER}  Id:    12\n"
    f"{TIMES} Thread_id: 12 Errno: 1146 Killed: 0 Bytes_received: 22 Bytes_sent: 56 Read_first: 1"
    " Start: 2026-03-01T10:00:03.200000Z End: 2026-03-01T10:00:03.500000Z\n"
    "SET timestamp=1772359203;\n"
    "SELECT gone;\n"
)
PERCONA = (
    "# Time: 2026-03-01T10:00:04.000000+02:00\n"
    f"{USER}  Id:    13\n"
    "# Schema: shop  Last_errno: 0  Killed: 1317\n"
    "# query_time: 1.000000  Lock_time: 0.000004  rows_sent: 2  Rows_examined: 0\n"
    "#   InnoDB_IO_r_ops: 0  InnoDB_IO_r_bytes: 0  InnoDB_IO_r_wait: 0.000000\n"
    "# Log_slow_rate_type: query  Log_slow_rate_limit: 10\n"
    "SET last_insert_id=5,insert_id=7,timestamp=1772344803;\n"
    "INSERT INTO t VALUES (1,\n"
    "  'b');\n"
)
MARIADB = (
    "# Time: 260301 10:00:05\n"
    "# User@Host: root[root] @ localhost []\n"
    "# Thread_id: 14  Schema:   QC_hit: No\n"
    "# Query_time: 0.000277  Lock_time: 0.000000  Rows_sent: 1  Rows_examined: 0\n"
    "# Rows_affected: 0  Bytes_sent: 58\n"
    "#\n"
    "# explain: id\tselect_type\ttable\ttype\n"
    "#\n"
    "SET timestamp=1772359205;\n"
    "SELECT 1;\n"
)
OLD = (
    "# Time: 260301  9:00:06 # User@Host: [replica] @  []\n"
    "# Thread_id: 15\n"
    "# Query_time: 2  Lock_time: 0  Rows_sent: 0  Rows_examined: 62951\n"
    "# No InnoDB statistics available for this query\n"
    "use shop;\n"
    "SELECT 2;\n"
    "# User@Host: [replica] @  []\n"
    "# Thread_id: 15\n"
    "# Query_time: 1  Lock_time: 0  Rows_sent: 0  Rows_examined: 62951\n"
    "# administrator command: Quit;\n"
)
SLOW = BANNER + MYSQL_8 + MYSQL_8_EXTRA + PERCONA + BANNER + MARIADB + OLD

GENERAL_8 = (
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
GENERAL_5 = (
    "260301 10:00:02\t   21 Connect\tapp@web1 on shop\n"
    "\t\t   21 Query\tSELECT 4\n"
    "260301  9:00:03\t   21 Query\tEXECUTE s USING @a\n"
    "\t\t   21 Execute\tSELECT 5\n"
    "\t\t   21 Query\t\n"
    "\t\t   22 Query\tSELECT 6\n"
)
GENERAL_5_0 = (
    "260301 10:00:04\t     31 Connect     app@web1 on shop\n"
    "\t\t     31 Query       SELECT 7\n"
    "\t\t     31 Field List  t\n"
    "\t\t     31 Quit       \n"
)
GENERAL = BANNER + GENERAL_8 + BANNER + GENERAL_5 + GENERAL_5_0


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server


def reader_of(log: str, **options: Any) -> MysqlLog:
    found = recognise(log.encode(), ReaderOptions(**options), log_format="auto")
    assert found is not None
    assert isinstance(found.reader, MysqlLog)
    return found.reader


def notes_of(log: str, **options: Any) -> str:
    reader = reader_of(log, **options)
    list(read_records(io.BytesIO(log.encode()), reader))
    return " ".join(reader.notes)


def us(clock: str) -> int:
    """Microseconds of a time on 2026-03-01, UTC."""
    moment = datetime.fromisoformat(f"2026-03-01T{clock}+00:00")
    return round(moment.timestamp() * 1e6)


def picked(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_each_form_of_a_slow_log_is_understood() -> None:
    rows = rows_of(SLOW)
    assert [row["what"] for row in rows] == [
        What.SKIPPED, *[What.STATEMENT] * 3, What.RESTART, *[What.STATEMENT] * 2, What.DISCONNECT,
    ]  # fmt: skip
    assert [row["line"] for row in rows] == [1, 4, 9, 14, 23, 26, 36, 42]
    names = "session at_us ends duration_us rows error user database sql".split()
    insert = "INSERT INTO t VALUES (1,\n  'b')"
    assert [picked(row, *names) for row in rows if row["sql"]] == [
        ("12", us("10:00:02.500000"), True, 250_000, 3, None, "shop", None, "SELECT 'a'"),
        ("12", us("10:00:03.200000"), False, 250_000, 3, "1146", "shop", None, "SELECT gone"),
        ("13", us("08:00:04"), True, 1_000_000, 2, "1317", "shop", "shop", insert),
        ("14", us("10:00:05"), True, 277, 1, None, "root", None, "SELECT 1"),
        ("15", us("09:00:06"), True, 2_000_000, 0, None, "replica", "shop", "SELECT 2"),
    ]
    assert picked(rows[-1], "reason", "at_us") == ("disconnection", us("09:00:06"))


def test_each_form_of_a_general_log_is_understood() -> None:
    rows = rows_of(GENERAL)
    names = "session at_us user database sql".split()
    assert [picked(row, *names) for row in rows if row["sql"]] == [
        ("12", us("10:00:01.000002"), "app", "shop", "SELECT 'two\nlines'"),
        ("13", us("10:00:01.000005"), "root", "stock", "SELECT 1"),
        ("12", us("10:00:01.000007"), "app", "shop", "SELECT 'x'"),
        ("12", us("10:00:01.000009"), "app", "a`b", "USE `a``b`;"),
        ("12", us("10:00:01.000010"), "app", "a`b", "SELECT 2"),
        ("12", us("10:00:01.000012"), "other", "shop", "SELECT 3"),
        ("21", us("10:00:02"), "app", "shop", "SELECT 4"),
        ("21", us("09:00:03"), "app", "shop", "SELECT 5"),
        ("22", us("09:00:03"), None, None, "SELECT 6"),
        ("31", us("10:00:04"), "app", "shop", "SELECT 7"),
    ]
    assert [(row["session"], row["reason"]) for row in rows if not row["sql"]] == [
        (None, "server banner"), ("12", "connection"), ("13", "connection"),
        ("13", "administrator command"), ("12", "prepare"), ("12", "administrator command"),
        ("12", "administrator command"), ("12", "disconnection"), ("14", "connection"),
        ("14", "connection refused"), (None, "server banner"), ("21", "connection"),
        ("21", "EXECUTE, logged again with its values"), ("21", "empty statement"),
        ("31", "connection"), ("31", "administrator command"), ("31", "disconnection"),
    ]  # fmt: skip
    banners = [row["what"] for row in rows if row["reason"] == "server banner"]
    assert banners == [What.SKIPPED, What.RESTART]
    assert rows[4]["at_us"] == us("08:00:01.000004")
    assert not any(row["ends"] or row["duration_us"] for row in rows)


@pytest.mark.parametrize("block_bytes", [1, 17, 100, 333, 1000])
@pytest.mark.parametrize("log", [SLOW, GENERAL, GENERAL[GENERAL.index("\t\t") :]])
def test_blocks_of_any_size_give_the_same_records(log: str, block_bytes: int) -> None:
    assert rows_of(log, block_bytes=block_bytes) == rows_of(log)


@pytest.mark.parametrize("log", [SLOW, GENERAL])
def test_a_log_cut_anywhere_gives_no_cut_statement(log: str) -> None:
    whole = rows_of(log)
    for end in range(2 * len(BANNER), len(log), 7):
        *before, last = rows_of(log[:end])
        assert before == whole[: len(before)]
        # What follows a line end within a text of a general log cannot be known.
        assert last["sql"] in {row["sql"] for row in whole} | {"SELECT 'two"}
        assert log is SLOW or log[end - 1] == "\n" or last["what"] == What.QUARANTINED


@pytest.mark.parametrize(
    ("log", "bad"),
    [
        (MYSQL_8 + MYSQL_8[:-5] + ", 'secret', 47\n" + BANNER + MYSQL_8, MYSQL_8),
        (GENERAL_5 + "\t\t   21 Query\tSELECT 'secret', 47", "\t\t   21 Query\tSELECT 'a'\n"),
    ],
)
def test_damage_spoils_its_own_record_only_and_shows_no_value(log: str, bad: str) -> None:
    whole = rows_of(log)
    damaged = ["  'secret')\n", bad.replace("'a'", "'\udcff'"), log]
    rows = rows_of("".join(damaged).encode(errors="surrogateescape"))
    found = [picked(row, "reason", "excerpt") for row in rows if row["what"] == What.QUARANTINED]
    not_text = "not text: invalid UTF-8 or a NUL byte"
    assert set(found) == {("no header", ""), (not_text, ""), ("cut off", "SELECT …")}
    assert [row["sql"] for row in rows if row["sql"]] == [row["sql"] for row in whole if row["sql"]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '\n# Time: 2026-03-01T10:00:00.000000Z\n'",
        "SELECT ';\n# User@Host: a[a] @ b []\n'",
        "SELECT 1 /*\nuse x;\nSET timestamp=1;\n*/",
        "SET timestamp=1",
        "use shop",
        "SELECT '\n# User@Host: a[a] @ b []'",
    ],
)
def test_text_that_looks_like_the_log_stays_text(sql: str) -> None:
    entry = MYSQL_8.replace("SELECT 'a'", sql)
    assert [row["sql"] for row in rows_of(entry + MYSQL_8)] == [sql, "SELECT 'a'"]


def test_a_use_line_holds_until_the_next_one() -> None:
    used = MYSQL_8.replace("SET timestamp", "use `a``b`;\nSET timestamp")
    conflicting = PERCONA.replace("SET last", "use other;\nSET last")
    rows = rows_of(MYSQL_8 + used + MYSQL_8 + PERCONA + conflicting + MARIADB + MYSQL_8)
    databases = [row["database"] for row in rows]
    assert databases == [None, "a`b", "a`b", "shop", "other", None, "other"]


def test_administrator_commands_and_empty_statements_are_not_replayed() -> None:
    texts = [f"# administrator command: {name}" for name in ("Ping", "Connect", "Quit")]
    texts += ["", "EXECUTE IMMEDIATE 'SELECT 1'", "SELECT 1"]
    rows = rows_of("".join(MYSQL_8.replace("SELECT 'a'", text) for text in texts))
    assert [picked(row, "what", "reason") for row in rows] == [
        (What.SKIPPED, "administrator command"), (What.CONNECT, "connection"),
        (What.DISCONNECT, "disconnection"), (What.SKIPPED, "empty statement"),
        (What.SKIPPED, "EXECUTE IMMEDIATE of a statement with an entry of its own"),
        (What.STATEMENT, None),
    ]  # fmt: skip


def test_stamps_without_a_zone_are_utc_unless_told() -> None:
    zone = ZoneInfo("America/New_York")
    assert rows_of(MARIADB)[0]["at_us"] == us("10:00:05")
    assert rows_of(MARIADB, zone=zone)[0]["at_us"] == us("15:00:05")
    assert "--timezone" in notes_of(MARIADB)
    assert "timezone" not in notes_of(MARIADB, zone=zone) + notes_of(MYSQL_8)


@pytest.mark.parametrize("block_bytes", [1, 100, 10_000])
def test_a_stamp_left_out_is_the_one_before_or_the_logs_first(block_bytes: int) -> None:
    stampless = MARIADB.partition("\n")[2].replace("1772359205", "1772359206")
    rows = rows_of(stampless + MARIADB + stampless, block_bytes=block_bytes)
    assert [row["at_us"] for row in rows] == [us("10:00:05")] * 3
    # Without any stamp `SET timestamp` tells.
    assert rows_of(stampless)[0]["at_us"] == us("10:00:06")
    for none in (stampless.replace("SET timestamp=1772359206;\n", ""), GENERAL_5[-25:]):
        row = rows_of(none, log_format="auto" if none[0] == "#" else "mysql-general")[-1]
        assert picked(row, "what", "reason") == (What.QUARANTINED, "no stamp")
    assert rows_of(GENERAL_5.partition("\n")[2])[0]["at_us"] == us("09:00:03")


def test_sampling_and_missing_errors_are_noted() -> None:
    assert "set log_slow_rate_limit = 1" in notes_of(PERCONA)
    assert "log_slow_rate_limit" not in notes_of(PERCONA.replace("limit: 10", "limit: 1"))
    assert "set log_slow_extra = ON" in notes_of(MYSQL_8)
    assert "log_slow_extra" not in notes_of(MYSQL_8_EXTRA)


@pytest.mark.parametrize(("fine", "coarse"), [(MYSQL_8, MARIADB), (GENERAL_8, GENERAL_5)])
def test_the_coarsest_stamps_tell_the_resolution(fine: str, coarse: str) -> None:
    found = [reader_of(log) for log in (fine, coarse)]
    assert [reader.resolution_us for reader in found] == [1, 1_000_000]
    assert found[0].adopt(found[1])
    assert found[0].resolution_us == 1_000_000


@pytest.mark.parametrize(
    "name",
    [f"go-mysql/slow00{number}.log" for number in range(1, 9)]
    + ["go-mysql/mariadb102-with-explain.log", "request-log-analyzer/mysql_slow_query.log"],
)
def test_counts_agree_with_those_taken_by_others(name: str) -> None:
    index = LOGS / "expected.json"
    if not index.is_file():
        pytest.skip(f"the collection of real logs is not at {LOGS}")
    wanted = json.loads(index.read_text())[name]
    rows = rows_of((LOGS / name).read_bytes())
    entries = [row for row in rows if row["reason"] != "server banner"]
    assert len(rows) - len(entries) == wanted["server_banners"]
    assert len(entries) == wanted["entries"] == wanted.get("third_party_events", len(entries))
    admin = [row for row in entries if row["what"] == What.DISCONNECT]
    assert len(admin) == wanted["admin_entries"]
    # One excerpt has no stamp at all, nor a second.
    others = {row["reason"] for row in entries if row["what"] != What.STATEMENT} - {"disconnection"}
    assert others == ({"no stamp"} if name.endswith("slow008.log") else set())
    assert sum(row["duration_us"] for row in entries) == round(wanted["sum_query_time_s"] * 1e6)


PIECES = st.sampled_from(
    [
        "\n", "\n# ", "# Time: 260301 10:00:00", "# User@Host: a[a] @ b []", ";", ";\n", ";\n#",
        "''", "\\\\", '"', "`", "é", "\t", "\r\n", "  ", "use x;", "SET timestamp=1;", "--", "/*",
        "# administrator command: Quit;", "# Query_time: 1", ", Version: 1 started with:", "1",
        "\n\t\t", "   4 Query\t", "260301 10:00:00\t", "2026-03-01T10:00:00.000000Z\t", "Quit",
    ]
)  # fmt: skip


def can_hold(text: str) -> bool:
    """Whether the logs can: nothing tells a text's further lines from records but their looks."""
    like_a_record = r"^# .*User@Host: .*\n# |^(?:\t|\S+(?: \S+)?)\t *\d+ (?:Query|Quit)"
    return not re.search(like_a_record, text, re.M)


TEXTS = st.lists(PIECES, max_size=8).map("".join)


@settings(max_examples=4, deadline=None)
@given(st.lists(TEXTS.filter(can_hold), min_size=10, max_size=30))
def test_what_a_server_was_sent_comes_back(mariadb: MariaDB, texts: list[str]) -> None:
    sent = [f"SELECT '{text}' AS x" for text in texts]
    logs = (mariadb.slow_log, mariadb.general_log)
    before = [log.stat().st_size for log in logs]
    with mariadb.connect() as session:
        for sql in sent:
            session.query(sql)
    slow, general = (log.read_bytes()[size:] for log, size in zip(logs, before, strict=True))
    found = [picked(row, "session", "sql") for row in rows_of(slow)]
    assert found == [(session.thread, sql) for sql in sent]
    # A stamp as the server writes one each second at most.
    rows = rows_of(b"260301 10:00:00\t     1 Quit\t\n" + general)[1:]
    found = [picked(row, "session", "sql") for row in rows]
    assert found == [(session.thread, sql) for sql in (None, *sent, None)]
    assert (rows[0]["what"], rows[-1]["what"]) == (What.CONNECT, What.DISCONNECT)


def test_a_servers_logs_tell_sessions_users_and_databases(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.connect() as root:
        root.query("CREATE USER 'jo@home'")
        root.query("CREATE DATABASE one")
        root.query("GRANT ALL ON *.* TO 'jo@home'")
        with mariadb.connect(user="jo@home", database="one") as jo:
            root.query("SELECT 'syntax' error here")
            jo.query("SELECT sleep(0.05)")
            jo.command(PING)
            jo.command(INIT_DB, "mysql")
            jo.execute("SELECT ?, ?", ["it's", None])
            jo.query("use one")
            jo.query("EXECUTE IMMEDIATE 'SELECT 1'")
    wanted = [
        ("SELECT sleep(0.05)", "jo@home", "one"),
        ("SELECT 'it\\'s', NULL", "jo@home", "mysql"),
        ("use one", "jo@home", "one"),
        ("SELECT 1", "jo@home", "one"),
    ]
    for log in (mariadb.slow_log, mariadb.general_log):
        rows = [row for row in rows_of(log.read_bytes()) if row["sql"]]
        jos = [row for row in rows if row["session"] == jo.thread]
        assert [picked(row, "sql", "user", "database") for row in jos] == wanted
        roots = [picked(row, "sql", "user") for row in rows if row["session"] == root.thread]
        assert roots[-1] == ("SELECT 'syntax' error here", "root")
        assert log is mariadb.general_log or jos[0]["duration_us"] >= 50_000
        workload = capture([str(log)], tmp_path / log.name)
        assert workload.counts.balanced
        assert workload.counts.captured == len(rows)
