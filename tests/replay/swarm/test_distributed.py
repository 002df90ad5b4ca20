"""A master and workers that share nothing but a port and S3, and what can happen to them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from click.testing import CliRunner

from replay import aws as aws_module
from replay.artefact import sha256_of
from replay.inspect import as_text, inspect
from replay.run import Run
from replay.store import Prefix, fetch
from replay.swarm import messages
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.cli import fourstep
from reports.report import write_report
from tests.aws import REGION
from tests.locusts import BOUND_S, LOCUSTFILE, free_port, wait_for
from tests.replay.planned import write_workload

OTHER_CLOCK = """
import time

_real, _real_ns = time.time, time.time_ns
time.time = lambda: _real() + 100
time.time_ns = lambda: _real_ns() + 100_000_000_000
"""
OTHER_FOURSTEP = """
from locust import events
from replay.swarm.greeting import VERSIONS
from replay.swarm.register import register
from replay.swarm.shape import ReplayShape, ReplayUser

VERSIONS["fourstep"] = "9.9"
register(events)
"""
OTHER_DISK = """
from pathlib import Path

from locust import events
from replay.swarm import player
from replay.swarm.register import register
from replay.swarm.shape import ReplayShape, ReplayUser

player.staged = lambda run_dir, run_id: Path("elsewhere")
register(events)
"""


class Machine:
    """A Locust process with a directory and a cache of its own; what it says is in a file."""

    def __init__(self, directory: Path, *options: str, **environment: str) -> None:
        directory.mkdir(parents=True)
        self._log = directory / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "locust", *options],
                cwd=directory,
                env=os.environ | {"XDG_CACHE_HOME": str(directory / "cache")} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def end(self) -> int:
        return self.process.wait(timeout=BOUND_S)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Swarm:
    """One master and its workers, all killed when the test gives up."""

    def __init__(self, tmp_path: Path, stack: ExitStack) -> None:
        self._tmp_path = tmp_path
        self._stack = stack
        self.port = str(free_port())
        self.workers: list[Machine] = []

    def start_master(self, *options: str, workers: int = 2) -> Machine:
        command = ["-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        command += ["--master", "--expect-workers", str(workers)]
        # What is tested here is not speed, and other tests want the processor too.
        command += ["--master-bind-port", self.port, "--lag-budget-ms", "20000"]
        self.master = self._started("master", *command, *options)
        return self.master

    def start_worker(self, locustfile: Path = LOCUSTFILE, **environment: str) -> Machine:
        command = ["-f", str(locustfile), "--worker", "--master-port", self.port]
        worker = self._started(f"worker{len(self.workers)}", *command, **environment)
        self.workers.append(worker)
        return worker

    def _started(self, name: str, *options: str, **environment: str) -> Machine:
        machine = Machine(self._tmp_path / name, *options, **environment)
        self._stack.callback(machine.stop)
        return machine


@pytest.fixture
def swarm(tmp_path: Path) -> Iterator[Swarm]:
    with ExitStack() as stack:
        yield Swarm(tmp_path, stack)


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    """Two seconds: 60 statements in 12 sessions."""
    said = [(n / 30, f"s{n % 12}", f"SELECT {n}") for n in range(60)]
    return write_workload(tmp_path / "workload", said)


@pytest.fixture
def ten_seconds(tmp_path: Path) -> Workload:
    """Ten seconds, in which every session lasts."""
    said = [(n / 20, f"s{n % 8}", f"SELECT {n}") for n in range(200)]
    return write_workload(tmp_path / "ten", said)


@pytest.fixture
def bucket(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    aws_module.client("s3").create_bucket(
        Bucket="ours", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return "s3://ours"


def samples_flow(run: Path) -> bool:
    streams = list((run / "samples").glob("*.arrows"))
    return bool(streams) and all(stream.stat().st_size > 4_000 for stream in streams)


def assert_all_ok(run: Run, planned: int) -> None:
    ledger = run.document["ledger"]
    assert (ledger["planned"], ledger["ok"]) == (planned, planned)
    assert run.ledger().as_json() == ledger
    assert run.samples().num_rows == planned


def test_machines_that_share_only_s3_replay_one_workload(
    bucket: str, swarm: Swarm, workload: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    files = [path.name for path in workload.path.iterdir()]
    Prefix(f"{bucket}/workload").put(workload.path, files)
    swarm.start_master(
        *("--workload", f"{bucket}/workload", "--run-dir", f"{bucket}/run"),
        *("--host", embedded_empty.url()),
    )
    for _ in range(2):
        swarm.start_worker()
    assert swarm.master.end() == 0, swarm.master.said
    assert [worker.end() for worker in swarm.workers] == [0, 0]
    assert swarm.master.said.rstrip().endswith(f"{bucket}/run")
    run = Run(fetch(f"{bucket}/run"))
    assert_all_ok(run, 60)
    document = run.document
    assert document["workload"] == {"uri": f"{bucket}/workload", "sha256": workload.sha256}
    assert [worker["file"] for worker in document["workers"]] == ["w0.parquet", "w1.parquet"]
    for worker in document["workers"]:
        assert sha256_of(run.path / "samples" / worker["file"]) == worker["sha256"]
        assert 0 < worker["rows_written"] == worker["statements"] < 60
        assert abs(worker["clock_offset_us"]) < 1_000_000
        assert worker["failure"] is None
    out = tmp_path / "verdict"
    arguments = ["report", f"{bucket}/run", "-o", str(out), "--exit-zero"]
    assert CliRunner().invoke(fourstep, arguments, catch_exceptions=False).exit_code == 0
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["ledger"]["ok"] == 60
    # The statements' texts came from S3 too.
    assert verdict["templates"][0]["sql"].startswith("select")


def test_samples_that_did_not_arrive_are_unknown_and_told(
    swarm: Swarm, workload: Workload, tmp_path: Path
) -> None:
    locustfile = tmp_path / "elsewhere.py"
    locustfile.write_text(OTHER_DISK)
    run = tmp_path / "run"
    options = ["--workload", str(workload.path), "--host", "null:", "--run-dir", str(run)]
    swarm.start_master(*options)
    swarm.start_worker()
    swarm.start_worker(locustfile)
    assert swarm.master.end() == 3, swarm.master.said
    assert "its samples did not arrive" in swarm.master.said
    assert "need --run-dir s3://" in swarm.master.said
    document = Run(run).document
    failures = {worker["failure"] is None: worker["statements"] for worker in document["workers"]}
    assert document["ledger"]["unknown"] == failures[False]
    assert document["ledger"]["ok"] == failures[True]


def test_a_workers_other_clock_is_allowed_for(
    swarm: Swarm, workload: Workload, tmp_path: Path
) -> None:
    (tmp_path / "ahead").mkdir()
    (tmp_path / "ahead" / "sitecustomize.py").write_text(OTHER_CLOCK)
    run = tmp_path / "run"
    swarm.start_master(
        *("--workload", str(workload.path), "--host", "null:", "--run-dir", str(run)), workers=1
    )
    path = f"{tmp_path / 'ahead'}:{os.environ.get('PYTHONPATH', '')}"
    swarm.start_worker(PYTHONPATH=path)
    # Without its offset the worker would begin 100 s too early, and lag by more than its budget.
    assert swarm.master.end() == 0, swarm.master.said
    offset_us = Run(run).document["workers"][0]["clock_offset_us"]
    assert abs(offset_us - 100_000_000) < 5_000_000
    assert re.search(r"has a clock \d+\.\d+ s ahead", swarm.master.said)


def test_another_fourstep_is_refused(swarm: Swarm, workload: Workload, tmp_path: Path) -> None:
    locustfile = tmp_path / "other.py"
    locustfile.write_text(OTHER_FOURSTEP)
    run = tmp_path / "run"
    options = ["--workload", str(workload.path), "--host", "null:", "--run-dir", str(run)]
    swarm.start_master(*options, workers=1)
    swarm.start_worker(locustfile)
    assert swarm.master.end() == 3, swarm.master.said
    assert re.search(r"error: worker `\S+` runs fourstep 9\.9, the master 0\.", swarm.master.said)
    assert Run(run).document["ended_by"] == "not-begun"


JUNK: list[Any] = [None, 7, "text", [1], {"run_id": 1}, {b"x": None}, {"state": {}}]
LOCUSTS = ("client_ready", "heartbeat", "stats", "exception", "logs", "spawning_complete", "quit")
OURS = (messages.PONG, messages.READY, messages.DONE, messages.GO, messages.ASSIGN)


@contextmanager
def stranger(port: str, name: bytes) -> Iterator[zmq.Socket[bytes]]:
    """Somebody who knows Locust's protocol and no more."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, name)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDTIMEO, 5_000)
    socket.connect(f"tcp://127.0.0.1:{port}")
    try:
        yield socket
    finally:
        socket.close()
        context.term()


def message(kind: object, data: object, name: str) -> bytes:
    """As Locust's own; importing those would patch this process."""
    packed: bytes = msgpack.dumps((kind, data, name))
    return packed


def send_junk(socket: zmq.Socket[bytes], *names: str) -> None:
    for bytes_ in (b"", b"\xc1", b"\x93\x01", b"\x91\xa1x", b"\xff" * 40):
        socket.send(bytes_)
    socket.send_multipart([b"x", b"y"])
    for name in names:
        for kind in (*LOCUSTS, *OURS, "no such", 7):
            for data in JUNK:
                socket.send(message(kind, data, name))


def test_strangers_change_nothing(swarm: Swarm, ten_seconds: Workload, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--workload", str(ten_seconds.path), "--host", "null:", "--run-dir", str(run)]
    swarm.start_master(*options)
    with stranger(swarm.port, b"first") as first, stranger(swarm.port, b"second") as second:
        send_junk(first, "first")
        # This one joins, and then says nothing that a worker would.
        second.send(message("client_ready", "2.47.0", "second"))
        wait_for(lambda: "no such" in swarm.master.said)
        for _ in range(2):
            swarm.start_worker()
        wait_for(lambda: samples_flow(run))
        document = Run(run).document
        workers = re.findall(r"(\S+) \(index \d+\) reported as ready", swarm.master.said)
        for name in {"first", "second", *workers}:
            send_junk(first, name)
            done = {"run_id": document["run_id"], "shard": 0, "statements": 1, "varied": 0}
            done |= {"rows_written": 1, "files": [], "failure": "disk full"}
            assert messages.checked(messages.DONE, done) is not None
            first.send(message(messages.DONE, done, name))
        send_junk(second, "second")
        assert swarm.master.end() == 0, swarm.master.said
    assert [worker["worker"] for worker in Run(run).document["workers"]] == ["w0", "w1"]
    assert_all_ok(Run(run), 200)
    # On a machine that is held up, Locust notices its silence before we do.
    silent = ("`second` does not answer as a worker", "Worker second failed to send heartbeat")
    assert any(words in swarm.master.said for words in silent)


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "begun": lambda run: (run / "run.json").exists(),
    "playing": samples_flow,
    "closing": lambda run: any((run / "samples").glob("*.parquet")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_master_leaves_a_readable_run(
    moment: str, swarm: Swarm, workload: Workload, long: Workload, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    replayed = workload if moment == "closing" else long
    swarm.start_master("--workload", str(replayed.path), "--host", "null:", "--run-dir", str(run))
    for _ in range(2):
        swarm.start_worker()
    wait_for(lambda: MOMENTS[moment](run))
    swarm.master.process.kill()
    assert_cut_off(run, tmp_path / "out", planned=len(replayed))
    if moment == "playing":
        assert [worker.end() for worker in swarm.workers] == [3, 3]
        assert all("the master is silent" in worker.said for worker in swarm.workers)
        # They sent nothing more and wrote what they had.
        names = sorted(path.name for path in (run / "samples").iterdir())
        assert names == ["w0.parquet", "w1.parquet"]
        assert Run(run).ledger().unknown == 0
        assert Run(run).ledger().cancelled > 5_000
        assert_cut_off(run, tmp_path / "again", planned=len(long))


def test_a_killed_run_without_workers_is_readable(ten_seconds: Workload, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--headless", "--workload", str(ten_seconds.path), "--host", "null:"]
    machine = Machine(tmp_path / "m", "-f", str(LOCUSTFILE), *options, "--run-dir", str(run))
    try:
        wait_for(lambda: samples_flow(run))
    finally:
        machine.stop()
    assert 0 < Run(run).ledger().ok < 200
    assert_cut_off(run, tmp_path / "out", planned=200)


def assert_cut_off(run: Path, out: Path, *, planned: int) -> None:
    opened = Run(run)
    assert not opened.finished
    assert opened.ledger().balanced
    assert opened.ledger().planned == planned
    assert "not ended" in as_text(inspect(run))
    verdict = write_report(run, out=out)
    assert verdict.verdict == "INVALID"
    assert "cut off" in verdict.reason


def test_a_master_that_is_busy_for_six_seconds_is_waited_for(
    swarm: Swarm, ten_seconds: Workload, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    swarm.start_master(
        "--workload", str(ten_seconds.path), "--host", "null:", "--run-dir", str(run)
    )
    for _ in range(2):
        swarm.start_worker()
    wait_for(lambda: samples_flow(run))
    swarm.master.process.send_signal(signal.SIGSTOP)
    time.sleep(6)
    swarm.master.process.send_signal(signal.SIGCONT)
    assert swarm.master.end() == 0, swarm.master.said
    assert_all_ok(Run(run), 200)
