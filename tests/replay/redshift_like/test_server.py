"""What the sessions of a stand-in share: TLS, the result cache, COPY's bucket, usage, control."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from replay.capture.redshift.views import SYS, Views, ViewSource, find_views
from replay.errors import Unreachable, UsageError
from replay.redshift_like import Behaviour, RedshiftLike
from tests.replay.redshift_like.conftest import QUICK, LogIn, Session


def test_tls_is_verified(backend: str, certificate: Path, log_in: LogIn) -> None:
    behaviour = Behaviour(compile_ms=0, view_delay_s=0, certificate=str(certificate))
    with RedshiftLike(backend, behaviour) as server:
        assert "sslmode=verify-full&sslrootcert=" in server.url()
        session = log_in(server)
        assert session.pgconn.ssl_in_use
        session.execute("SELECT 1")
        told = session.execute("SELECT rtrim(ssl_version) FROM sys_connection_log").fetchall()
        assert told == [("TLSv1.3",)]
        session.pgconn.send_query(b"SELECT pg_sleep(60)")
        session.cancel_safe()
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            log_in(server, sslrootcert="system")


def _hit(session: Session) -> bool:
    """Whether the statement before came from the result cache."""
    row = session.execute(
        "SELECT result_cache_hit FROM sys_query_history WHERE session_id = pg_backend_pid()"
        " AND query_text LIKE 'SELECT count(*)%' ORDER BY query_id DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    return bool(row[0])


def test_answers_are_cached_until_something_is_written(server: RedshiftLike, log_in: LogIn) -> None:
    one, other = log_in(server), log_in(server)
    ask = "SELECT count(*) FROM sale WHERE id > 900"
    hits = []
    for session, before in (
        (one, "CREATE TABLE written (a int)"),
        (other, "SELECT 1"),
        (other, "SET enable_result_cache_for_session TO off"),
        (other, "SET enable_result_cache_for_session TO on"),
        (one, "BEGIN; INSERT INTO written VALUES (1)"),
        (other, "SELECT 2"),
        (one, "COMMIT"),
        (one, "SELECT 3"),
        (one, "DROP TABLE written"),
    ):
        session.execute(before.encode())
        assert session.execute(ask).fetchone() == (100,)
        hits.append(_hit(session))
    assert hits == [False, True, False, True, False, True, False, True, False]


def test_cached_answers_are_those_of_the_same_values_and_user(
    server: RedshiftLike, log_in: LogIn
) -> None:
    session, other = log_in(server), log_in(server, user="analyst")
    ask = "SELECT count(*) FROM sale WHERE id > %s"
    assert [session.execute(ask, [n]).fetchone() for n in (10, 10, 11)] == [(990,), (990,), (989,)]
    assert other.execute(ask, [10]).fetchone() == (990,)
    assert not _hit(other)


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    (tmp_path / "bucket" / "in").mkdir(parents=True)
    (tmp_path / "bucket" / "in" / "part-1").write_text("1,one\n2,\n")
    (tmp_path / "bucket" / "in" / "part-2").write_text("3,three\n")
    (tmp_path / "bucket" / "pipes").write_text("id|name\n4|four\n")
    (tmp_path / "bucket" / "bad").write_text("four,4\n")
    return tmp_path


def test_copy_reads_a_bucket(backend: str, bucket: Path, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(compile_ms=0, view_delay_s=0, s3=str(bucket))) as server:
        session = log_in(server)
        session.execute("CREATE TABLE loaded (id int, name varchar(20))")
        role = "IAM_ROLE 'arn:aws:iam::123456789012:role/load'"
        for copy in (
            f"COPY loaded (id, name) FROM 's3://bucket/in/part' {role} FORMAT AS CSV",
            f"copy loaded from 's3://bucket/pipes' {role} IGNOREHEADER 1",
        ):
            session.execute(copy.encode())
        rows = session.execute("SELECT id, name FROM loaded ORDER BY id").fetchall()
        assert rows == [(1, "one"), (2, None), (3, "three"), (4, "four")]
        for key, words in (
            ("none", "The specified S3 prefix 'none' does not exist"),
            ("../bucket/pipes", "does not exist"),
            ("bad", "Check 'stl_load_errors' system table for details"),
        ):
            with pytest.raises(psycopg.errors.Error, match=words):
                session.execute(f"COPY loaded FROM 's3://bucket/{key}' {role} CSV".encode())
        told = session.execute(
            "SELECT rtrim(status) FROM stl_query JOIN sys_query_history ON query = query_id"
            " WHERE query_type = 'COPY' ORDER BY query_id"
        ).fetchall()
        assert told == [("success",), ("success",), ("failed",), ("failed",), ("failed",)]


def test_a_workgroup_is_charged_a_minute_at_least_and_late(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(compile_ms=0, view_delay_s=0.5, rpu=128)) as server:
        session = log_in(server)
        session.execute("SELECT pg_sleep(0.2)")
        usage = "SELECT sum(compute_seconds), sum(charged_seconds) FROM sys_serverless_usage"
        deadline = time.monotonic() + 60
        computed, charged = None, None
        while not charged and time.monotonic() < deadline:
            time.sleep(0.2)
            computed, charged = session.execute(usage).fetchone() or (None, None)
        assert charged == 60 * 128
        assert computed is not None
        assert 0.2 * 128 <= computed < charged
        told = session.execute(
            "SELECT max(service_class_id), max(compute_type) FROM sys_query_history"
        )
        assert told.fetchone() == (-1, None)


def test_a_session_can_be_ended_from_outside(server: RedshiftLike, log_in: LogIn) -> None:
    one, two, three = log_in(server), log_in(server), log_in(server)
    server.tell(f"kill {one.info.backend_pid}")
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        one.execute("SELECT 1")
    two.execute(f"SELECT pg_terminate_backend({three.info.backend_pid})".encode())
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        three.execute("SELECT 1")
    assert two.execute("SELECT 1").fetchone() == (1,)


def test_its_version_and_slots_change_while_it_runs(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, Behaviour(compile_ms=20, view_delay_s=0, slots=3)) as server:
        session = log_in(server)
        session.execute("SET enable_result_cache_for_session TO off")
        ask = "SELECT count(*) FROM sale"
        session.execute(ask)
        session.execute(ask)
        server.tell("version 1.0.999")
        server.tell("slots 7")
        session.execute(ask)
        told = session.execute(
            "SELECT rtrim(redshift_version), compile_time >= 20000 FROM sys_query_history"
            " WHERE query_text LIKE 'SELECT count%' ORDER BY query_id"
        ).fetchall()
        assert told == [("1.0.123456", True), ("1.0.123456", False), ("1.0.999", True)]
        version = session.execute("SELECT version()").fetchone()
        assert version is not None
        assert version[0].endswith("Redshift 1.0.999")
        slots = "SELECT num_query_tasks FROM stv_wlm_service_class_config"
        assert session.execute(slots).fetchone() == (7,)
        with pytest.raises(UsageError, match="does not take `sing`: error: unknown: sing"):
            server.tell("sing")


def test_a_paused_cluster_lets_nobody_in(backend: str, log_in: LogIn) -> None:
    with RedshiftLike(backend, QUICK) as server:
        session = log_in(server)
        server.tell("pause")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            log_in(server)
        server.tell("resume")
        assert log_in(server).execute("SELECT 1").fetchone() == (1,)


def test_capture_reads_its_views(server: RedshiftLike, log_in: LogIn) -> None:
    session = log_in(server)
    session.execute("SELECT count(*) FROM sale WHERE shop = 6")
    source = find_views(server.url())
    assert isinstance(source, ViewSource)
    views = Views(source)
    rows = [row for page in views.pages(SYS.asked, None, None) for row in page]
    views.session.close()
    assert b"SELECT count(*) FROM sale WHERE shop = 6" in [row[-1] for row in rows]


def test_one_that_cannot_start_says_why(backend: str) -> None:
    with pytest.raises(Unreachable), RedshiftLike(backend, Behaviour(certificate="/nowhere.pem")):
        pass


def test_as_a_command_it_takes_lines_and_ends_with_its_input(backend: str) -> None:
    command = [sys.executable, "-m", "replay.redshift_like", backend, "--slots", "2"]
    ended = subprocess.run(
        command, input="slots 9\nslots many\n", capture_output=True, text=True, check=False
    )
    first, *answers = ended.stdout.splitlines()
    assert first.startswith("listening on 127.0.0.1:")
    assert (ended.returncode, answers[0], answers[1][:6]) == (0, "ok", "error:")


def test_it_ends_with_whoever_started_it(backend: str, tmp_path: Path) -> None:
    owner = (
        "import sys, os\n"
        "from replay.redshift_like import RedshiftLike\n"
        "server = RedshiftLike(sys.argv[1]).__enter__()\n"
        "print(server._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", owner, backend]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    pid = int(ended.stdout)
    deadline = time.monotonic() + 60
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        # Nobody may wait for an orphan in a container.
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
