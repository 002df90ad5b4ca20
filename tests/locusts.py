"""Locust on our locustfile as a user starts it: processes, what they left, and waiting for both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.run import Run
from replay.target.embedded import EmbeddedServer
from reports.report import write_report
from reports.verdict import Verdict

LOCUSTFILE = Path(__file__).parents[1] / "locustfiles" / "replay.py"
BOUND_S = 120


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    text: str
    run: Run

    @property
    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = self.run.document["ledger"]
        return ledger


@contextmanager
def locust(
    tmp_path: Path,
    *options: str,
    headless: bool = True,
    locustfile: Path = LOCUSTFILE,
    before: Callable[[], None] | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Locust on our locustfile, killed with all its children if the test gives up."""
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--only-summary"]
    command += ["--headless"] if headless else ["--web-host", "127.0.0.1"]
    command += ["--run-dir", str(tmp_path / "run"), *options]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=before,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def ended(process: subprocess.Popen[str], tmp_path: Path) -> Ended:
    text, _ = process.communicate(timeout=BOUND_S)
    return Ended(code=process.returncode, text=text, run=Run(tmp_path / "run"))


def replay(tmp_path: Path, *options: str, **how: Any) -> Ended:
    with locust(tmp_path, *options, **how) as process:
        return ended(process, tmp_path)


def judged(result: Ended) -> Verdict:
    """As `fourstep report RUN` with the gates that ship."""
    return write_report(result.run.path, out=result.run.path.with_name("report"))


def failed(tmp_path: Path, *options: str, **how: Any) -> tuple[int, str]:
    with locust(tmp_path, *options, **how) as process:
        text, _ = process.communicate(timeout=BOUND_S)
        return process.returncode, text


def assert_balanced(result: Ended, planned: int) -> None:
    """planned = ok + error + …, in run.json and in as many rows of samples."""
    ledger = result.ledger
    assert ledger["planned"] == planned
    ends = [ledger[name] for name in ("ok", "error", "timeout", "cancelled", "unknown")]
    assert planned == sum(ends) + sum(ledger["skipped"].values())
    assert result.run.samples().num_rows == planned
    assert result.run.ledger().as_json() == ledger


def no_statement_is_left(server: EmbeddedServer) -> bool:
    import psycopg

    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fourstep' "
        "AND state = 'active'"
    )
    with psycopg.connect(server.url()) as session:
        deadline_s = time.monotonic() + 5
        while session.execute(question).fetchone() != (0,):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.1)
            session.rollback()
    return True


def wait_for(happened: Callable[[], object], *, bound_s: float = BOUND_S) -> None:
    deadline_s = time.monotonic() + bound_s
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.1)


def wait_for_samples(tmp_path: Path, *, workers: int = 1) -> None:
    """Return when every worker has written something beyond the schema."""

    def written() -> bool:
        streams = list((tmp_path / "run" / "samples").glob("*.arrows"))
        return len(streams) >= workers and all(stream.stat().st_size > 4_000 for stream in streams)

    wait_for(written)


def ended_at(path: Path) -> object:
    document = path / "run.json"
    return document.is_file() and json.loads(document.read_text())["ended_at"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ports() -> list[str]:
    """A master's port that no other test uses."""
    port = str(free_port())
    return ["--master-bind-port", port, "--master-port", port, "--master-bind-host", "127.0.0.1"]


def post(url: str, **fields: str) -> None:
    data = urllib.parse.urlencode(fields).encode()

    def answered() -> bool:
        try:
            with urllib.request.urlopen(url, data=data, timeout=10) as response:
                assert json.load(response)["success"], fields
                return True
        except OSError:
            return False

    wait_for(answered)
