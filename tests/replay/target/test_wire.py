"""libpq driven by hand, on a real server, in greenlets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from replay.target.embedded import EmbeddedServer
from replay.target.target import parse_target
from replay.target.wire import LoginFailed, Wire
from replay.waiter import SocketWaiter


def connect(server: EmbeddedServer, *, writes: bool = False) -> Wire:
    target = parse_target(server.url(), statement_timeout_s=30, writes=writes)
    return Wire(target.conninfo, wait=SocketWaiter, setup=target.setup())


@pytest.fixture
def wire(embedded_empty: EmbeddedServer) -> Iterator[Wire]:
    connection = connect(embedded_empty)
    yield connection
    connection.close()


def test_rows_are_counted_and_the_first_is_timed(wire: Wire) -> None:
    began_ns = time.monotonic_ns()
    answer = wire.execute(b"SELECT generate_series(1, 12345)", None)
    assert (answer.rows, answer.sqlstate) == (12_345, None)
    assert answer.first_row_ns is not None
    assert began_ns < answer.first_row_ns <= answer.done_ns


def test_no_rows_have_no_first_row(wire: Wire) -> None:
    answer = wire.execute(b"SELECT 1 WHERE false", None)
    assert (answer.rows, answer.first_row_ns) == (0, None)


def test_bind_values_are_sent(wire: Wire) -> None:
    answer = wire.execute(b"SELECT 1 WHERE $1::int = 7 AND $2::text IS NULL", [b"7", None])
    assert (answer.rows, answer.sqlstate) == (1, None)


def test_several_statements_in_one_text(wire: Wire) -> None:
    answer = wire.execute(b"SELECT 1; SELECT 2 UNION SELECT 3; SET work_mem = '1MB'", None)
    assert (answer.rows, answer.sqlstate) == (3, None)


@pytest.mark.parametrize(
    ("sql", "sqlstate", "words"),
    [
        (b"SELECT * FROM nowhere", "42P01", 'relation "nowhere" does not exist'),
        (b"SELECT 'secret'::int", "22P02", 'integer: "\xe2\x80\xa6"'.encode("latin1").decode()),
        (b"SELEC 1", "42601", "syntax error"),
        (b"CREATE TABLE t (a int)", "25006", "read-only"),
        (b"COPY (SELECT 1) TO STDOUT", "0A000", "COPY"),
        (b"SELECT 1\0; DROP TABLE t", "22021", "zero byte"),
    ],
    ids=["no table", "a value", "syntax", "a write", "copy", "a zero byte"],
)
def test_failures_have_a_state_and_no_values(
    sql: bytes, sqlstate: str, words: str, wire: Wire
) -> None:
    answer = wire.execute(sql, None)
    assert answer.sqlstate == sqlstate
    assert words in (answer.error or "")
    assert "secret" not in (answer.error or "")
    assert not answer.lost
    assert wire.execute(b"SELECT 1", None).sqlstate is None


def test_copy_from_the_client_is_refused(embedded_empty: EmbeddedServer) -> None:
    wire = connect(embedded_empty, writes=True)
    assert wire.execute(b"CREATE TEMP TABLE t (a int)", None).sqlstate is None
    assert wire.execute(b"COPY t FROM STDIN", None).sqlstate is not None
    assert wire.execute(b"SELECT count(*) FROM t", None).sqlstate is None
    wire.close()


def test_a_cancelled_statement_ends_and_the_session_goes_on(wire: Wire) -> None:
    running = gevent.spawn(wire.execute, b"SELECT pg_sleep(30)", None)
    gevent.sleep(0.1)
    wire.cancel()
    answer = running.get(timeout=10)
    assert answer.sqlstate == "57014"
    assert wire.execute(b"SELECT 1", None).sqlstate is None


def test_a_severed_connection_is_lost(wire: Wire) -> None:
    running = gevent.spawn(wire.execute, b"SELECT pg_sleep(30)", None)
    gevent.sleep(0.1)
    wire.sever()
    answer = running.get(timeout=10)
    assert answer.lost
    assert answer.sqlstate == "08006"


def test_a_terminated_backend_is_lost(wire: Wire, embedded_empty: EmbeddedServer) -> None:
    other = connect(embedded_empty)
    running = gevent.spawn(wire.execute, b"SELECT pg_sleep(30)", None)
    gevent.sleep(0.1)
    sql = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%sleep(30)'"
    other.execute(sql + b" AND pid <> pg_backend_pid()", None)
    answer = running.get(timeout=10)
    assert (answer.sqlstate, answer.lost) == ("57P01", True)
    other.close()


def test_waiting_sessions_do_not_hold_up_others(embedded_empty: EmbeddedServer) -> None:
    slow, quick = connect(embedded_empty), connect(embedded_empty)
    running = gevent.spawn(slow.execute, b"SELECT pg_sleep(2)", None)
    gevent.sleep(0)
    for _ in range(10):
        assert quick.execute(b"SELECT 1", None).sqlstate is None
    assert not running.ready()
    assert running.get().sqlstate is None
    slow.close()
    quick.close()


def test_a_large_answer_lets_others_run(embedded_empty: EmbeddedServer) -> None:
    large, small = connect(embedded_empty), connect(embedded_empty)
    running = gevent.spawn(large.execute, b"SELECT generate_series(1, 2000000)", None)
    gevent.sleep(0.05)
    answered = 0
    while not running.ready():
        assert small.execute(b"SELECT 1", None).sqlstate is None
        answered += 1
    assert running.get().rows == 2_000_000
    assert answered > 0
    large.close()
    small.close()


def test_a_refused_login_has_a_state(embedded_empty: EmbeddedServer) -> None:
    target = parse_target(embedded_empty.url("no_such_database"), statement_timeout_s=1)
    with pytest.raises(LoginFailed) as failure:
        Wire(target.conninfo, wait=SocketWaiter)
    assert failure.value.sqlstate == "3D000"
    nobody = parse_target("postgresql://u@127.0.0.1:1/d", statement_timeout_s=1)
    with pytest.raises(LoginFailed) as failure:
        Wire(nobody.conninfo, wait=SocketWaiter)
    assert failure.value.sqlstate == "08001"


REFUSALS = {
    "the database system is starting up": "57P03",
    "the database system is not yet accepting connections": "57P03",
    "the database system is in recovery mode": "57P03",
    'too many connections for role "database"': "53300",
    "remaining connection slots are reserved for roles with the SUPERUSER attribute": "53300",
    'password authentication failed for user "role"': "28P01",
    'database "role" does not exist': "3D000",
    "something else": "08001",
}


@pytest.mark.parametrize(("words", "sqlstate"), REFUSALS.items())
def test_a_refusal_is_known_by_its_words_alone(words: str, sqlstate: str, tmp_path: Path) -> None:
    # Of libpq's message the part before them names the socket.
    directory = tmp_path / "role"
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / ".s.PGSQL.5432"))
        listener.listen()
        refusing = gevent.get_hub().threadpool.spawn(_refuse, listener, words)
        with pytest.raises(LoginFailed) as failure:
            Wire(f"host={directory} user=u dbname=d", wait=SocketWaiter)
        refusing.get(timeout=10)
    assert failure.value.sqlstate == sqlstate


def _refuse(listener: socket.socket, words: str) -> None:
    listener.settimeout(10)
    with listener.accept()[0] as client:
        client.recv(1_000)
        fields = b"SFATAL\0C00000\0M" + words.encode() + b"\0\0"
        client.sendall(b"E" + (4 + len(fields)).to_bytes(4, "big") + fields)
