"""Faults of the target and of the network to it: what a run records, and what its verdict says."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg
import pytest

from replay.target import cluster
from replay.target.embedded import EmbeddedServer
from reports.verdict import Answer
from tests.locusts import (
    Ended,
    assert_balanced,
    ended,
    judged,
    locust,
    replay,
    wait_for,
    wait_for_samples,
)
from tests.proxy import Network, Proxy
from tests.replay.planned import write_workload

LOST = {"08006", "57P01", "57P02"}
REFUSED = {"08001", "57P03"}


def errors(result: Ended) -> Counter[str]:
    return Counter(row["sqlstate"] for row in rows(result) if row["status"] == "error")


def rows(result: Ended) -> list[dict[str, Any]]:
    return sorted(result.run.samples().to_pylist(), key=lambda row: row["statement_id"])


def last_status(result: Ended) -> set[str]:
    """How the last statements of all sessions ended."""
    return set({row["session_id"]: row["status"] for row in rows(result)}.values())


def test_a_server_that_is_killed_and_comes_back_costs_the_statements_of_its_absence(
    tmp_path: Path,
) -> None:
    said = [(n / 20, f"s{n % 8}", f"SELECT {n}") for n in range(160)]
    workload = write_workload(tmp_path / "w", said)
    with EmbeddedServer("killed") as server:
        options = ["--workload", str(workload.path), "--host", server.url()]
        with locust(tmp_path, *options) as process:
            wait_for_samples(tmp_path)
            kill(server)
            time.sleep(1)
            data = server.directory / "data"
            restart = ("restart", "-D", data, "-l", data / "again.log")
            cluster.run_program(cluster.binaries() / "pg_ctl", *restart)
            result = ended(process, tmp_path)
    assert result.code == 0, result.text
    assert_balanced(result, 160)
    assert result.ledger["ok"] + result.ledger["error"] == 160
    states = errors(result)
    assert states.keys() <= LOST | REFUSED
    # No session lost more than one connection, and each found the server again.
    assert 0 < sum(states[state] for state in LOST) <= 8
    assert last_status(result) == {"ok"}
    verdict = judged(result)
    assert verdict.verdict is Answer.NO_GO
    assert "failed on 2.0" in verdict.reason
    assert "connection lost or not made" in verdict.reason


def kill(server: EmbeddedServer) -> None:
    """As `kill -9`; returns when all its processes are gone."""
    postmaster = psutil.Process(
        int((server.directory / "data" / "postmaster.pid").read_text().split()[0])
    )
    family = [postmaster, *postmaster.children()]
    postmaster.kill()
    wait_for(lambda: not any(process.is_running() for process in family))


def test_a_target_that_falls_silent_ends_every_statement_and_every_login(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    said = [(n / 8, f"s{n % 4}", f"SELECT {n}") for n in range(40)]
    said += [(4 + n / 8, f"late{n % 4}", f"SELECT {n}") for n in range(16)]
    workload = write_workload(tmp_path / "w", sorted(said))
    with Proxy(embedded_empty.directory) as proxy:
        options = ["--workload", str(workload.path), "--host", proxy.url]
        with locust(tmp_path, *options, "--statement-timeout", "2") as process:
            wait_for_samples(tmp_path)
            proxy.network = Network.SILENT
            result = ended(process, tmp_path)
    assert result.code == 0, result.text
    assert_balanced(result, 56)
    assert result.ledger["timeout"] == 4
    assert errors(result).keys() == {"08001"}
    assert result.ledger["ok"] + 4 + errors(result)["08001"] == 56
    late = [row for row in rows(result) if row["session_id"].startswith("late")]
    assert {row["error"] for row in late} == {"no answer to the login"}
    verdict = judged(result)
    assert verdict.verdict is Answer.NO_GO
    assert "4 × no answer in time" in verdict.reason
    assert "connection lost or not made" in verdict.reason


@pytest.mark.parametrize(
    ("network", "cut_s", "status", "words"),
    [
        (Network.SILENT, 9, "timeout", "4 × no answer in time"),
        (Network.BROKEN, 1, "error", "connection lost or not made"),
    ],
    ids=["silent", "broken"],
)
def test_sessions_go_on_when_a_network_that_was_cut_is_whole_again(
    network: Network,
    cut_s: float,
    status: str,
    words: str,
    embedded_empty: EmbeddedServer,
    tmp_path: Path,
) -> None:
    said = [(n / 8, f"s{n % 4}", f"SELECT {n}") for n in range(int(8 * (cut_s + 5)))]
    workload = write_workload(tmp_path / "w", said)
    with Proxy(embedded_empty.directory) as proxy:
        options = ["--workload", str(workload.path), "--host", proxy.url]
        with locust(tmp_path, *options, "--statement-timeout", "2") as process:
            wait_for_samples(tmp_path)
            proxy.network = network
            time.sleep(cut_s)
            proxy.network = Network.WHOLE
            result = ended(process, tmp_path)
    assert result.code == 0, result.text
    assert_balanced(result, len(said))
    # The first of each session met the cut, and none of them the other's end.
    first = {
        row["session_id"]: row["status"] for row in reversed(rows(result)) if row["status"] != "ok"
    }
    assert first == {f"s{n}": status for n in range(4)}
    assert last_status(result) == {"ok"}
    assert not result.ledger["cancelled"]
    verdict = judged(result)
    assert verdict.verdict is Answer.NO_GO
    assert words in verdict.reason


def test_connections_refused_beyond_a_limit_are_errors_and_the_others_go_on(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as session:
        session.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 3")
    said = [(n / 10, f"s{n % 8}", f"SELECT {n}") for n in range(40)]
    workload = write_workload(tmp_path / "w", said)
    options = ["--workload", str(workload.path), "--host", embedded_empty.url(user="few")]
    result = replay(tmp_path, *options)
    assert result.code == 0, result.text
    assert_balanced(result, 40)
    assert errors(result).keys() == {"53300"}
    assert result.ledger["ok"] >= 15
    assert result.ledger["ok"] + errors(result)["53300"] == 40
    verdict = judged(result)
    assert verdict.verdict is Answer.NO_GO
    assert f"{errors(result)['53300']} × too many connections" in verdict.reason


def test_a_target_ten_times_slower_is_seen_by_its_users_and_not_by_the_tool(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    said = [(n / 200, f"s{n % 10}", "SELECT pg_sleep(0.1)") for n in range(250)]
    workload = write_workload(tmp_path / "w", said, duration_us=10_000)
    options = ["--workload", str(workload.path), "--host", embedded_empty.url()]
    result = replay(tmp_path, *options, "--lag-budget-ms", "500")
    assert result.code == 0, result.text
    assert_balanced(result, 250)
    samples = result.run.samples().sort_by([("statement_id", "ascending")])
    due, sent, done, ready = (
        samples[f"{name}_us"].to_numpy() for name in ("due", "sent", "done", "ready")
    )
    response, service = (done - due).reshape(25, 10), (done - sent).reshape(25, 10)
    # A session's statements wait for each other: each adds what its answer takes beyond its turn.
    assert (response[-1] >= service.sum(axis=0) - (due[-10:] - due[:10])).all()
    assert median(response[-1]) > 5 * median(service[-1])
    assert median(service[-1]) < 2 * median(service[0])
    lag = sent - due.clip(min=ready)
    assert sorted(lag)[-3] < median(response[-1]) / 5
    verdict = judged(result)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "slower than 1.0" in verdict.reason
    assert "would fail, but 1.0's timings come from production" in verdict.reason
    fidelity = verdict.document["fidelity"]
    assert fidelity["backlogged_share"] > 0.3
    assert fidelity["offered_over_target"] == 1
