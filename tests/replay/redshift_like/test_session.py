"""Sessions of the stand-in: what a client meets that a PostgreSQL would not show it."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import psycopg
import pytest

from replay.errors import UsageError
from replay.redshift_like import Behaviour, RedshiftLike
from tests.replay.redshift_like.conftest import QUICK, LogIn


def test_it_says_that_it_is_redshift(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server, user="analyst")
    told = session.execute("SELECT version(), pg_backend_pid(), current_user").fetchone()
    assert told is not None
    assert told[0].startswith("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC")
    assert told[0].endswith("Redshift 1.0.123456")
    assert told[1:] == (session.info.backend_pid, "analyst")
    assert session.info.server_version == 80_002
    assert session.info.parameter_status("server_encoding") == "UNICODE"
    assert session.info.parameter_status("standard_conforming_strings") is None


def test_the_client_encoding_has_redshifts_name_unless_asked_for(
    server: RedshiftLike, log_in: LogIn
) -> None:
    asked, not_asked = log_in(server), log_in(server, client_encoding="")
    assert asked.info.parameter_status("client_encoding") == "UTF8"
    assert not_asked.info.parameter_status("client_encoding") == "UNICODE"
    assert not_asked.execute("SELECT 'é'").fetchone() == ("é",)


def test_a_backslash_escapes_in_every_literal(server: RedshiftLike, log_in: LogIn) -> None:
    assert log_in(server).execute(b"SELECT 'it\\'s'").fetchone() == ("it's",)


def test_redshifts_parameters_are_kept(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    session.execute("SET enable_result_cache_for_session TO off; SET query_group = 'a b'")
    assert session.execute("SHOW query_group").fetchone() == ("a b",)
    assert session.execute("SHOW enable_result_cache_for_session").fetchone() == ("off",)
    session.execute("RESET query_group")
    assert session.execute("SHOW query_group").fetchone() == ("default",)
    session.execute("SET wlm_query_slot_count TO 2; SET statement_timeout TO 60000")
    assert session.execute("SHOW statement_timeout").fetchone() == ("1min",)


@pytest.mark.parametrize(
    ("sql", "sqlstate", "words"),
    [
        ("SAVEPOINT a", "0A000", 'SQL command "savepoint a" not supported.'),
        ("ROLLBACK TO SAVEPOINT a", "0A000", "not supported"),
        ("LISTEN a", "0A000", "not supported"),
        ("DEALLOCATE ALL", "26000", 'prepared statement "all" does not exist'),
        ("DISCARD ALL", "42601", 'syntax error at or near "discard"'),
        ("COPY sale FROM STDIN", "0A000", "LOAD source is not supported"),
        ("COPY sale TO STDOUT", "42601", "syntax error"),
        ("SELECT pg_advisory_lock(1)", "42883", "function pg_advisory_lock() does not exist"),
        ("SET default_transaction_read_only = on", "42704", "unrecognized configuration"),
        ("SELECT string_agg(id::text, ',') FROM sale", "0A000", "not supported on Redshift tables"),
        ("INSERT INTO sale VALUES (1) ON CONFLICT DO NOTHING", "42601", '"conflict"'),
    ],
)
def test_what_redshift_lacks_is_refused(
    sql: str, sqlstate: str, words: str, server: RedshiftLike, log_in: LogIn
) -> None:
    session = log_in(server)
    with pytest.raises(psycopg.Error, match=re.escape(words)) as refused:
        session.execute(sql)
    assert refused.value.sqlstate == sqlstate
    assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_refusal_fails_its_transaction(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    session.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        session.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        session.execute("SELECT count(*) FROM sale")
    session.execute("ROLLBACK")
    assert session.execute("SELECT count(*) FROM sale").fetchone() == (1_000,)


def test_the_extended_protocol_is_spoken_too(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    found = session.execute("SELECT count(*) FROM sale WHERE shop = %s", [3]).fetchone()
    assert found == (143,)
    assert session.execute("SELECT %s::int + 1", [1], prepare=True).fetchone() == (2,)
    assert session.execute("SELECT %s::int + 1", [2], prepare=True).fetchone() == (3,)
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("SELECT 1 / %s::int", [0])
    with pytest.raises(psycopg.errors.UndefinedTable):
        session.execute("SELECT * FROM nowhere WHERE a = %s", [1])
    assert session.execute("SELECT %s::int", [4]).fetchone() == (4,)


def test_statements_after_a_failed_one_of_a_message_are_not_run(
    server: RedshiftLike, log_in: LogIn
) -> None:
    session = log_in(server)
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("SET query_group TO 'one'; SELECT 1 / 0; SET query_group TO 'two'")
    assert session.execute("SHOW query_group").fetchone() == ("one",)


@pytest.mark.parametrize("how", ["request", "CANCEL {}", "SELECT pg_cancel_backend({})"])
def test_a_running_statement_can_be_cancelled(
    how: str, server: RedshiftLike, log_in: LogIn
) -> None:
    session, other = log_in(server), log_in(server)

    def stop() -> None:
        if how == "request":
            session.cancel_safe()
        else:
            other.execute(how.format(session.info.backend_pid).encode())

    timer = threading.Timer(0.5, stop)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="canceled on user's request"):
        session.execute("SELECT pg_sleep(60)")
    timer.join()
    assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_timeout_has_the_words_of_a_cancellation(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    session.execute("SET statement_timeout TO 100")
    with pytest.raises(psycopg.errors.QueryCanceled, match="canceled on user's request"):
        session.execute("SELECT pg_sleep(60)")


def test_passwords_are_read_at_each_login_and_expire(
    backend: str, log_in: LogIn, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords.json"
    behaviour = Behaviour(compile_ms=0, passwords=str(passwords))
    passwords.write_text(json.dumps({"good": time.time() + 600, "old": time.time() - 1}))
    with RedshiftLike(backend, behaviour) as server:
        session = log_in(server, user="IAM:analyst", password="good")
        assert session.execute("SELECT current_user").fetchone() == ("analyst",)
        for password in ("old", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="authentication failed for user"):
                log_in(server, user="IAM:analyst", password=password)
        passwords.write_text(json.dumps({"new": time.time() + 600}))
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            log_in(server, password="good")
        assert log_in(server, password="new").execute("SELECT 1").fetchone() == (1,)
        # Who is in, stays in.
        assert session.execute("SELECT 2").fetchone() == (2,)


def test_sessions_beyond_the_limit_are_refused(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(connections=2)) as server:
        log_in(server)
        log_in(server).close()
        deadline = time.monotonic() + 30
        while True:  # the server learns a little later than the client that a session has ended
            try:
                log_in(server)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
        with pytest.raises(psycopg.OperationalError, match='connection limit "2" exceeded'):
            log_in(server)


def test_an_unknown_user_hears_it_from_the_backend(server: RedshiftLike, log_in: LogIn) -> None:
    with pytest.raises(psycopg.OperationalError, match='role "nobody" does not exist'):
        log_in(server, user="nobody")


def test_only_a_server_of_our_own_may_be_behind_it() -> None:
    from replay.redshift_like.server import Server

    with pytest.raises(UsageError, match="changes the catalog"):
        Server("postgresql://user@example.com/production", QUICK)


def test_a_client_that_goes_away_leaves_its_slot(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(compile_ms=0, slots=1)) as server:
        going = log_in(server)
        going.pgconn.send_query(b"SELECT pg_sleep(600)")
        time.sleep(0.2)
        going.close()
        assert log_in(server).execute("SELECT count(*) FROM sale").fetchone() == (1_000,)
