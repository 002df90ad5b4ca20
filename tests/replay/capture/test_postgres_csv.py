from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.postgres.csvlog import PostgresCsv
from replay.capture.postgres.message import expand_execute, parameters_of
from replay.capture.record import ReaderOptions, What
from replay.errors import UsageError
from tests.replay.capture.records import rows_of

COLUMNS = 26


def record(message: str, *, columns: int = COLUMNS, **fields: str) -> str:
    """One csvlog record as the server writes it: text quoted, empty text absent."""
    values = {
        "time": "2026-03-01 10:00:00.500 UTC",
        "user": "ann",
        "database": "ads",
        "pid": "77",
        "host": "10.0.0.1:5000",
        "session": "65e1a2b3.4d",
        "line": "1",
        "tag": "SELECT",
        "start": "2026-03-01 09:59:00 UTC",
        "vxid": "3/5",
        "xid": "0",
        "severity": "LOG",
        "sqlstate": "00000",
        "message": message,
        "detail": "",
        "hint": "",
        "internal_query": "",
        "internal_position": "",
        "context": "",
        "query": "",
        "query_position": "",
        "location": "",
        "application": "dashboard",
        "backend": "client backend",
        "leader": "",
        "query_id": "0",
    } | fields
    bare = {"time", "pid", "session", "line", "start", "vxid", "xid", "severity", "sqlstate"}
    cells = [
        value if name in bare or not value else '"' + value.replace('"', '""') + '"'
        for name, value in list(values.items())[:columns]
    ]
    return ",".join(cells) + "\n"


def only(text: str) -> dict[str, Any]:
    (row,) = rows_of(text, log_format="postgres-csv")
    return row


def sql_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["sql"] for row in rows if row["what"] is What.STATEMENT]


T0_US = 1_772_359_200_500_000


def test_a_timed_statement_ends_at_its_stamp() -> None:
    row = only(record("duration: 12.345 ms  statement: SELECT 1"))
    assert row == {
        "line": 1,
        "what": What.STATEMENT,
        "reason": None,
        "excerpt": None,
        "session": "65e1a2b3.4d",
        "at_us": T0_US,
        "ends": True,
        "duration_us": 12_345,
        "rows": None,
        "error": None,
        "user": "ann",
        "database": "ads",
        "application": "dashboard",
        "sql": "SELECT 1",
        "params": None,
        "extended": False,
    }


def test_an_untimed_statement_starts_at_its_stamp() -> None:
    row = only(record("statement: SELECT 1"))
    assert (row["at_us"], row["ends"], row["duration_us"]) == (T0_US, False, None)


@pytest.mark.parametrize("columns", range(22, 27))
def test_every_width_since_8_4_is_read(columns: int) -> None:
    row = only(record("duration: 1.000 ms  statement: SELECT 1", columns=columns))
    assert row["sql"] == "SELECT 1"
    assert row["application"] == ("dashboard" if columns > 22 else None)


def test_the_width_may_change_within_a_log() -> None:
    text = "".join(record(f"statement: SELECT {width}", columns=width) for width in (26, 23, 26))
    assert sql_of(rows_of(text)) == ["SELECT 26", "SELECT 23", "SELECT 26"]


@pytest.mark.parametrize("word", ["parameters", "Parameters"])
@pytest.mark.parametrize("name", ["<unnamed>", "S_1", "S_1/C_2"])
def test_bind_values_are_taken_from_the_detail(word: str, name: str) -> None:
    row = only(
        record(
            f"duration: 1.000 ms  execute {name}: SELECT $1, $2, $3",
            detail=f"{word}: $1 = 'it''s, $2 = ''no''', $2 = NULL, $3 = 'two\nlines'",
        )
    )
    assert row["params"] == ["it's, $2 = 'no'", None, "two\nlines"]
    assert row["extended"]


def test_a_multi_line_statement_is_one_record() -> None:
    row = only(record("duration: 1.000 ms  statement: SELECT \"a\"\n  FROM t\n WHERE b = 'x'"))
    assert row["sql"] == "SELECT \"a\"\n  FROM t\n WHERE b = 'x'"


def test_an_error_carries_its_statement() -> None:
    row = only(record("division by zero", severity="ERROR", sqlstate="22012", query="SELECT 1/0"))
    assert row["what"] is What.FAILURE
    assert (row["sql"], row["error"], row["duration_us"]) == ("SELECT 1/0", "22012", None)


OTHERS = {
    "duration: 0.100 ms  execute fetch from c1: SELECT 1": ("cursor fetch", What.SKIPPED),
    "duration: 0.100 ms  plan:\nQuery Text: SELECT 1": ("plan", What.SKIPPED),
    'duration: 0.100 ms  plan:\n{ "Query Text": "SELECT 1" }': ("plan", What.SKIPPED),
    "AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 1,<none>": ("audit", What.SKIPPED),
    "connection received: host=[local]": ("connection", What.CONNECT),
    "connection authorized: user=ann database=ads": ("connection", What.SKIPPED),
    "disconnection: session time: 0:00:03.861 user=ann": ("disconnection", What.DISCONNECT),
    "database system is ready to accept connections": ("server message", What.RESTART),
    "checkpoint complete: wrote 3 buffers": ("server message", What.SKIPPED),
    "duration: 0.100 ms  statement: ": ("empty statement", What.SKIPPED),
    "duration: 0.100 ms  execute <unnamed>: SELECT $1": ("bind values not logged", What.SKIPPED),
    "duration: 3.210 ms": ("duration of earlier record", What.OUTCOME),
}


@pytest.mark.parametrize(("message", "told"), OTHERS.items())
def test_what_is_not_replayed_is_named(message: str, told: tuple[str, What]) -> None:
    row = only(record(message))
    assert (row["reason"], row["what"]) == told


@pytest.mark.parametrize("name", ["parse", "bind"])
def test_parsing_and_binding_are_steps_of_what_follows(name: str) -> None:
    detail = "Parameters: $1 = '7'"
    row = only(record(f"duration: 0.100 ms  {name} S_1/C_2: SELECT $1", detail=detail))
    assert (row["what"], row["reason"], row["duration_us"]) == (What.STEP, name, 100)
    assert (row["sql"], row["params"]) == ("SELECT $1", ["7"])


def test_a_marker_inside_a_literal_wants_no_value() -> None:
    row = only(record("duration: 0.100 ms  execute <unnamed>: SELECT 'it costs $1'"))
    assert row["what"] is What.STATEMENT


@pytest.mark.parametrize("detail", ["parameters: $1 = 'ab...'", "parameters: $1 = 'ab"])
def test_cut_bind_values_are_quarantined(detail: str) -> None:
    row = only(record("duration: 1.000 ms  execute <unnamed>: SELECT $1, 'x'", detail=detail))
    assert (row["what"], row["reason"]) == (What.QUARANTINED, "bind values unreadable or cut")
    assert row["excerpt"] == "14 characters"


EXECUTES = [
    ("EXECUTE q(7)", "PREPARE q AS SELECT * FROM t WHERE a = $1", "SELECT * FROM t WHERE a = 7"),
    (
        "execute \"q q\"('a, b', 1+f(2, 3))",
        "PREPARE \"q q\" (text, int) AS SELECT $2, '$1', $1;",
        "SELECT CAST(1+f(2, 3) AS int), '$1', CAST('a, b' AS text)",
    ),
    ("EXECUTE q;", "PREPARE q AS SELECT 1", "SELECT 1"),
]


@pytest.mark.parametrize(("execute", "prepare", "sql"), EXECUTES)
def test_an_sql_level_execute_becomes_what_it_runs(execute: str, prepare: str, sql: str) -> None:
    row = only(record(f"duration: 1.000 ms  statement: {execute}", detail=f"prepare: {prepare}"))
    assert row["sql"] == sql


def test_an_execute_with_too_few_arguments_cannot_be_expanded() -> None:
    assert expand_execute("EXECUTE q(1)", "prepare: PREPARE q AS SELECT $1, $2") is None


def test_a_record_cut_by_a_crash_does_not_swallow_the_next() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1")
    cut = record("duration: 1.000 ms  statement: SELECT 'secret'")[:150] + "\n"
    rows = rows_of(whole + cut + whole)
    assert [row["what"] for row in rows] == [What.STATEMENT, What.QUARANTINED, What.STATEMENT]
    assert [row["line"] for row in rows] == [1, 2, 3]


def test_a_last_record_without_its_end_is_quarantined() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1")
    for length in (20, 60, 120, 190):
        rows = rows_of(whole + whole[:length])
        assert [row["what"] for row in rows] == [What.STATEMENT, What.QUARANTINED], length


def test_a_header_inside_a_statement_is_no_new_record() -> None:
    inside = record("duration: 1.000 ms  statement: SELECT 2")
    (row,) = rows_of(record(f"duration: 1.000 ms  statement: SELECT '\n{inside}'"))
    assert row["what"] is What.STATEMENT


def test_garbage_in_the_middle_is_quarantined_and_its_values_are_not_kept() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1").encode()
    bad = record("duration: 1.000 ms  statement: SELECT 'secret'").encode()
    garbage = bad.replace(b"secret", b"sec\xff\xferet") + b"\x00\x01\n" + bad[:40] + b"\n"
    rows = rows_of(whole + garbage + whole)
    kept = sorted((row["line"], row["what"]) for row in rows)
    assert kept[0] == (1, What.STATEMENT)
    assert kept[-1] == (5, What.STATEMENT)
    assert {what for _, what in kept[1:-1]} == {What.QUARANTINED}
    assert "sec" not in str(rows)


def test_zones_are_read_by_name_and_by_offset() -> None:
    def start(zone: str) -> int:
        row = only(record("statement: SELECT 1", time=f"2026-03-01 10:00:00.500 {zone}"))
        return int(row["at_us"])

    assert start("CET") == T0_US - 3_600_000_000
    assert start("-03") == T0_US + 3 * 3_600_000_000
    assert start("+05:30") == T0_US - int(5.5 * 3_600_000_000)
    with pytest.raises(UsageError, match="IST"):
        start("IST")


def test_a_moment_that_never_was_is_quarantined() -> None:
    text = record("statement: SELECT 1", time="2026-13-01 10:00:00.500 UTC")
    rows = rows_of(text + record("statement: SELECT 2"))
    assert [(row["what"], row["reason"]) for row in rows] == [
        (What.QUARANTINED, "no stamp"),
        (What.STATEMENT, None),
    ]


def test_csvlog_is_recognised_by_its_content() -> None:
    def recognised(head: bytes) -> bool:
        return PostgresCsv.recognise(head, ReaderOptions()) is not None

    assert recognised(record("statement: SELECT 1").encode())
    assert not recognised(b"2026-03-01 10:00:00 UTC [77] LOG:  statement: SELECT 1")
    assert not recognised(b"")


VALUES = st.lists(st.none() | st.text(alphabet="ab' ,$1=\n", max_size=12), max_size=6)


@given(VALUES)
@settings(deadline=None)
def test_bind_values_survive_the_detail(values: list[str | None]) -> None:
    shown = ", ".join(
        f"${number} = " + ("NULL" if value is None else "'" + value.replace("'", "''") + "'")
        for number, value in enumerate(values, 1)
    )
    assert parameters_of(f"parameters: {shown}") == (values, True)
    if values:
        row = only(record("duration: 1.000 ms  execute a: SELECT 1", detail=f"Parameters: {shown}"))
        assert row["params"] == values


SQL = st.text(alphabet="ab \n\"',;-é", min_size=1, max_size=30).filter(
    lambda text: text.strip(" \n") != ""
)


@given(st.lists(SQL, min_size=1, max_size=8), st.sampled_from([64, 301, 1 << 22]))
@settings(deadline=None)
def test_any_statement_survives_the_log(statements: list[str], block_bytes: int) -> None:
    text = "".join(record(f"duration: 1.000 ms  statement: {sql}") for sql in statements)
    assert sql_of(rows_of(text, block_bytes=block_bytes)) == statements


@given(st.lists(SQL, min_size=1, max_size=4), st.data())
@settings(deadline=None)
def test_damage_never_raises_and_leaves_whole_records_before_it(
    statements: list[str], data: st.DataObject
) -> None:
    records = [record(f"duration: 1.000 ms  statement: {sql}").encode() for sql in statements]
    whole = b"".join(records)
    cut = data.draw(st.integers(0, len(whole)))
    rubbish = data.draw(st.binary(max_size=20))
    rows = rows_of(whole[:cut] + rubbish + b"\n" + whole, log_format="postgres-csv")
    before = 0
    while before < len(records) and sum(map(len, records[: before + 1])) <= cut:
        before += 1
    kept = sql_of(sorted(rows, key=lambda row: int(row["line"])))
    assert kept[:before] == statements[:before]
    # Whatever the damage was, reading goes on behind it: a quote it left open ends at a header.
    assert kept[-len(statements) :] == statements


def test_the_reader_agrees_with_the_csv_module_on_plain_logs() -> None:
    text = "".join(record(f"duration: 1.000 ms  statement: SELECT {n}") for n in range(2_000))
    rows = list(csv.reader(io.StringIO(text)))
    assert sql_of(rows_of(text)) == [row[13].partition("statement: ")[2] for row in rows]
