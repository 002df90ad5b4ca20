"""System views in a real PostgreSQL, as tables that are named and padded as Redshift's are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.capture import capture
from replay.capture.redshift import views
from replay.capture.redshift.system import text_of
from replay.capture.redshift.views import find_views
from replay.errors import UsageError
from replay.filter import Filter
from replay.target.embedded import EmbeddedServer

SYS = """
CREATE TABLE sys_query_history (user_id int, query_id bigint, transaction_id bigint,
    session_id int, database_name char(128), username char(128), query_type char(32),
    status char(10), start_time timestamp, end_time timestamp, elapsed_time bigint,
    error_message char(512), returned_rows bigint, query_text char(4000));
CREATE TABLE sys_query_text (query_id bigint, sequence int, text char(4000));
CREATE TABLE sys_connection_log (event char(50), record_time timestamp, session_id int,
    database_name char(50), user_name char(50), application_name char(250),
    global_session_id char(36));
"""
STL = """
CREATE TABLE stl_query (userid int, query int, xid bigint, pid int, database char(32),
    querytxt char(4000), starttime timestamp, endtime timestamp, aborted int);
CREATE TABLE stl_querytext (query int, sequence int, text char(200));
CREATE TABLE stl_utilitytext (userid int, xid bigint, pid int, starttime timestamp,
    endtime timestamp, sequence int, text char(200));
CREATE TABLE stl_ddltext (LIKE stl_utilitytext);
CREATE TABLE stl_connection_log (event char(50), recordtime timestamp, pid int, dbname char(50),
    username char(50), sessionid char(36), application_name char(250));
"""
SESSION = "03e74c8e-c3cb-4a98-a3d9-0123456789ab"


class Views:
    """A database with views to fill and to capture."""

    def __init__(self, server: EmbeddedServer, name: str) -> None:
        host = server.directory
        self.url = f"redshift://postgres@/{name}?host={host}&port=5432"
        self.connection = psycopg.connect(server.url(name), autocommit=True)

    def add(self, table: str, **values: Any) -> None:
        marks = ", ".join(["%s"] * len(values))
        query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
        self.connection.execute(query.encode(), list(values.values()))

    def ask(self, number: int, text: str, **values: Any) -> None:
        """A row of the history, with the chunks of its text."""
        escaped = escape(text)
        row = {"query_id": number, "session_id": 7, "username": "ann", "database_name": "dev"}
        row |= {"status": "success", "start_time": f"2026-03-01 10:00:{number:02}.000123"}
        row |= {"elapsed_time": 1_500, "returned_rows": 3, "query_text": escaped[:4000]}
        self.add("sys_query_history", **row | values)
        for sequence in range(0, len(escaped), 4000):
            chunk = escaped[sequence : sequence + 4000]
            self.add("sys_query_text", query_id=number, sequence=sequence // 4000, text=chunk)

    def connect(self, event: str, at: str, **values: Any) -> None:
        row = {"session_id": 7, "user_name": "ann", "database_name": "dev"} | values
        self.add("sys_connection_log", event=event, record_time=f"2026-03-01 {at}", **row)

    def capture(self, out: Path, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Statements in order of time, and the manifest."""
        workload = capture([self.url], out, **options)
        assert workload.counts.balanced
        return workload.statements().to_pylist(), json.loads((out / "manifest.json").read_text())


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _views(server: EmbeddedServer, tables: str) -> Iterator[Views]:
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE redshift")
        views = Views(server, "redshift")
        try:
            views.connection.execute(tables.encode())
            yield views
        finally:
            views.connection.close()
            admin.execute("DROP DATABASE redshift WITH (FORCE)")


@pytest.fixture
def sys_views(embedded_empty: EmbeddedServer) -> Iterator[Views]:
    yield from _views(embedded_empty, SYS)


@pytest.fixture
def stl_views(embedded_empty: EmbeddedServer) -> Iterator[Views]:
    yield from _views(embedded_empty, STL)


def test_a_statement_has_its_start_duration_rows_and_session(
    sys_views: Views, tmp_path: Path
) -> None:
    names = {"application_name": "tableau", "global_session_id": SESSION}
    sys_views.connect("initiating session", "09:59:00.5", **names)
    sys_views.ask(1, "select 'é\\n'\r\n")
    (row,), manifest = sys_views.capture(tmp_path / "w")
    assert row["sql"] == "select 'é\\n'\r\n"
    assert row["started_at"] == datetime(2026, 3, 1, 10, 0, 1, 123, tzinfo=UTC)
    assert (row["duration_us"], row["rows"], row["error"]) == (1_500, 3, None)
    assert (row["user"], row["database"], row["origin"]) == ("ann", "dev", "sys_query_history:1")
    assert (row["session_id"], row["application"]) == (SESSION, "tableau")
    assert manifest["timestamps"] == {"meaning": "start", "resolution_us": 1}
    assert manifest["findings"] == []
    (source,) = manifest["sources"]
    assert "postgres" not in source["uri"]
    assert source["bytes"] > 0
    assert source["records"] == 2


def test_what_ended_otherwise_or_must_not_be_replayed_is_told_without_its_values(
    sys_views: Views, tmp_path: Path
) -> None:
    sys_views.ask(1, "select 1", status="failed", error_message="bad 'secret'", returned_rows=-1)
    sys_views.ask(2, "select 2", status="running")
    sys_views.ask(3, "******", elapsed_time=-1)
    sys_views.ask(4, "")
    sys_views.ask(5, "padb_fetch_sample: select 1")
    sys_views.ask(6, "select 1", username="rdsdb")
    sys_views.ask(7, "select '" + "x" * 9_000 + "'")
    sys_views.connection.execute("DELETE FROM sys_query_text WHERE query_id = 7 AND sequence = 1")
    (row,), manifest = sys_views.capture(tmp_path / "w")
    assert (row["sql"], row["error"], row["rows"]) == ("select 1", "failed", None)
    assert manifest["counts"]["skipped"] == {
        "still running": 1,
        "internal statement": 1,
        "internal user": 1,
    }
    assert manifest["counts"]["quarantined"] == {
        "text masked by the server": 1,
        "text missing or incomplete": 2,
    }


def test_only_the_window_is_read_in_stretches(
    sys_views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_ROWS_AT_ONCE", 3)
    for number in range(40):
        at = datetime(2026, 3, 1, 10, number // 2, 30 * (number % 2), number)
        sys_views.ask(number, f"select {number}", start_time=at)
    rows, manifest = sys_views.capture(tmp_path / "all")
    assert [row["sql"] for row in rows] == [f"select {number}" for number in range(40)]
    assert manifest["counts"]["records_read"] == 40
    window = Filter(
        since=datetime(2026, 3, 1, 10, 5, 30, tzinfo=UTC),
        until=datetime(2026, 3, 1, 10, 8, tzinfo=UTC),
    )
    rows, manifest = sys_views.capture(tmp_path / "some", keep=window)
    assert [row["sql"] for row in rows] == [f"select {number}" for number in range(11, 16)]
    assert manifest["counts"]["records_read"] == 5


def test_who_may_not_read_connections_is_told_so(sys_views: Views, tmp_path: Path) -> None:
    sys_views.connection.execute("DROP TABLE sys_connection_log")
    sys_views.ask(1, "select 1")
    (row,), manifest = sys_views.capture(tmp_path / "w")
    assert row["session_id"] == "7:ann:dev"
    assert any("SYSLOG ACCESS UNRESTRICTED" in line for line in manifest["findings"])


def test_old_clusters_are_read_through_stl_views(stl_views: Views, tmp_path: Path) -> None:
    def tell(view: str, text: str, at: float, **values: Any) -> None:
        escaped = escape(text)
        row: dict[str, Any] = {
            "starttime": f"2026-03-01 10:00:0{at}",
            "endtime": "2026-03-01 10:00:09",
        }
        row |= {"userid": 10, "pid": 7}
        if view == "stl_query":
            texts = {"query": values["xid"]}
            more = {"database": "dev", "aborted": 0, "querytxt": escaped[:4000]}
            stl_views.add("stl_query", **row | more | texts | values)
            view = "stl_querytext"
        else:
            texts = row | values
        for begin in range(0, len(escaped), 200):
            stl_views.add(view, **texts, sequence=begin // 200, text=escaped[begin : begin + 200])

    long = "select '" + "a " * 2_496 + "\n'"
    comment = "comment on table t is '" + "b" * 176 + "   c'"  # a chunk ends in spaces
    tell("stl_utilitytext", "begin", 0.2, xid=2)
    tell("stl_query", "select 1", 1, xid=1)
    tell("stl_query", long, 3, xid=3, aborted=1)
    tell("stl_ddltext", comment, 4, xid=4)
    tell("stl_query", "create table t as select 1", 5, xid=5)
    tell("stl_ddltext", "create table t as select 1", 5.1, xid=5)
    tell("stl_utilitytext", "commit", 8, xid=2)
    rows, manifest = stl_views.capture(tmp_path / "w")
    assert [row["sql"] for row in rows] == [
        "begin", "select 1", long, comment, "create table t as select 1", "commit",
    ]  # fmt: skip
    assert [row["error"] for row in rows] == [None, None, "aborted", None, None, None]
    assert rows[1]["duration_us"] == 8_000_000
    assert {row["session_id"] for row in rows} == {"7:postgres:dev"}
    assert manifest["counts"]["skipped"] == {"logged twice": 1}
    assert any("2 to 5 days" in line for line in manifest["findings"])


def test_a_database_without_such_views_is_refused(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    url = f"redshift:///postgres?user=postgres&host={embedded_empty.directory}&port=5432"
    with pytest.raises(UsageError, match="neither SYS_QUERY_HISTORY nor STL_QUERY"):
        capture([url], tmp_path / "w")


@pytest.mark.parametrize("url", ["redshift://a:secret@h/b", "redshift://h/b?password=secret"])
def test_a_password_in_a_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_views(url)
    assert "secret" not in f"{raised.value}{raised.value.hint}{raised.value.__cause__}"


def test_a_url_names_redshifts_port_and_a_certificate_to_check() -> None:
    source = find_views("redshift+serverless://ann@wg.example/dev")
    assert source.uri == "redshift+serverless://wg.example:5439/dev"
    assert "sslmode=verify-full" in source.conninfo  # type: ignore[attr-defined]
    asked = find_views("redshift://ann@h/dev?sslmode=require").conninfo  # type: ignore[attr-defined]
    assert "sslmode=require" in asked
    assert "sslrootcert" not in asked


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("a \\n\n\ré€😀"), max_size=40), st.integers(4, 9))
def test_texts_in_chunks_of_any_width_come_back(text: str, width: int) -> None:
    data = escape(text).encode() + b"."
    chunks = [(at // width, data[at : at + width]) for at in range(0, len(data), width)]
    # Before a longer character, spaces that are gone look like room that was left.
    thens = [then for _, then in chunks[1:]] + [b"."]
    stripped = [
        (number, chunk.rstrip(b" ") if then.isascii() else chunk)
        for (number, chunk), then in zip(chunks, thens, strict=True)
    ]
    assert text_of(stripped, width=width) == text + "."


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([(1, "é".encode()), (0, b"abc")], "abcé"),
        ([(0, b"abc"), (1, b"d")], "abc d"),
        ([(None, None)], None),
        ([(1, b"a")], None),
        ([(0, b"a"), (0, b"b")], None),
        ([(0, b"a"), (2, b"b")], None),
        ([(0, b"\xc3")], None),
    ],
)
def test_what_lacks_a_chunk_is_no_text(
    chunks: list[tuple[int | None, bytes | None]], text: str | None
) -> None:
    assert text_of(chunks, width=4) == text
