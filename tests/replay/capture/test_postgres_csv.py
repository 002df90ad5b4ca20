from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.postgres_csv import PostgresCsv, parameters_of
from replay.capture.record import Event, Outcome, Quarantined, Skipped, Statement, Step
from replay.errors import UsageError

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


def read(text: str | bytes) -> list[Event]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(PostgresCsv().read(io.BytesIO(data)))


def only(text: str) -> Event:
    (event,) = read(text)
    return event


T0_US = 1_772_359_200_500_000


def test_a_timed_statement_ends_at_its_stamp() -> None:
    event = only(record("duration: 12.345 ms  statement: SELECT 1"))
    assert event == Statement(
        line=1,
        session_id="65e1a2b3.4d",
        sql="SELECT 1",
        ended_at_us=T0_US,
        duration_us=12_345,
        user="ann",
        database="ads",
        application="dashboard",
    )


def test_an_untimed_statement_starts_at_its_stamp() -> None:
    event = only(record("statement: SELECT 1"))
    assert isinstance(event, Statement)
    assert (event.started_at_us, event.ended_at_us, event.duration_us) == (T0_US, None, None)


@pytest.mark.parametrize("columns", range(22, 27))
def test_every_width_since_8_4_is_read(columns: int) -> None:
    event = only(record("duration: 1.000 ms  statement: SELECT 1", columns=columns))
    assert isinstance(event, Statement)
    assert event.application == ("dashboard" if columns > 22 else None)


@pytest.mark.parametrize("word", ["parameters", "Parameters"])
@pytest.mark.parametrize("name", ["<unnamed>", "S_1", "S_1/C_2"])
def test_bind_values_are_taken_from_the_detail(word: str, name: str) -> None:
    event = only(
        record(
            f"duration: 1.000 ms  execute {name}: SELECT $1, $2, $3",
            detail=f"{word}: $1 = 'it''s, $2 = ''no''', $2 = NULL, $3 = 'two\nlines'",
        )
    )
    assert isinstance(event, Statement)
    assert event.params == ["it's, $2 = 'no'", None, "two\nlines"]


def test_a_multi_line_statement_is_one_record() -> None:
    event = only(record("duration: 1.000 ms  statement: SELECT \"a\"\n  FROM t\n WHERE b = 'x'"))
    assert isinstance(event, Statement)
    assert event.sql == "SELECT \"a\"\n  FROM t\n WHERE b = 'x'"


def test_an_error_carries_its_statement() -> None:
    event = only(record("division by zero", severity="ERROR", sqlstate="22012", query="SELECT 1/0"))
    assert isinstance(event, Statement)
    assert (event.sql, event.error, event.duration_us) == ("SELECT 1/0", "22012", None)


SKIPPED = {
    "duration: 0.100 ms  execute fetch from c1: SELECT 1": "cursor fetch",
    "duration: 0.100 ms  plan:\nQuery Text: SELECT 1": "plan",
    "connection received: host=[local]": "connection",
    "connection authorized: user=ann database=ads": "connection",
    "disconnection: session time: 0:00:03.861 user=ann": "disconnection",
    "checkpoint complete: wrote 3 buffers": "server message",
    "duration: 0.100 ms  statement: ": "empty statement",
    "duration: 0.100 ms  execute <unnamed>: SELECT $1": "bind values not logged",
}


@pytest.mark.parametrize(("message", "reason"), SKIPPED.items(), ids=SKIPPED.values())
def test_what_is_not_replayed_is_named(message: str, reason: str) -> None:
    assert only(record(message)) == Skipped(1, reason)


@pytest.mark.parametrize("name", ["parse", "bind"])
def test_parsing_and_binding_are_steps_of_what_follows(name: str) -> None:
    detail = "Parameters: $1 = '7'"
    event = only(record(f"duration: 0.100 ms  {name} S_1/C_2: SELECT $1", detail=detail))
    assert event == Step(1, "65e1a2b3.4d", name, 100, "SELECT $1", ["7"])


def test_a_bare_duration_is_an_outcome() -> None:
    assert only(record("duration: 3.210 ms")) == Outcome(1, "65e1a2b3.4d", duration_us=3_210)


def test_cut_bind_values_are_quarantined() -> None:
    event = only(
        record("duration: 1.0 ms", detail="").replace(
            "duration: 1.0 ms", "duration: 1.000 ms  execute <unnamed>: SELECT $1"
        )
    )
    assert isinstance(event, Skipped)
    cut = only(
        record("duration: 1.000 ms  execute <unnamed>: SELECT $1", detail="parameters: $1 = 'ab...")
    )
    assert isinstance(cut, Quarantined)
    assert cut.reason == "bind values unreadable or cut"


def test_a_record_cut_by_a_crash_does_not_swallow_the_next() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1")
    cut = record("duration: 1.000 ms  statement: SELECT 'secret'")[:150] + "\n"
    events = read(whole + cut + whole)
    assert [type(event) for event in events] == [Statement, Quarantined, Statement]
    assert events[1].line == 2
    assert events[2].line == 3


def test_a_last_record_without_its_end_is_quarantined() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1")
    for length in (20, 60, 120, 190):
        events = read(whole + whole[:length])
        assert isinstance(events[0], Statement)
        assert isinstance(events[1], Quarantined), length


def test_a_header_inside_a_statement_is_no_new_record() -> None:
    inside = record("duration: 1.000 ms  statement: SELECT 2")
    events = read(record(f"duration: 1.000 ms  statement: SELECT '\n{inside}'"))
    assert len(events) == 1
    assert isinstance(events[0], Statement)


def test_garbage_in_the_middle_is_quarantined_and_its_values_are_not_kept() -> None:
    whole = record("duration: 1.000 ms  statement: SELECT 1").encode()
    bad = record("duration: 1.000 ms  statement: SELECT 'secret'").encode()
    events = read(whole + bad.replace(b"secret", b"sec\xff\xferet") + b"\x00\x01\n" + whole)
    assert [type(event) for event in events] == [Statement, Quarantined, Quarantined, Statement]
    assert "sec" not in str(events[1])


def test_zones_are_read_by_name_and_by_offset() -> None:
    def start(zone: str) -> int:
        event = only(record("statement: SELECT 1", time=f"2026-03-01 10:00:00.500 {zone}"))
        assert isinstance(event, Statement)
        assert event.started_at_us is not None
        return event.started_at_us

    assert start("CET") == T0_US - 3_600_000_000
    assert start("-03") == T0_US + 3 * 3_600_000_000
    assert start("+05:30") == T0_US - int(5.5 * 3_600_000_000)
    with pytest.raises(UsageError, match="IST"):
        start("IST")


def test_csvlog_is_recognised_by_its_content() -> None:
    reader = PostgresCsv()
    assert reader.recognises(record("statement: SELECT 1").encode())
    assert reader.recognises(b"2026-03-01 10:00:00 UTC [77] LOG:  statement: SELECT 1") is None
    assert reader.recognises(b"") is None


VALUES = st.lists(st.none() | st.text(alphabet="ab' ,$1=\n", max_size=12), max_size=6)


@given(VALUES)
def test_bind_values_survive_the_detail(values: list[str | None]) -> None:
    shown = ", ".join(
        f"${number} = " + ("NULL" if value is None else "'" + value.replace("'", "''") + "'")
        for number, value in enumerate(values, 1)
    )
    assert parameters_of(f"parameters: {shown}") == (values, True)


SQL = st.text(alphabet="ab \n\"',;-é", min_size=1, max_size=30).filter(str.strip)


@given(st.lists(SQL, min_size=1, max_size=8))
@settings(deadline=None)
def test_any_statement_survives_the_log(statements: list[str]) -> None:
    text = "".join(record(f"duration: 1.000 ms  statement: {sql}") for sql in statements)
    assert [event.sql for event in read(text) if isinstance(event, Statement)] == statements


@given(st.lists(SQL, min_size=1, max_size=4), st.data())
@settings(deadline=None)
def test_damage_never_raises_and_leaves_whole_records_before_it(
    statements: list[str], data: st.DataObject
) -> None:
    records = [record(f"duration: 1.000 ms  statement: {sql}").encode() for sql in statements]
    whole = b"".join(records)
    cut = data.draw(st.integers(0, len(whole)))
    rubbish = data.draw(st.binary(max_size=20))
    events = read(whole[:cut] + rubbish)
    before = 0
    while before < len(records) and sum(map(len, records[: before + 1])) <= cut:
        before += 1
    kept = [event.sql for event in events[:before] if isinstance(event, Statement)]
    assert kept == statements[:before]


def test_the_reader_agrees_with_the_csv_module_on_plain_logs() -> None:
    text = "".join(record(f"duration: 1.000 ms  statement: SELECT {n}") for n in range(2_000))
    rows = list(csv.reader(io.StringIO(text)))
    assert [event.sql for event in read(text) if isinstance(event, Statement)] == [
        row[13].partition("statement: ")[2] for row in rows
    ]
