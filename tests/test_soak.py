"""`fourstep soak` as a user starts it: rolled, killed and gone on with, aborted, drifting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from replay.run import Run
from replay.target.embedded import EmbeddedServer
from tests.locusts import wait_for, wait_for_samples
from tests.replay.planned import write_workload

ROWS = 250_000


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
        made.execute("CREATE TABLE lookup AS SELECT n AS id FROM generate_series(1, %s) n" % ROWS)
        made.execute("CREATE INDEX lookup_id ON lookup (id)")
        made.execute("ANALYZE")
        yield server


def leak(server: EmbeddedServer, *, seconds: float, over: threading.Event) -> None:
    """Let one table grow for so long, and drop the other's index in the middle."""
    with psycopg.connect(server.url(), autocommit=True) as session:
        for second in range(round(seconds)):
            rows = f"INSERT INTO growing SELECT 'x' FROM generate_series(1, {ROWS / seconds:.0f})"
            session.execute(rows)
            if second == round(seconds / 2):
                session.execute("DROP INDEX lookup_id")
            if over.wait(1):
                return


def asked(path: Path, *, per_s: int) -> Path:
    """A minute of statements that take 20 ms, and what both tables take."""
    question = "SELECT pg_sleep(0.02), (SELECT count(*) FROM growing), "
    question += "(SELECT max(id) FROM lookup WHERE id = {})"
    said = [(n / per_s, f"s{n % 20}", question.format(n)) for n in range(60 * per_s)]
    return write_workload(path, said).path


@pytest.mark.slow
def test_twenty_minutes_tell_a_drift_and_a_step_from_none(tmp_path: Path) -> None:
    seconds = float(os.environ.get("FOURSTEP_SOAK_S", 1200))
    workload = str(asked(tmp_path / "w", per_s=6))
    steady, leaking = tmp_path / "steady", tmp_path / "leaking"
    common = ("--workload", workload, "--for", f"{seconds:.0f}s", "--roll", "2min")
    over = threading.Event()
    with tables("steady") as one, tables("leaking") as two:
        with (
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
    assert max(map(abs, flat["memory_bytes"]["interval"])) < 0.05, told[0]
    assert found["p50"]["word"] == "rises", told[1]
    (step,) = found["p50"]["steps"]
    assert step["change"] > 0.1
    assert (
        abs(step["at_us"] / 1e6 - seconds / 2) <= 2 * shown["leaking"]["drift"]["window_us"] / 1e6
    )
    gates = {gate["id"]: gate["verdict"] for gate in shown["leaking"]["gates"]}
    assert gates["steps"] == "fail", told[1]
