"""What the stand-in's system views tell of what it ran."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from replay.redshift_like import Behaviour, RedshiftLike
from tests.replay.redshift_like.conftest import LogIn, Row, Session

COLUMNS = (
    "user_id query_id transaction_id session_id query_label database_name username query_type"
    " status result_cache_hit result_cache_query_id start_time end_time elapsed_time queue_time"
    " execution_time compile_time planning_time lock_wait_time error_message returned_rows"
    " returned_bytes query_text redshift_version usage_limit compute_type service_class_id"
    " service_class_name query_priority short_query_accelerated user_query_hash"
    " generic_query_hash query_hash_version"
).split()


def told(session: Session, what: str, label: str) -> list[Row]:
    """Columns of the statements with a label, in their order."""
    sql = f"SELECT {what} FROM sys_query_history WHERE query_label = '{label}' ORDER BY query_id"
    return session.execute(sql.encode()).fetchall()


def test_the_history_has_redshifts_columns(server: RedshiftLike, log_in: LogIn) -> None:
    cursor = log_in(server).execute("SELECT * FROM SYS_QUERY_HISTORY LIMIT 0")
    assert cursor.description is not None
    assert {column.name for column in cursor.description} == set(COLUMNS)


def test_a_statement_is_told_with_its_session_label_and_answer(
    server: RedshiftLike, log_in: LogIn
) -> None:
    session = log_in(server, user="analyst")
    session.execute("SET query_group TO 'told'; BEGIN; SELECT id FROM sale LIMIT 10; COMMIT")
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("SELECT id / 0 FROM sale")
    columns = "rtrim(query_type), rtrim(status), returned_rows, rtrim(error_message), session_id"
    pid = session.info.backend_pid
    assert told(session, columns, "told") == [
        ("UTILITY", "success", 0, None, pid),
        ("SELECT", "success", 10, None, pid),
        ("UTILITY", "success", 0, None, pid),
        ("SELECT", "failed", 0, "division by zero", pid),
    ]
    transactions = told(session, "transaction_id", "told")
    assert len(set(transactions[:3])) == 1
    assert transactions[3] != transactions[2]
    (row,) = told(session, "returned_bytes, username, rtrim(query_text), user_id", "told")[1:2]
    # Ten numbers of one or two digits, each behind the four bytes of its length.
    assert row[:3] == (10 * 4 + 11, "analyst".ljust(128), "SELECT id FROM sale LIMIT 10")
    assert row[3] > 0


def test_the_parts_of_a_statements_time_add_up(backend: str, log_in: LogIn) -> None:
    behaviour = Behaviour(slots=1, compile_ms=30, view_delay_s=0)
    with RedshiftLike(backend, behaviour) as server:
        first, second = log_in(server), log_in(server)
        for session in (first, second):
            session.execute("SET query_group TO 'parts'")
        holding = threading.Thread(target=first.execute, args=["SELECT pg_sleep(1)"])
        holding.start()
        time.sleep(0.3)
        second.execute("SELECT count(*) FROM sale WHERE shop = 1")
        holding.join()
        second.execute("SELECT count(*) FROM sale WHERE shop = 2")
        columns = "queue_time, compile_time, planning_time, execution_time, elapsed_time"
        slow, queued, again = told(first, columns, "parts")
        for *parts, elapsed in (slow, queued, again):
            assert 0 <= sum(parts) <= elapsed
        assert slow[1] >= 30_000
        assert slow[3] >= 1_000_000
        assert queued[0] > 100_000
        assert again[1] == 0
        spans = told(
            first, "extract(epoch FROM end_time - start_time) * 1e6 - elapsed_time", "parts"
        )
        assert all(abs(each) < 100_000 for (each,) in spans)


def test_who_waits_for_a_slot_can_be_cancelled_and_runs_into_its_timeout(
    backend: str, log_in: LogIn
) -> None:
    with RedshiftLike(backend, Behaviour(slots=1, compile_ms=0, view_delay_s=0)) as server:
        holder, waiter = log_in(server), log_in(server)
        holder.pgconn.send_query(b"SELECT pg_sleep(600)")
        time.sleep(0.2)
        waiter.execute("SET query_group TO 'waiter'; SET statement_timeout TO 100")
        with pytest.raises(psycopg.errors.QueryCanceled, match="canceled on user's request"):
            waiter.execute("SELECT count(*) FROM sale")
        waiter.execute("SET statement_timeout TO 0")
        timer = threading.Timer(0.3, waiter.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiter.execute("SELECT count(*) FROM sale WHERE id = %s", [1])
        timer.join()
        rows = told(waiter, "rtrim(status), queue_time >= 90000, execution_time < 90000", "waiter")
        assert [row for row in rows if row[0] == "canceled"] == [("canceled", True, True)] * 2
        holder.cancel_safe()


def test_a_statement_that_ends_with_its_session_is_told(
    server: RedshiftLike, log_in: LogIn
) -> None:
    one, other = log_in(server), log_in(server)
    one.execute("SET query_group TO 'Ended'")
    one.pgconn.send_query(b"SELECT pg_sleep(600)")
    time.sleep(0.3)
    server.tell(f"kill {one.info.backend_pid}")
    deadline = time.monotonic() + 60
    while not (rows := told(other, "rtrim(status), elapsed_time > 100000", "Ended")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert rows == [("canceled", True)]


def test_rows_appear_late(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(compile_ms=0, view_delay_s=1)) as server:
        session = log_in(server)
        session.execute("SET query_group TO 'late'")
        session.execute("SELECT count(*) FROM sale")
        seen = told(session, "query_id", "late")
        deadline = time.monotonic() + 60
        while len(told(session, "1", "late")) < len(seen) + 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not seen
        shown = told(session, "end_time <= now() - interval '1 s'", "late")
        assert set(shown) == {(True,)}


def test_users_see_their_own_rows_and_superusers_all(server: RedshiftLike, log_in: LogIn) -> None:
    analyst, finance = log_in(server, user="analyst"), log_in(server, user="finance")
    for session in (analyst, finance):
        session.execute("SET query_group TO 'own'")
        session.execute("SELECT count(*) FROM sale")
    assert {row[0] for row in told(analyst, "rtrim(username)", "own")} == {"analyst"}
    everybody = {row[0] for row in told(log_in(server), "rtrim(username)", "own")}
    assert everybody == {"analyst", "finance"}
    acting = log_in(server)
    acting.execute("SET query_group TO 'acting'; SET SESSION AUTHORIZATION 'finance'")
    acting.execute("SELECT count(*) FROM sale")
    assert told(acting, "rtrim(username)", "acting")[-1] == ("finance",)


def test_a_hidden_view_is_refused_in_redshifts_words(backend: str, log_in: LogIn) -> None:
    behaviour = Behaviour(view_delay_s=0, hidden_views="SYS_QUERY_HISTORY,stl_query")
    with RedshiftLike(backend, behaviour) as server:
        analyst = log_in(server, user="analyst")
        words = "permission denied for relation sys_query_history"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
            analyst.execute("SELECT * FROM sys_query_history")
        assert analyst.execute("SELECT count(*) FROM svl_qlog").fetchone() is not None


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("stl_query", "query, pid, rtrim(querytxt), aborted"),
        ("svl_qlog", "query, pid, rtrim(substring), aborted"),
        ("stl_wlm_query", "query, service_class, slot_count, total_queue_time >= 0"),
        ("svl_compile", "query, segment, compile, starttime <= endtime"),
    ],
)
def test_older_views_tell_the_same(
    view: str, columns: str, server: RedshiftLike, log_in: LogIn
) -> None:
    session = log_in(server)
    session.execute(f"SET query_group TO '{view}'".encode())
    session.execute("SET enable_result_cache_for_session TO off")
    session.execute("SELECT count(*) FROM sale WHERE id > 5")
    ((query, text),) = told(session, "query_id, rtrim(query_text)", view)[1:2]
    row: Any = session.execute(
        f"SELECT {columns} FROM {view} WHERE query = {query}".encode()
    ).fetchone()
    assert row[0] == query
    assert row[1:] in (
        (session.info.backend_pid, text, 0),
        (100, 1, True),
        (0, 0, True),
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SUM(returned_bytes) FROM sys_external_query_detail WHERE start_time > SYSDATE",
        "SELECT SUM(s3_scanned_bytes) FROM svl_s3query_summary WHERE starttime > SYSDATE",
        "SELECT SUM(usage_in_seconds) FROM svcs_concurrency_scaling_usage",
    ],
)
def test_what_is_never_used_is_told_as_nothing(
    sql: str, server: RedshiftLike, log_in: LogIn
) -> None:
    assert log_in(server).execute(sql.encode()).fetchone() == (None,)


def test_texts_of_any_length_are_told_in_chunks(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    session.execute("SET query_group TO 'long'")
    text = "SELECT id FROM sale\nWHERE id IN (" + ",".join(map(str, range(2_000))) + ")"
    session.execute(text.encode())
    ((query, cut),) = told(session, "query_id, query_text", "long")[:1]
    assert cut == text[:4_000]
    chunks = session.execute(
        "SELECT rtrim(text) FROM sys_query_text WHERE query_id = %s ORDER BY sequence", [query]
    ).fetchall()
    assert len(chunks) == len(text) // 4_000 + 1
    assert "".join(chunk for (chunk,) in chunks) == text.replace("\n", "\\n")
