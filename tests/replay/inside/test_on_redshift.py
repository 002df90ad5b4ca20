"""Whole runs on a stand-in for Redshift, which are read from inside when they end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from replay.redshift_like import Behaviour, RedshiftLike
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.inside import inside_figures
from tests.locusts import ended, judged, locust, replay, wait_for_samples
from tests.replay.planned import write_workload

SESSIONS = 6


@pytest.fixture
def backend() -> EmbeddedServer:
    return EmbeddedServer("inside")


@pytest.fixture
def queued(tmp_path: Path) -> Workload:
    """Six sessions ask at the same time for what takes 20 ms, in transactions."""
    said = [
        (n / 5, f"s{session}", text.format(n))
        for n in range(5)
        for session in range(SESSIONS)
        for text in ("BEGIN", "SELECT pg_sleep(0.02), {}", "COMMIT")
    ]
    return write_workload(tmp_path / "workload", said)


def test_the_split_of_a_run_adds_up_within_the_clocks_error(
    queued: Workload, backend: EmbeddedServer, tmp_path: Path
) -> None:
    told = Behaviour(slots=2, compile_ms=15, view_delay_s=1)
    with backend, RedshiftLike(backend.url(), told) as server:
        result = replay(tmp_path, "--workload", str(queued.path), "--host", server.url())
    assert result.code == 0, result.text
    inside = result.run.document["server"]
    assert inside["source"] == "sys_query_history", inside
    assert inside["settled"]
    assert inside["samples"] == result.ledger["ok"] == 3 * 5 * SESSIONS
    assert inside["with_figures"] == inside["samples"], inside
    assert inside["versions"] == [inside["before"]["redshift_version"]]
    assert not inside["changed"]
    figures = inside_figures(result.run)
    assert figures is not None
    assert figures["adds_up"]["outside"] == 0, figures["adds_up"]
    rows = pq.read_table(result.run.path / "server" / "queries.parquet").to_pylist()
    kinds = {row["statement_id"]: row["kind"] for row in result.run.samples().to_pylist()}
    asked = [row for row in rows if kinds[row["statement_id"]] == "select"]
    assert all(row["execution_us"] >= 20_000 for row in asked)
    # Six ask for two slots.
    assert sum(row["queue_us"] > 10_000 for row in asked) > 5
    verdict = judged(result)
    assert verdict.document["server"]["split"]["n"] == len(rows)
    assert {"execution", "queue"} <= {
        part["part"] for part in verdict.document["server"]["split"]["parts"] if part["share"] > 0.1
    }


def test_another_version_during_the_run_makes_it_invalid(
    queued: Workload, backend: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--workload", str(queued.path), "--speed", "0.2"]
    with (
        backend,
        RedshiftLike(backend.url(), Behaviour(view_delay_s=0)) as server,
        locust(tmp_path, *options, "--host", server.url()) as process,
    ):
        wait_for_samples(tmp_path)
        server.tell("version 1.0.999")
        result = ended(process, tmp_path)
    assert result.run.document["server"]["changed"], result.run.document["server"]
    verdict = judged(result)
    assert str(verdict.verdict) == "INVALID"
    assert "1.0.999" in verdict.reason


def test_ctrl_c_skips_the_reading_and_loses_nothing(
    queued: Workload, backend: EmbeddedServer, tmp_path: Path
) -> None:
    # Rows that never come would be waited for.
    options = ["--workload", str(queued.path)]
    with (
        backend,
        RedshiftLike(backend.url(), Behaviour(view_delay_s=600)) as server,
        locust(tmp_path, *options, "--host", server.url()) as process,
    ):
        assert process.stdout is not None
        assert any("Ctrl-C skips" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        began_s = time.monotonic()
        result = ended(process, tmp_path)
    assert result.code == 0, result.text
    # The wait would have been a minute.
    assert time.monotonic() - began_s < 50
    assert result.ledger["ok"] == 3 * 5 * SESSIONS
    inside = result.run.document["server"]
    assert any("skipped" in each["why"] for each in inside["failures"]), inside
