"""Faults of workers: killed, blocked, late, out of disk; what is kept and what is said of it."""

from __future__ import annotations

import resource
import signal
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.verdict import Answer
from tests.locusts import (
    Ended,
    assert_balanced,
    ended,
    judged,
    locust,
    ports,
    wait_for,
    wait_for_samples,
)
from tests.replay.planned import write_workload

BLOCKING = """
import gevent
from gevent.monkey import get_original
from locust import events

from replay.swarm.register import register
from replay.swarm.shape import ReplayShape, ReplayUser

register(events)


@events.test_start.add_listener
def _(environment, **_):
    if getattr(environment.runner, "worker_index", None) == 0:
        gevent.spawn_later(4, get_original("time", "sleep"), 6)
"""


@pytest.fixture
def whole(tmp_path: Path) -> Workload:
    """Twelve seconds: 240 statements in 8 sessions that all go on to the end."""
    said = [(n / 20, f"s{n % 8}", f"SELECT {n}") for n in range(240)]
    return write_workload(tmp_path / "whole", said)


def workers_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_lost_ends_the_run_or_the_run_goes_on_without_it_as_told(
    number: signal.Signals,
    whole: Workload,
    long: Workload,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    policies = {"fail": long, "continue": whole}
    with ExitStack() as stack:
        processes = {}
        for policy, workload in policies.items():
            (tmp_path / policy).mkdir()
            options = ["--workload", str(workload.path), "--host", embedded_empty.url()]
            options += [*ports(), "--processes", "2", "--on-worker-loss", policy]
            options += ["--lag-budget-ms", "5000"]
            processes[policy] = stack.enter_context(locust(tmp_path / policy, *options))
        for policy, process in processes.items():
            wait_for_samples(tmp_path / policy, workers=2)
            workers_of(process.pid)[0].send_signal(number)
        results = {name: ended(each, tmp_path / name) for name, each in processes.items()}
    for result in results.values():
        assert result.code == 3, result.text
        files = sorted(path.suffix for path in (result.run.path / "samples").iterdir())
        if number == signal.SIGKILL:
            # The lost worker's stream, the other's samples, and those of whom nothing is known.
            assert files == [".arrows", ".parquet", ".parquet"]
            assert result.ledger["unknown"] > 0
        else:
            assert files == [".parquet", ".parquet"]
            assert result.ledger["unknown"] == 0
        assert sorted(worker["lost"] for worker in result.run.document["workers"]) == [False, True]
    assert_ended_for_it(results["fail"])
    assert_continued(results["continue"])


def assert_ended_for_it(result: Ended) -> None:
    assert_balanced(result, 6_000)
    assert result.run.document["ended_by"] == "worker-lost"
    assert result.ledger["cancelled"] > 0
    assert "INVALID: the run ended by worker-lost" in result.text
    verdict = judged(result)
    assert verdict.verdict is Answer.INVALID
    assert "1 of 2 workers lost, and the run ended for it" in verdict.reason


def assert_continued(result: Ended) -> None:
    assert_balanced(result, 240)
    assert result.run.document["ended_by"] == "done"
    gone = result.ledger["unknown"] + result.ledger["cancelled"]
    assert gone > 0
    assert result.ledger["ok"] + gone == 240
    left = next(each for each in result.run.document["workers"] if not each["lost"])
    assert left["rows_written"] == left["statements"] > 0
    assert "INCONCLUSIVE at best: a worker was lost" in result.text
    verdict = judged(result)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "1 of 2 workers lost" in verdict.reason
    assert f"{gone} statements of 240 with it" in verdict.reason
    assert verdict.document["fidelity"]["replayed_share"] == 1


def test_a_worker_that_blocks_or_comes_late_disturbs_no_session(
    whole: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    locustfile = tmp_path / "blocking.py"
    locustfile.write_text(BLOCKING)
    port = ports()
    (tmp_path / "late").mkdir()
    options = ["--workload", str(whole.path), "--host", embedded_empty.url(), "--processes", "2"]
    with locust(tmp_path, *options, *port, locustfile=locustfile) as process:
        wait_for_samples(tmp_path, workers=2)
        with locust(tmp_path / "late", "--worker", *port[2:4], locustfile=locustfile) as late:
            result = ended(process, tmp_path)
            wait_for(lambda: late.poll() is not None)
    # Locust took the blocked worker for lost and spread its users anew, twice.
    assert "setting state to missing" in result.text
    assert "3 workers connected" in result.text
    assert "came too late for this run, and idles" in result.text
    assert_balanced(result, 240)
    assert result.ledger["ok"] == 240, result.text
    document = result.run.document
    assert document["ended_by"] == "done"
    assert [worker["lost"] for worker in document["workers"]] == [False, False]
    # Each session from its first statement to its last over one connection, in order.
    by_session: dict[str, list[tuple[int, int]]] = {}
    for row in sorted(result.run.samples().to_pylist(), key=lambda row: row["seq"]):
        by_session.setdefault(row["session_id"], []).append((row["sent_us"], row["done_us"]))
    for times in by_session.values():
        assert times == sorted(times)
    assert max(worker["max_lag_us"] for worker in document["workers"]) > 4_000_000
    assert result.code == 3
    assert "p99 of the tool's lag is above --lag-budget-ms" in result.text
    verdict = judged(result)
    assert verdict.verdict is Answer.INVALID
    assert "the tool's own lag, p99" in verdict.reason


def test_a_disk_that_is_full_for_one_worker_ends_the_run_and_keeps_what_was_done(
    long: Workload, embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--workload", str(long.path), "--host", embedded_empty.url(), "--processes", "2"]
    with locust(tmp_path, *options, *ports()) as process:
        wait_for_samples(tmp_path, workers=2)
        # No file of this worker's may grow, as on a full disk.
        workers_of(process.pid)[0].rlimit(psutil.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        result = ended(process, tmp_path)
    assert result.code == 3, result.text
    assert "samples cannot be written" in result.text
    assert "Traceback" not in result.text
    assert_balanced(result, 6_000)
    assert result.run.document["ended_by"] == "disk-full"
    failures = [worker["failure"] for worker in result.run.document["workers"]]
    assert sorted(failure is None for failure in failures) == [False, True]
    assert result.ledger["ok"] > 0
    assert result.ledger["cancelled"] > 0
    assert result.ledger["unknown"] > 0
    verdict = judged(result)
    assert verdict.verdict is Answer.INVALID
    assert "samples could not be written: a worker's disk was full or gone" in verdict.reason
