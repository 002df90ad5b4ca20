"""`locust -f locustfiles/replay.py` as a user runs it: real processes, a real server."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import psycopg
import pytest

from replay.inspect import as_text, inspect
from replay.run import Run
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.render.rows import facts
from reports.verdict import Answer
from tests.locusts import (
    BOUND_S,
    Ended,
    assert_balanced,
    ended,
    ended_at,
    failed,
    free_port,
    judged,
    locust,
    no_statement_is_left,
    ports,
    post,
    replay,
    wait_for,
    wait_for_samples,
)
from tests.replay.planned import write_workload

ALONE_AND_NOT = {"alone": (), "workers": ("--processes", "2")}


def test_all_of_a_workload_is_replayed(
    short: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    result = replay(tmp_path, "--workload", str(short.path), "--host", embedded_empty.url())
    assert result.code == 0, result.text
    assert_balanced(result, 40)
    assert (result.ledger["ok"], result.ledger["error"]) == (36, 4)
    samples = result.run.samples().to_pylist()
    assert {row["sqlstate"] for row in samples if row["status"] == "error"} == {"42P01"}
    assert {row["rows"] for row in samples if row["status"] == "ok"} == {1}
    document = result.run.document
    assert document["ended_by"] == "done"
    assert document["workload"]["sha256"] == short.sha256
    assert document["target"]["server_version"] >= 180_000
    assert result.text.rstrip().endswith(str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run" / "samples").iterdir()] == ["w0.parquet"]


def test_sessions_act_as_the_users_of_1_0_and_search_where_they_are_told(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS told CASCADE; DROP ROLE IF EXISTS ann")
        connection.execute("CREATE ROLE ann; CREATE SCHEMA told; GRANT USAGE ON SCHEMA told TO ann")
        connection.execute("CREATE VIEW told.who AS SELECT WHERE current_user = 'ann'")
        connection.execute("GRANT SELECT ON told.who TO ann")
    said = [(0.0, "s", "SELECT * FROM who")]
    workload = write_workload(tmp_path / "w", said, user="ann")
    options = ["--workload", str(workload.path), "--host", embedded_empty.url()]
    result = replay(tmp_path, *options, "--act-as", "captured", "--search-path", "told, public")
    assert result.code == 0, result.text
    assert [row["rows"] for row in result.run.samples().to_pylist()] == [1]
    assert result.run.document["target"]["session"]["search_path"] == "told, public"


def test_without_options_the_bundled_demo_is_replayed_on_the_embedded_target(
    tmp_path: Path,
) -> None:
    result = replay(tmp_path, "-t", "3s")
    assert result.code == 0, result.text
    document = result.run.document
    assert document["target"]["embedded"] == "2.0"
    assert Path(document["workload"]["uri"]).parts[-2:] == ("demo", "workload")
    assert result.ledger["ok"] > 10
    assert result.ledger["cancelled"] > 100
    assert not result.ledger["skipped"]
    errors = [row for row in result.run.samples().to_pylist() if row["status"] == "error"]
    # What fails on 2.0 failed on 1.0 too: 1.0's log has the same errors.
    assert all(row["captured_us"] is None for row in errors)


def test_two_worker_processes_share_the_sessions(
    short: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--workload", str(short.path), "--host", embedded_empty.url()]
    result = replay(tmp_path, *options, *ports(), "--processes", "2", "--scale", "1.5")
    assert result.code == 0, result.text
    assert_balanced(result, 60)
    workers = result.run.document["workers"]
    assert [worker["shard"] for worker in workers] == [0, 1]
    assert sum(worker["rows_written"] for worker in workers) == 60
    assert all(worker["statements"] == worker["rows_written"] > 0 for worker in workers)
    by_session: dict[str, set[str]] = {}
    for row in result.run.samples().to_pylist():
        by_session.setdefault(row["session_id"], set()).add(row["worker"])
    assert all(len(workers) == 1 for workers in by_session.values())


@pytest.mark.parametrize("mode", ["literals", "none"])
def test_copies_ask_the_server_with_other_values(mode: str, tmp_path: Path) -> None:
    said = [
        (n / 40, f"s{n % 8}", f"SELECT {n}, 'x' FROM pg_class WHERE relname = 'r{n}' AND oid > {n}")
        for n in range(80)
    ]
    workload = write_workload(tmp_path / "w", said)
    with EmbeddedServer("logged", settings={"log_statement": "all"}) as server:
        result = replay(
            tmp_path,
            *("--workload", str(workload.path), "--host", server.url(), "--scale", "3"),
            *("--vary", mode, *ports(), "--processes", "2"),
        )
        log = (server.directory / "server.log").read_text()
    assert result.code == 0, result.text
    assert_balanced(result, 240)
    # The first number is no value of a filter: it tells which statement a text is a copy of.
    received = re.findall(r"statement: (SELECT (\d+), 'x' FROM .*)", log)
    assert Counter(number for _, number in received) == {str(n): 3 for n in range(80)}
    originals = {sql for _, _, sql in said}
    differing = [sql for sql, number in received if sql != said[int(number)][2]]
    variation = result.run.document["variation"]
    varied = len(differing)
    assert variation == {"mode": mode, "clones": 160, "varied": varied, "share": varied / 160}
    assert variation["varied"] == sum(each["varied"] for each in result.run.document["workers"])
    assert (varied > 140) == (mode == "literals")
    assert originals < {sql for sql, _ in received} or mode == "none"
    words = f"{mode}: {varied} of 160 statements of copies differ from their originals"
    assert words in as_text(inspect(tmp_path / "run"))


@pytest.mark.parametrize("processes", ALONE_AND_NOT.values(), ids=ALONE_AND_NOT.keys())
def test_run_time_ends_a_run_cleanly(
    processes: tuple[str, ...], long: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--workload", str(long.path), "--host", embedded_empty.url()]
    result = replay(tmp_path, *options, *ports(), *processes, "-t", "2s")
    assert result.code == 0, result.text
    assert_balanced(result, 6_000)
    assert result.run.document["ended_by"] == "run-time"
    assert result.ledger["cancelled"] > 5_000
    assert result.ledger["ok"] > 5
    assert no_statement_is_left(embedded_empty)
    verdict = judged(result)
    assert verdict.verdict is Answer.INVALID
    assert "the run ended early, at the time given with -t" in verdict.reason


# A terminal signals every process of its group, so does systemd; Docker signals the first.
SIGNALS: dict[str, tuple[tuple[str, ...], signal.Signals, Callable[[int, int], None]]] = {
    "Ctrl-C alone": ((), signal.SIGINT, os.killpg),
    "Ctrl-C and workers": (("--processes", "2"), signal.SIGINT, os.killpg),
    "SIGTERM alone": ((), signal.SIGTERM, os.kill),
    "SIGTERM to the master": (("--processes", "2"), signal.SIGTERM, os.kill),
    "SIGTERM to all": (("--processes", "2"), signal.SIGTERM, os.killpg),
}


@pytest.mark.parametrize(("processes", "number", "send"), SIGNALS.values(), ids=SIGNALS.keys())
def test_a_signal_ends_a_run_cleanly(
    processes: tuple[str, ...],
    number: signal.Signals,
    send: Callable[[int, int], None],
    long: Workload,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    options = ["--workload", str(long.path), "--host", embedded_empty.url()]
    with locust(tmp_path, *options, *ports(), *processes) as process:
        wait_for_samples(tmp_path)
        send(process.pid, number)
        result = ended(process, tmp_path)
    assert result.code == 130, result.text
    assert "Traceback" not in result.text
    assert_balanced(result, 6_000)
    assert result.run.document["ended_by"] == "interrupted"
    assert result.ledger["ok"] > 0
    assert not result.ledger["unknown"]
    assert no_statement_is_left(embedded_empty)
    verdict = judged(result)
    assert verdict.verdict is Answer.INVALID
    told = "the run was interrupted by Ctrl-C or SIGTERM"
    assert any(told in gate.reason for gate in verdict.gates)


@pytest.mark.parametrize("processes", ALONE_AND_NOT.values(), ids=ALONE_AND_NOT.keys())
def test_the_web_page_starts_and_stops_runs(
    processes: tuple[str, ...],
    short: Workload,
    long: Workload,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    port = free_port()
    options = ["--workload", str(long.path), "--web-port", str(port)]
    with locust(tmp_path, *options, *ports(), *processes, headless=False) as process:
        page = f"http://127.0.0.1:{port}"
        post(page + "/swarm", host=embedded_empty.url())
        wait_for_samples(tmp_path)
        post(page + "/stop")
        first = Ended(code=0, text="", run=Run(tmp_path / "run"))
        assert first.run.document["ended_by"] == "stopped"
        assert_balanced(first, 6_000)
        reasons = [gate.reason for gate in judged(first).gates]
        assert any("the run was stopped early" in reason for reason in reasons)
        post(
            page + "/swarm",
            host=embedded_empty.url(),
            workload=str(short.path),
            run_dir=str(tmp_path / "again"),
        )
        wait_for(lambda: ended_at(tmp_path / "again"))
        second = Run(tmp_path / "again")
        assert second.document["ended_by"] == "done"
        assert_balanced(Ended(code=0, text="", run=second), 40)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=BOUND_S)
    assert "Traceback" not in text


def test_a_full_disk_keeps_what_was_done(tmp_path: Path) -> None:
    # A limit on the size of files fails writes as a full disk does, at a place of our choice.
    limit = 9 << 20
    said = [(n / 20_000, f"s{n % 4}", "SELECT 1") for n in range(80_000)]
    workload = write_workload(tmp_path / "many", said)
    result = replay(
        tmp_path,
        *("--workload", str(workload.path), "--host", "null:"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.code == 3, result.text
    assert "samples cannot be written" in result.text
    assert "Traceback" not in result.text
    assert result.run.document["ended_by"] == "disk-full"
    ledger = result.run.ledger()
    assert ledger.balanced
    assert ledger.planned == 80_000
    assert ledger.ok > 1_000


def test_options_come_from_the_environment(short: Workload, tmp_path: Path) -> None:
    result = replay(
        tmp_path,
        *("--host", "null:"),
        environment={"FOURSTEP_WORKLOAD": str(short.path), "FOURSTEP_SCALE": "2"},
    )
    assert result.code == 0, result.text
    assert result.run.document["dials"]["scale"] == 2
    assert_balanced(result, 80)


def test_a_pool_of_connections_draws_until_its_time_is_over(
    short: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--workload", str(short.path), "--host", embedded_empty.url(), "--mode", "pool"]
    options += ["-u", "5", "-r", "10", "-t", "2s", *ports(), "--processes", "2"]
    with locust(tmp_path, *options) as process:
        result = ended(process, tmp_path)
    assert result.code == 0, result.text
    assert "5 connections draw sessions again and again" in result.text
    document = result.run.document
    assert document["ended_by"] == "run-time"
    samples = result.run.samples()
    assert_balanced(result, samples.num_rows)
    assert samples.num_rows > 2 * len(short)
    keys = samples.group_by(["statement_id", "clone"]).aggregate([])
    assert keys.num_rows == samples.num_rows
    assert [worker["statements"] > 0 for worker in document["workers"]] == [True, True]
    # Connections of a worker never ask two things at once, and there are three and two of them.
    for worker, users in (("w0", 3), ("w1", 2)):
        mine = [row for row in samples.to_pylist() if row["worker"] == worker and row["done_us"]]
        steps = sorted(
            [(row["sent_us"], 1) for row in mine] + [(row["done_us"], -1) for row in mine]
        )
        assert max(accumulate(step for _, step in steps)) <= users
    assert "drawn by 5 connections that never wait (pool)" in str(facts(judged(result).document))


def test_a_loop_begins_again_until_its_time_is_over(short: Workload, tmp_path: Path) -> None:
    options = ["--workload", str(short.path), "--host", "null:", "--loop", "-t", "5s"]
    result = replay(tmp_path, *options)
    assert result.code == 0, result.text
    planned = result.ledger["planned"]
    assert 2 * len(short) < planned <= 3 * len(short)
    assert_balanced(result, planned)
    assert result.ledger["ok"] == planned
    samples = result.run.samples()
    assert samples.group_by(["statement_id", "clone"]).aggregate([]).num_rows == planned
    assert result.run.document["dials"]["loop_s"] == 5


def test_a_dry_run_says_what_would_be_replayed_and_does_nothing(
    short: Workload, tmp_path: Path
) -> None:
    options = ["--workload", str(short.path), "--host", "postgresql://nobody@127.0.0.1:1/d"]
    code, text = failed(
        tmp_path, *options, *ports(), "--dry-run", "--processes", "2", "--scale", "2"
    )
    assert code == 0, text
    assert "80 statements in 16 sessions" in text
    assert "worker 2 of 2: 40 statements in 8 sessions" in text
    assert not (tmp_path / "run").exists()


BAD: dict[str, tuple[list[str], int, str]] = {
    "no such workload": (["--workload", "nowhere", "--host", "null:"], 5, "not a workload"),
    "an odd scale": (["--scale", "-1", "--host", "null:"], 2, "--scale"),
    "an odd think time": (["--think", "long", "--host", "null:"], 2, "--think"),
    "an odd moment": (["--from", "noon", "--host", "null:"], 2, "--from"),
    "an empty window": (["--to", "1999-01-01", "--host", "null:"], 2, "no statement"),
    "a loop without an end": (["--loop", "--host", "null:"], 2, "-t"),
    "an unknown target": (["--host", "oracle://x"], 2, "not a kind of target"),
    "a password in the URL": (["--host", "postgresql://u:pw@h/d"], 2, "PGPASSWORD"),
    "nobody listens": (["--host", "postgresql://u@127.0.0.1:1/d"], 4, "does not let us in"),
    "no such database": ([], 4, "does not let us in"),
}


@pytest.mark.parametrize(("options", "code", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_clear_error(
    options: list[str],
    code: int,
    words: str,
    short: Workload,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    options = options or ["--host", embedded_empty.url("no_such_database")]
    ended_with, text = failed(tmp_path, "--workload", str(short.path), *options)
    assert words in text, text
    assert ended_with == code, text
    assert "Traceback" not in text
    assert "pw@" not in text.replace("postgresql://u:pw@h/d", "")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_wrong_password_is_told_and_not_shown(short: Workload, tmp_path: Path) -> None:
    with EmbeddedServer("password", settings={"password_encryption": "scram-sha-256"}) as server:
        lock_with_password(server)
        ended_with, text = failed(
            tmp_path,
            *("--workload", str(short.path), "--host", server.url(user="locked")),
            environment={"PGPASSWORD": "not-the-word"},
        )
    assert ended_with == 4, text
    assert "does not let us in" in text
    assert "password authentication failed" in text
    assert "not-the-word" not in text


def test_a_run_never_overwrites_another(short: Workload, tmp_path: Path) -> None:
    options = ["--workload", str(short.path), "--host", "null:", "--speed", "10"]
    assert replay(tmp_path, *options).code == 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    code, text = failed(tmp_path, *options)
    assert (code, "never overwrites" in text) == (2, True), text
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_an_empty_workload_is_refused(tmp_path: Path) -> None:
    workload = write_workload(tmp_path / "empty", [])
    code, text = failed(tmp_path, "--workload", str(workload.path), "--host", "null:")
    assert (code, "holds no statement" in text) == (5, True), text


def lock_with_password(server: EmbeddedServer) -> None:
    import psycopg

    rules = server.directory / "data" / "pg_hba.conf"
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("CREATE ROLE locked LOGIN PASSWORD 'the-word'")
        rules.write_text("local all locked scram-sha-256\nlocal all all trust\n")
        session.execute("SELECT pg_reload_conf()")
