from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.postgres.log_line_prefix import USUAL, LogLinePrefix, find_prefix
from replay.capture.record import What
from replay.errors import UsageError
from tests.replay.capture.records import rows_of

MOMENT = "2026-03-01 10:00:00.500 UTC"
T0_US = 1_772_359_200_500_000
ESCAPES = {
    "%m": MOMENT,
    "%t": "2026-03-01 10:00:00 UTC",
    "%n": "1772359200.500",
    "%p": "77",
    "%c": "65e1a2b3.4d",
    "%u": "ann",
    "%d": "ads",
    "%a": "dash board",
    "%h": "10.0.0.1",
    "%r": "10.0.0.1(5000)",
    "%l": "3",
    "%q": "",
}


def head(prefix: str, **others: str) -> str:
    for escape, value in (ESCAPES | {f"%{name}": value for name, value in others.items()}).items():
        prefix = prefix.replace(escape, value)
    return prefix


def logged(
    text: str, *, severity: str = "LOG", prefix: str = "%m [%p] %q%u@%d ", **others: str
) -> str:
    """A record as the server writes it: further lines after a tab."""
    return f"{head(prefix, **others)}{severity}:  " + text.replace("\n", "\n\t") + "\n"


def test_a_timed_statement_with_its_parts() -> None:
    text = logged("duration: 12.345 ms  execute S_1: SELECT $1,\n\t'x'")
    text += logged("Parameters: $1 = 'a\nb'", severity="DETAIL")
    statement, part = rows_of(text)
    assert statement["what"] is What.STATEMENT
    assert statement["sql"] == "SELECT $1,\n\t'x'"
    assert statement["params"] == ["a\nb"]
    assert (statement["at_us"], statement["duration_us"], statement["ends"]) == (
        T0_US,
        12_345,
        True,
    )
    assert (statement["user"], statement["database"]) == ("ann", "ads")
    assert (part["what"], part["reason"]) == (What.SKIPPED, "part of earlier record")


def test_parts_belong_to_their_session_whatever_stands_between() -> None:
    text = "".join(
        [
            logged("execute a: SELECT $1", p="1"),
            logged("execute a: SELECT $1", p="2"),
            logged("Parameters: $1 = 'one'", severity="DETAIL", p="1"),
            logged("Parameters: $1 = 'two'", severity="DETAIL", p="2"),
        ]
    )
    assert [row["params"] for row in rows_of(text)[:2]] == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("message", "prefix", "error"),
    [
        ("division by zero", "%m [%p] ", "22012"),
        ("22P05: something odd", "%m [%p] ", "22P05"),
        ("something odd", "%m [%p] %e ", "XX000"),
        ("something odd", "%m [%p] ", "ERROR"),
    ],
    ids=["by its words", "verbose", "by the prefix", "by its severity"],
)
def test_an_error_has_its_statement_and_a_class(message: str, prefix: str, error: str) -> None:
    text = logged(message, severity="ERROR", prefix=prefix, e="XX000")
    text += logged("SELECT 1\n/ 0", severity="STATEMENT", prefix=prefix, e="XX000")
    row = rows_of(text, log_line_prefix=prefix)[0]
    assert (row["what"], row["sql"], row["error"]) == (What.FAILURE, "SELECT 1\n/ 0", error)


@pytest.mark.parametrize("prefix", [text for text in USUAL if "%p" in text or "%c" in text])
def test_usual_prefixes_are_recognised(prefix: str) -> None:
    text = logged("statement: SELECT 1", prefix=prefix)
    server = logged(
        "checkpoint starting: time", prefix=prefix.partition("%q")[0], u="", d="", a="", h="", r=""
    )
    rows = rows_of(server + text + text)
    assert [row["what"] for row in rows] == [What.SKIPPED, What.STATEMENT, What.STATEMENT]
    assert rows[1]["at_us"] in (T0_US, T0_US - 500_000)
    known = {"%u": ("user", "ann"), "%d": ("database", "ads"), "%a": ("application", "dash board")}
    for escape, (column, value) in known.items():
        assert rows[1][column] == (value if escape in prefix else None)
    assert rows[1]["session"].startswith("65e1a2b3.4d" if "%c" in prefix else "77")


@pytest.mark.parametrize("prefix", ["<%n|%-8p|%10u|%b|%%|%Q> ", "%m:%c:%s:%v:%x:%i:%P "])
def test_any_prefix_can_be_given(prefix: str) -> None:
    values = {
        "-8p": "77      ",
        "10u": "       ann",
        "b": "client backend",
        "%": "%",
        "Q": "-123",
        "s": "2026-03-01 09:00:00 UTC",
        "v": "3/17",
        "x": "0",
        "i": "idle in transaction",
        "P": "",
    }
    text = logged("statement: SELECT 1", prefix=prefix, **values)
    (row,) = rows_of(text, log_line_prefix=prefix)
    assert (row["what"], row["at_us"], row["sql"]) == (What.STATEMENT, T0_US, "SELECT 1")


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("[%p] ", "no time"), ("%m ", "no session"), ("%m %p %y ", "`%y`")],
)
def test_a_prefix_that_tells_too_little_is_refused(prefix: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LogLinePrefix.of(prefix)


def test_what_has_no_prefix_is_quarantined_without_its_values() -> None:
    rows = rows_of("  AND secret = 'x'\n" + logged("statement: SELECT 1"))
    assert [row["what"] for row in rows] == [What.QUARANTINED, What.STATEMENT]
    assert "secret" not in str(rows[0])


def test_cloudwatch_stamps_before_records_are_passed_over() -> None:
    prefix = "%t:%r:%u@%d:[%p]:"
    statements = [f"SELECT {n},\n1" for n in range(3)]
    records = [logged(f"statement: {sql}", prefix=prefix) for sql in statements]
    rows = rows_of("".join(f"2026-03-01T10:00:07.000Z {record}" for record in records))
    assert [row["sql"] for row in rows] == statements
    assert rows[0]["at_us"] == T0_US - 500_000


def test_of_prefixes_that_fit_the_one_that_tells_most_is_taken() -> None:
    lines = [head("%m [%p] user=%u,db=%d ") + "LOG:  statement: SELECT 1"]
    found = find_prefix(lines)
    assert found is not None
    assert found.text == "%m [%p] user=%u,db=%d "


def test_a_named_format_with_an_unknown_prefix_asks_for_it() -> None:
    with pytest.raises(UsageError, match="none of the usual"):
        rows_of("who knows\n", log_format="postgres-stderr")


SQL = st.text(alphabet="ab \n\t\"',;:[]LOG-é", min_size=1, max_size=40).filter(
    lambda text: text.strip() == text and text != ""
)
STATEMENTS = st.lists(st.tuples(st.sampled_from("123"), SQL), min_size=1, max_size=8)


@given(STATEMENTS, st.sampled_from([80, 400, 1 << 22]))
@settings(deadline=None)
def test_any_statement_survives_the_log(
    statements: list[tuple[str, str]], block_bytes: int
) -> None:
    text = "".join(
        logged(f"duration: 1.000 ms  statement: {sql}", p=pid) for pid, sql in statements
    )
    rows = rows_of(text, block_bytes=block_bytes)
    assert [row["sql"] for row in rows] == [sql for _, sql in statements]


def syslogged(records: list[tuple[str, str]], *, limit: int) -> str:
    """Records as the server hands them to syslog: by line, long lines cut, processes in turn."""
    queues = [
        [
            f"Mar  1 10:00:00 db1 postgres[{pid}]: [{number}-{part}] " + chunk.replace("\t", "#011")
            for part, chunk in enumerate(chunks(record, limit), 1)
        ]
        for number, (pid, record) in enumerate(records, 1)
    ]
    lines: list[str] = []
    while any(queues):
        # A process writes its records one after the other, with others' lines in between.
        busy: set[str] = set()
        for (pid, _), queue in zip(records, queues, strict=True):
            if queue and pid not in busy:
                lines.append(queue.pop(0))
                busy.add(pid)
    return "".join(line + "\n" for line in lines)


def chunks(record: str, limit: int) -> list[str]:
    found = []
    for line in record.rstrip("\n").split("\n"):
        while len(line) > limit:
            found.append(line[:limit])
            line = line[limit:]
        found.append(line)
    return found


@given(STATEMENTS, st.sampled_from([200, 1 << 22]), st.sampled_from([70, 900]))
@settings(deadline=None)
def test_syslog_lines_are_put_together_by_process(
    statements: list[tuple[str, str]], block_bytes: int, limit: int
) -> None:
    # A cut before a tab looks like a line of its own; the server cuts at other places.
    statements = [(pid, sql.replace("\t", " ")) for pid, sql in statements]
    records = [
        (pid, logged(f"duration: 1.000 ms  statement: {sql}", p=pid)) for pid, sql in statements
    ]
    rows = rows_of(syslogged(records, limit=limit), block_bytes=block_bytes)
    assert {row["what"] for row in rows} == {What.STATEMENT}
    for pid in "123":
        found = [row["sql"] for row in rows if row["session"] == pid]
        assert found == [sql for each, sql in statements if each == pid]


def entry(text: str, **fields: Any) -> str:
    return json.dumps({"textPayload": text, "insertId": "x", **fields}) + "\n"


def test_cloud_sql_entries_are_lines() -> None:
    prefix = "%m [%p]: [%l-1] db=%d,user=%u "
    text = "".join(
        entry(line)
        for line in logged(
            "duration: 1.000 ms  statement: SELECT 1,\n2", prefix=prefix
        ).splitlines()
    )
    text += "not json\n"
    old = logged("statement: SELECT 3", prefix="[%p]: [%l-1] db=%d,user=%u ")
    text += entry(old, timestamp="2026-03-01T10:00:00.500123456Z")
    rows = rows_of(text)
    assert [(row["what"], row["sql"]) for row in rows] == [
        (What.STATEMENT, "SELECT 1,\n2"),
        (What.QUARANTINED, None),
        (What.STATEMENT, "SELECT 3"),
    ]
    assert {row["at_us"] for row in rows} == {T0_US, None}


def test_a_wrapped_record_with_an_unreadable_line_is_not_cut_short() -> None:
    lines = syslogged([("1", logged("statement: SELECT 1\nFROM t\nWHERE a", p="1"))], limit=900)
    data = lines.encode().replace(b"FROM", b"\xff\xfe")
    rows = rows_of(data)
    assert {row["what"] for row in rows} == {What.QUARANTINED}
