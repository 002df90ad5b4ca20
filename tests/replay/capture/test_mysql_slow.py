"""Slow logs of MySQL, Percona Server and MariaDB: headers, stamps, damage, and a real server's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.blocks import read_records
from replay.capture.capture import capture
from replay.capture.formats import recognise
from replay.capture.mysql_slow import MysqlSlow
from replay.capture.record import ReaderOptions, What
from tests.mariadb import MariaDB, mariadb_server
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
    "SELECT * FROM gone;\n"
)
PERCONA = (
    "# Time: 2026-03-01T10:00:04.000000+02:00\n"
    f"{USER}  Id:    13\n"
    "# Schema: shop  Last_errno: 0  Killed: 1317\n"
    "# query_time: 1.000000  Lock_time: 0.000004  rows_sent: 2  Rows_examined: 0\n"
    "# Rows_affected: 0  Bytes_sent: 56  Tmp_tables: 0  Tmp_disk_tables: 0  Tmp_table_sizes: 0\n"
    "# InnoDB_trx_id: 0\n"
    "# Full_scan: Yes  Full_join: No  Tmp_table: No  Tmp_table_on_disk: No\n"
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
    "# explain: 1\tSIMPLE\tNULL\tNULL\n"
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
ALL = BANNER + MYSQL_8 + MYSQL_8_EXTRA + PERCONA + BANNER + MARIADB + OLD


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server


def reader_of(data: str, **options: Any) -> MysqlSlow:
    found = recognise(data.encode(), ReaderOptions(**options), log_format="auto")
    assert found is not None
    assert isinstance(found.reader, MysqlSlow)
    return found.reader


def notes_of(data: str, **options: Any) -> str:
    reader = reader_of(data, **options)
    list(read_records(io.BytesIO(data.encode()), reader))
    return " ".join(sorted(reader.notes))


def us(clock: str) -> int:
    """Microseconds of a time on 2026-03-01, UTC."""
    hours, minutes, seconds = clock.split(":")
    day_s = 1_772_323_200
    return round((day_s + int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1e6)


def picked(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_each_form_of_header_is_understood() -> None:
    rows = rows_of(ALL)
    assert [row["what"] for row in rows] == [
        What.RESTART, *[What.STATEMENT] * 3, What.RESTART, *[What.STATEMENT] * 2, What.DISCONNECT,
    ]  # fmt: skip
    assert [row["line"] for row in rows] == [1, 4, 9, 14, 26, 29, 40, 46]
    mysql, extra, percona, maria, old = (row for row in rows if row["sql"])
    names = "session at_us ends duration_us rows error user database sql".split()
    assert picked(mysql, *names) == (
        "12", us("10:00:02.5"), True, 250_000, 3, None, "shop", None, "SELECT 'a'",
    )  # fmt: skip
    assert picked(extra, *names) == (
        "12", us("10:00:03.2"), False, 250_000, 3, "1146", "shop", None, "SELECT * FROM gone",
    )  # fmt: skip
    assert picked(percona, *names) == (
        "13", us("8:00:04"), True, 1_000_000, 2, "1317", "shop", "shop",
        "INSERT INTO t VALUES (1,\n  'b')",
    )  # fmt: skip
    assert picked(maria, *names) == (
        "14", us("10:00:05"), True, 277, 1, None, "root", None, "SELECT 1",
    )  # fmt: skip
    assert picked(old, *names) == (
        "15", us("9:00:06"), True, 2_000_000, 0, None, "replica", "shop", "SELECT 2",
    )  # fmt: skip
    assert picked(rows[-1], "reason", "at_us") == ("disconnection", us("9:00:06"))


@pytest.mark.parametrize("block_bytes", [1, 2, 17, 100, 333, 1000])
def test_blocks_of_any_size_give_the_same_records(block_bytes: int) -> None:
    assert rows_of(ALL, block_bytes=block_bytes) == rows_of(ALL)


def test_a_log_cut_anywhere_gives_no_cut_statement() -> None:
    whole = {row["sql"] for row in rows_of(ALL)}
    first = len(BANNER + MYSQL_8)
    for end in range(first, len(ALL), 7):
        rows = rows_of(ALL[:end])
        assert {row["sql"] for row in rows} <= whole
        assert rows[1]["sql"] == "SELECT 'a'" or rows[1]["reason"] == "cut off"
        assert end < first + 20 or rows[1]["sql"] == "SELECT 'a'"


def test_a_log_that_begins_in_the_middle_loses_no_more_than_that() -> None:
    rows = rows_of("  'secret');\n" + MYSQL_8)
    assert picked(rows[0], "what", "reason", "line") == (What.QUARANTINED, "no header", 1)
    assert "secret" not in rows[0]["excerpt"]
    assert picked(rows[1], "sql", "line") == ("SELECT 'a'", 2)


def test_an_entry_that_a_crash_cut_is_set_aside_without_its_values() -> None:
    cut = MYSQL_8.replace("SELECT 'a';\n", "SELECT 'secret', 4711\n")
    rows = rows_of(MYSQL_8 + cut + BANNER + MYSQL_8)
    assert [row["what"].name for row in rows] == [
        "STATEMENT", "QUARANTINED", "RESTART", "STATEMENT",
    ]  # fmt: skip
    assert picked(rows[1], "reason", "excerpt", "sql") == ("cut off", "SELECT …", None)


def test_bad_bytes_spoil_their_own_record_only() -> None:
    data = MYSQL_8.encode() + MYSQL_8.replace("'a'", "'\udcff'").encode(errors="surrogateescape")
    rows = sorted(rows_of(data + MYSQL_8.encode()), key=lambda row: int(row["line"]))
    assert [row["what"].name for row in rows] == ["STATEMENT", "QUARANTINED", "STATEMENT"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '\n# Time: 2026-03-01T10:00:00.000000Z\n'",
        "SELECT ';\n# User@Host: a[a] @ b []\n'",
        "SELECT ';\n#'",
        "# a comment\nSELECT 1",
        "SELECT 1 /*\nuse x;\nSET timestamp=1;\n*/",
        "SELECT ', Version: 1 started with:\n'",
        "SET timestamp=1",
        "use shop",
        "SELECT 'x;'",
        "SELECT 1\n# Time: 260301 10:00:00",
        "SELECT '\n# User@Host: a[a] @ b []'",
    ],
)
def test_text_that_looks_like_the_log_stays_text(sql: str) -> None:
    entry = MYSQL_8.replace("SELECT 'a'", sql)
    assert [row["sql"] for row in rows_of(entry + MYSQL_8)] == [sql, "SELECT 'a'"]


def test_a_use_line_holds_until_the_next_one() -> None:
    used = MYSQL_8.replace("SET timestamp", "use `a``b`;\nSET timestamp")
    conflicting = PERCONA.replace("SET last", "use other;\nSET last")
    no_schema = MARIADB
    rows = rows_of(MYSQL_8 + used + MYSQL_8 + PERCONA + MYSQL_8 + conflicting + no_schema + MYSQL_8)
    assert [row["database"] for row in rows] == [
        None, "a`b", "a`b", "shop", "a`b", "other", None, "other",
    ]  # fmt: skip


def test_administrator_commands_and_empty_statements_are_not_replayed() -> None:
    def commanded(text: str) -> str:
        return MYSQL_8.replace("SELECT 'a'", text)

    rows = rows_of(
        commanded("# administrator command: Ping")
        + commanded("# administrator command: Connect")
        + commanded("# administrator command: Quit")
        + commanded("")
        + commanded("EXECUTE IMMEDIATE 'SELECT 1'")
        + MYSQL_8
    )
    assert [(row["what"].name, row["reason"]) for row in rows] == [
        ("SKIPPED", "administrator command"),
        ("CONNECT", "connection"),
        ("DISCONNECT", "disconnection"),
        ("SKIPPED", "empty statement"),
        ("SKIPPED", "EXECUTE IMMEDIATE of a statement with an entry of its own"),
        ("STATEMENT", None),
    ]


def test_stamps_without_a_zone_are_utc_unless_told() -> None:
    behind = MARIADB.replace("1772359205", "1772377205")
    [row] = rows_of(behind)
    assert row["at_us"] == us("10:00:05")
    assert "--timezone" in notes_of(behind)
    assert "5 h behind UTC" in notes_of(behind)
    zone = ZoneInfo("America/New_York")
    assert rows_of(behind, zone=zone)[0]["at_us"] == us("15:00:05")
    assert "timezone" not in notes_of(behind, zone=zone)
    assert "timezone" not in notes_of(MYSQL_8)


def test_a_stamp_that_is_left_out_is_that_of_the_entry_before() -> None:
    later = MARIADB.partition("\n")[2].replace("1772359205", "1772359206")
    rows = rows_of(MARIADB + later)
    assert [row["at_us"] for row in rows] == [us("10:00:05")] * 2


def test_where_no_stamp_was_written_yet_set_timestamp_tells() -> None:
    stampless = MARIADB.partition("\n")[2]
    rows = rows_of(stampless + MARIADB)
    assert [row["at_us"] for row in rows] == [us("10:00:05")] * 2
    # In the server's zone as the stamps that follow, when that is not known.
    behind = (stampless + MARIADB).replace("1772359205", "1772377205")
    assert [row["at_us"] for row in rows_of(behind)] == [us("10:00:05")] * 2
    zone = ZoneInfo("America/New_York")
    assert [row["at_us"] for row in rows_of(behind, zone=zone)] == [us("15:00:05")] * 2
    none = stampless.replace("SET timestamp=1772359205;\n", "")
    assert picked(rows_of(none)[0], "what", "reason") == (What.QUARANTINED, "no stamp")


def test_sampling_and_missing_errors_are_noted() -> None:
    assert "set log_slow_rate_limit = 1" in notes_of(PERCONA)
    assert "log_slow_rate_limit" not in notes_of(PERCONA.replace("limit: 10", "limit: 1"))
    assert "set log_slow_extra = ON" in notes_of(MYSQL_8)
    assert "log_slow_extra" not in notes_of(MYSQL_8_EXTRA)


def test_the_coarsest_stamps_tell_the_resolution() -> None:
    fine, coarse = reader_of(MYSQL_8), reader_of(MARIADB)
    assert (fine.resolution_us, coarse.resolution_us) == (1, 1_000_000)
    assert fine.adopt(coarse)
    assert fine.resolution_us == 1_000_000


def test_a_log_without_entries_is_understood() -> None:
    assert [row["reason"] for row in rows_of(BANNER * 2)] == ["server banner"] * 2
    assert [row["reason"] for row in rows_of(f"\n\n{MYSQL_8}\n\n")] == [None]


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
    entries = [row for row in rows if row["what"] != What.RESTART]
    assert len(rows) - len(entries) == wanted["server_banners"]
    assert len(entries) == wanted["entries"]
    assert len(entries) == wanted.get("third_party_events", len(entries))
    admin = [row for row in entries if row["what"] == What.DISCONNECT]
    assert len(admin) == wanted["admin_entries"]
    # One excerpt has no stamp at all, nor a second.
    others = {row["reason"] for row in entries if row["what"] != What.STATEMENT} - {"disconnection"}
    assert others == ({"no stamp"} if name.endswith("slow008.log") else set())
    total_us = sum(row["duration_us"] for row in entries)
    assert total_us == round(wanted["sum_query_time_s"] * 1e6)


PIECES = st.sampled_from(
    [
        "\n", "\n# ", "# Time: 260301 10:00:00", "# User@Host: a[a] @ b []", ";", ";\n", ";\n#",
        "''", "\\\\", '"', "`", "é", "\t", "\r\n", "  ", "use x;", "SET timestamp=1;", "--", "/*",
        "# administrator command: Quit;", "# Query_time: 1", ", Version: 1 started with:", "1",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def can_hold(text: str) -> bool:
    """Whether the log can: a user's line with a comment line behind it is an entry's header."""
    return not re.search(r"^# .*User@Host: .*\n# ", text, re.M)


@settings(max_examples=4, deadline=None)
@given(st.lists(TEXTS.filter(can_hold), min_size=10, max_size=30))
def test_what_a_server_was_sent_comes_back_byte_for_byte(
    mariadb: MariaDB, texts: list[str]
) -> None:
    sent = [f"SELECT '{text}' AS x" for text in texts]
    before = mariadb.slow_log.stat().st_size
    with mariadb.connect() as session:
        for sql in sent:
            session.query(sql)
    rows = rows_of(mariadb.slow_log.read_bytes()[before:])
    assert [(row["sql"], row["session"]) for row in rows] == [(sql, session.thread) for sql in sent]


def test_a_servers_sessions_are_told_apart(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.connect() as one, mariadb.connect(database="mysql") as two:
        one.query("SELECT 'one'")
        two.query("SELECT 'two'")
        two.query("SELECT sleep(0.05)")
        one.execute("SELECT ?, ?", ["it's", None])
        one.query("SELECT 'syntax' error here")
    rows = rows_of(mariadb.slow_log.read_bytes())
    names = ("sql", "user", "database", "rows")
    assert [picked(row, *names) for row in rows if row["session"] == one.thread] == [
        ("SELECT 'one'", "root", None, 1),
        ("SELECT 'it\\'s', NULL", "root", None, 1),
        ("SELECT 'syntax' error here", "root", None, 0),
    ]
    found = [row for row in rows if row["session"] == two.thread]
    assert [picked(row, *names) for row in found] == [
        ("SELECT 'two'", "root", "mysql", 1),
        ("SELECT sleep(0.05)", "root", "mysql", 1),
    ]
    assert found[1]["duration_us"] >= 50_000
    workload = capture([str(mariadb.slow_log)], tmp_path / "w")
    assert workload.counts.balanced
    assert workload.counts.captured == len([row for row in rows if row["sql"]])
