"""`fourstep soak` as a user starts it: rolled, killed and gone on with, aborted, drifting."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from click.testing import CliRunner

from replay.artefact import sha256_of, write_json
from replay.dials import Dials
from replay.errors import ExitCode, FourstepError, UsageError
from replay.live import ENDS, LAG, figures
from replay.plan import build_plan
from replay.run import Run
from replay.samples import RESERVES
from replay.swarm.abort import Rules, Watch, exceeded, rules_of
from replay.swarm.legs import go_on, refuse_other
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.soak import soak
from tests.locusts import BOUND_S, LOCUSTFILE, assert_balanced, judged, replay, wait_for
from tests.replay.planned import write_workload

ROWS = 800_000


@contextmanager
def soaking(out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`fourstep soak` in a process group of its own, which is killed if the test gives up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reports", "soak", *options],
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def verdict(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    return document


@contextmanager
def tables(name: str) -> Iterator[EmbeddedServer]:
    """A table that may grow, and one whose index may be dropped."""
    with EmbeddedServer(name) as server, psycopg.connect(server.url(), autocommit=True) as made:
        made.execute("ALTER DATABASE postgres SET max_parallel_workers_per_gather = 0")
        made.execute("CREATE TABLE growing (pad text)")
        made.execute(f"CREATE TABLE lookup AS SELECT n AS id FROM generate_series(1, {ROWS}) n")
        made.execute("CREATE INDEX lookup_id ON lookup (id)")
        made.execute("ANALYZE")
        yield server


def leak(server: EmbeddedServer, *, seconds: float, over: threading.Event) -> None:
    """Let one table grow for so long, and drop the other's index in the middle."""
    began_s = time.monotonic()
    with psycopg.connect(server.url(), autocommit=True) as session:
        for second in range(round(seconds)):
            number = round(ROWS / 2 / seconds)
            rows = f"INSERT INTO growing SELECT 'x' FROM generate_series(1, {number})"
            session.execute(rows)
            if second == round(seconds / 2):
                session.execute("DROP INDEX lookup_id")
            if over.wait(max(0, began_s + second + 1 - time.monotonic())):
                return


def asked(path: Path, *, per_s: int) -> Path:
    """A minute of statements that take 60 ms, whatever else the machine does, and both tables."""
    question = "SELECT pg_sleep(0.06), (SELECT count(*) FROM growing), "
    question += "(SELECT count(*) FROM lookup WHERE id = {})"
    said = [(n / per_s, f"s{n % 20}", question.format(n)) for n in range(60 * per_s)]
    return write_workload(path, said).path


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=BOUND_S)
    return process.returncode, told


def replaying(process: subprocess.Popen[str]) -> psutil.Process:
    """The child that replays."""
    (child,) = psutil.Process(process.pid).children()
    return child


def lasts(path: Path, *, seconds: int, per_s: int) -> str:
    said = [(n / per_s, f"s{n % 20}", f"SELECT {n}") for n in range(seconds * per_s)]
    return str(write_workload(path, said).path)


def test_a_soak_that_is_stopped_and_then_killed_goes_on_each_time(tmp_path: Path) -> None:
    out, workload = tmp_path / "soak", lasts(tmp_path / "w", seconds=5, per_s=20)
    options = ["--workload", workload, "--host", "null:", "--for", "24s", "--roll", "2s"]
    with soaking(out, *options, "-o", str(out)) as process:
        wait_for_rows(out, 60)
        os.killpg(process.pid, signal.SIGINT)
        code, told = ended(process)
    assert code == ExitCode.INTERRUPTED, told
    stopped = Run(out / "run")
    assert stopped.document["ended_by"] == "interrupted"
    assert stopped.ledger().cancelled > 0
    with soaking(out, "--resume", str(out)) as process:
        wait_for_rows(out, 200)
        replaying(process).kill()
        code, told = ended(process)
    assert (code, verdict(out)["verdict"]) == (ExitCode.UNDECIDED, "INVALID"), told
    with soaking(out, "--resume", str(out)) as process:
        code, told = ended(process)
    assert code in (ExitCode.UNDECIDED, ExitCode.DONE), told
    run = Run(out / "run")
    ledger = run.ledger()
    assert ledger.balanced
    assert ledger.as_json() == run.document["ledger"]
    planned = run.document["timetable"]["statements"]
    assert run.samples().num_rows == ledger.planned == planned
    # A statement or two may have been on their way when it was killed.
    assert ledger.ok >= planned - 10
    keys = run.samples().select(["statement_id", "clone"]).to_pylist()
    assert len({tuple(key.values()) for key in keys}) == planned
    legs = run.document["legs"]
    assert [leg["ended_by"] for leg in legs][:2] == ["interrupted", None]
    assert 0 == legs[0]["from_us"] < legs[1]["from_us"] < legs[2]["from_us"] < 24_000_000
    gaps = [said for said in verdict(out)["warnings"] if "gone on with after" in said]
    assert len(gaps) == 2
    for worker in run.document["workers"]:
        for file in worker["files"]:
            assert sha256_of(run.path / "samples" / file["file"]) == file["sha256"]
    with soaking(out, "--resume", str(out)) as process:
        assert "is left to play" in ended(process)[1]


def test_sigterm_reaches_the_replay_of_a_soak(tmp_path: Path) -> None:
    out, workload = tmp_path / "soak", lasts(tmp_path / "w", seconds=5, per_s=20)
    options = ["--workload", workload, "--host", "null:", "--for", "60s", "-o", str(out)]
    with soaking(out, *options) as process:
        wait_for_rows(out, 20)
        process.terminate()
        code, told = ended(process)
    assert code == ExitCode.INTERRUPTED, told
    assert Run(out / "run").document["ended_by"] == "interrupted"
    assert (out / "report.html").is_file()


def test_nobody_goes_on_with_a_run_that_is_being_written(tmp_path: Path) -> None:
    workload = Workload(Path(lasts(tmp_path / "w", seconds=2, per_s=10)))
    reserve = tmp_path / "run" / "samples" / RESERVES.replace("*", "w0")
    reserve.parent.mkdir(parents=True)
    write_json(
        tmp_path / "run" / "run.json",
        {"schema_version": 1, "started_at": "2026-11-23", "workers": []},
    )
    run, plan = Run(tmp_path / "run"), build_plan(workload, Dials())
    with reserve.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="still being written"):
            go_on(run, plan)
    assert go_on(run, plan).from_us == 1


def wait_for_rows(out: Path, rows: int) -> None:
    """Return when so many statements that were sent are on disk."""

    def written() -> bool:
        if not (out / "run" / "run.json").is_file():
            return False
        batches = Run(out / "run").sample_batches(["sent_us"])
        sent = sum(len(batch) - batch["sent_us"].null_count for batch in batches)
        return int(sent) >= rows

    wait_for(written)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--for", "1h"], "needs `--for` and `-o`"),
        (["--for", "soon", "-o", "new"], "`--for soon` is not a time"),
        (["--for", "1h", "-o", "."], "is not empty"),
        (["--for", "1h", "-o", "new", "--abort-cost", "50"], "what an hour of 2.0 costs"),
        (["--resume", "."], "is not a soak"),
        (["--resume", ".", "--for", "1h"], "goes on with the options of then"),
    ],
)
def test_what_makes_no_sense_is_told(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("something").touch()
    told = CliRunner().invoke(soak, options).exception
    assert isinstance(told, FourstepError)
    assert words in str(told)
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"abort_errors": "6"}, "`--abort-errors 6` is not a share"),
        ({"abort_p95": "soon"}, "`--abort-p95 soon` is not a time"),
        ({"abort_after": "1"}, "`--abort-after 1` is not a time"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told(changes: dict[str, str], words: str) -> None:
    none = dict.fromkeys(("abort_errors", "abort_p95", "abort_lag", "abort_after"), "")
    assert rules_of(Namespace(**none)) == Rules()
    with pytest.raises(UsageError) as told:
        rules_of(Namespace(**none | changes))
    assert words in str(told.value)


def test_a_run_is_gone_on_with_by_its_own_options_alone(tmp_path: Path) -> None:
    workload = Workload(Path(lasts(tmp_path / "w", seconds=2, per_s=10)))
    dials = Dials(roll_s=600.0)
    told = {"schema_version": 1, "workload": {"sha256": workload.sha256}, "dials": dials.as_json()}
    write_json(tmp_path / "run.json", told)
    run = Run(tmp_path)
    refuse_other(run, workload, dials, ingest=False)
    for other, words in (
        (Dials(roll_s=600.0, scale=2), "another `scale`"),
        (Dials(mode="pool", users=2), "another `mode`, `users`, `roll_s`"),
    ):
        with pytest.raises(UsageError, match=words):
            refuse_other(run, workload, other, ingest=False)
    with pytest.raises(UsageError, match="--ingest"):
        refuse_other(run, workload, dials, ingest=True)
    another = Workload(Path(lasts(tmp_path / "v", seconds=3, per_s=10)))
    with pytest.raises(UsageError, match="another workload"):
        refuse_other(run, another, dials, ingest=False)


ABORTING = """
from pathlib import Path
source = Path({locustfile!r})
exec(compile(source.read_text(), str(source), "exec"))
from replay.swarm import abort
abort.WINDOW_S, abort._LOOK_S, abort._LEAST = 3.0, 0.5, 20
"""


@pytest.mark.parametrize(
    ("rule", "statement", "words"),
    [
        (["--abort-errors", "5%"], "SELECT * FROM missing", "--abort-errors 0.05: 100.0% of"),
        (["--abort-p95", "100ms"], "SELECT pg_sleep(0.2)", "--abort-p95 0.1s: p95 was 0.2"),
    ],
)
def test_a_rule_ends_a_run_and_says_why(
    rule: list[str],
    statement: str,
    words: str,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    said = [(n / 20, f"s{n}", statement) for n in range(2_000)]
    workload = write_workload(tmp_path / "w", said)
    locustfile = tmp_path / "aborting.py"
    locustfile.write_text(ABORTING.format(locustfile=str(LOCUSTFILE)))
    options = ["--workload", str(workload.path), "--host", embedded_empty.url(), *rule]
    result = replay(tmp_path, *options, locustfile=locustfile)
    assert result.code == ExitCode.UNDECIDED, result.text
    assert f"aborted by {words}" in result.text
    assert result.run.document["ended_by"] == "aborted"
    assert result.run.document["aborted"].startswith(words)
    assert_balanced(result, 2_000)
    assert judged(result).verdict in ("INCONCLUSIVE", "NO-GO")


def test_rules_look_at_a_window_with_enough_in_it() -> None:
    rules = Rules(errors=0.05, p95_s=1.0, lag_s=2.0)
    counts = figures(0)
    counts[ENDS, :2] = 49, 49
    assert exceeded(rules, counts) is None
    counts[ENDS, :2] = 1_000, 50
    assert exceeded(rules, counts) is None
    counts[ENDS, 1] = 51
    assert "--abort-errors 0.05: 5.1% of 1,000" in str(exceeded(rules, counts))
    assert exceeded(Rules(p95_s=1.0), counts) is None
    counts[LAG, 300] = 7
    assert "--abort-lag 2s: p99" in str(exceeded(Rules(lag_s=2.0), counts))


def test_a_run_may_last_so_long_and_no_window_is_looked_at_before_it_is_whole() -> None:
    now_s, counts = time.monotonic(), figures(0)
    counts[ENDS, :2] = 1_000, 1_000
    watch = Watch(Rules(errors=0.0, after_s=60.0))
    assert watch.reason(counts, zero_s=now_s) is None
    assert "lasted 60 s" in str(watch.reason(counts, zero_s=now_s - 61))


def test_a_short_soak_of_a_real_server_is_cut_into_windows(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    out, workload = tmp_path / "soak", lasts(tmp_path / "w", seconds=6, per_s=180)
    options = ["--workload", workload, "--host", embedded_empty.url(), "--for", "18s"]
    with soaking(out, *options, "-o", str(out), "--roll", "5s", "--json") as process:
        code, told = ended(process)
    # On a busy machine so short a soak may drift.
    assert code in (ExitCode.UNDECIDED, ExitCode.NO_GO), told
    document = verdict(out)
    assert document["ledger"]["ok"] == document["ledger"]["planned"] >= 3_240
    (worker,) = Run(out / "run").document["workers"]
    assert [file["file"] for file in worker["files"][:2]] == ["w0-0001.parquet", "w0-0002.parquet"]
    assert sum(file["rows"] for file in worker["files"]) == document["ledger"]["ok"]
    assert document["drift"]["windows"] >= 12
    assert {"p50", "p95", "errors", "memory_bytes"} <= document["drift"]["series"].keys()
    assert not any("is not the file that the run wrote" in said for said in document["warnings"])


@pytest.mark.slow
def test_twenty_minutes_tell_a_drift_and_a_step_from_none(tmp_path: Path) -> None:
    seconds = float(os.environ.get("FOURSTEP_SOAK_S", 1200))
    workload = str(asked(tmp_path / "w", per_s=max(5, round(3_000 / seconds))))
    steady, leaking = tmp_path / "steady", tmp_path / "leaking"
    common = ("--workload", workload, "--for", f"{seconds:.0f}s", "--roll", "2min")
    over = threading.Event()
    with (
        tables("steady") as one,
        tables("leaking") as two,
        soaking(steady, *common, "-o", str(steady), "--host", one.url()) as first,
        soaking(leaking, *common, "-o", str(leaking), "--host", two.url()) as second,
    ):
        wait_for(lambda: (leaking / "run" / "client.jsonl").is_file())
        writer = threading.Thread(
            target=leak, args=(two,), kwargs={"seconds": seconds, "over": over}
        )
        writer.start()
        told = [process.communicate(timeout=seconds + 300)[0] for process in (first, second)]
        over.set()
        writer.join()
    flat, found = (verdict(out)["drift"]["series"] for out in (steady, leaking))
    shown = {out.name: verdict(out) for out in (steady, leaking)}
    assert flat["p50"]["word"] in ("steady", "no clear drift"), told[0]
    assert flat["p50"]["steps"] == [], told[0]
    assert flat["memory_bytes"]["drift"] < 0.05, told[0]
    assert found["p50"]["word"] == "rises", told[1]
    (step,) = found["p50"]["steps"]
    assert step["change"] > 0.1
    assert (
        abs(step["at_us"] / 1e6 - seconds / 2) <= 2 * shown["leaking"]["drift"]["window_us"] / 1e6
    )
    gates = {gate["id"]: gate["verdict"] for gate in shown["leaking"]["gates"]}
    assert gates["steps"] == "fail", told[1]
