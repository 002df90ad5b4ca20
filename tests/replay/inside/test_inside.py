"""A real run against a server that writes a history, then read from inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from replay.inside import patience
from replay.inside.joined import TIMES
from reports.cli import fourstep
from tests.locusts import Ended, judged, replay
from tests.replay.planned import write_workload

SESSIONS, STATEMENTS = 4, 40


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_AGAIN_S", 0.05)


@pytest.fixture
def run(history: str, tmp_path: Path) -> Ended:
    said = [
        (n / 40, f"s{n % SESSIONS}", f"SELECT asked({n % 3 * 0.01})" if n % 10 else "SELECT 1")
        for n in range(STATEMENTS)
    ]
    workload = write_workload(tmp_path / "workload", said, kind="select")
    return replay(tmp_path, "--workload", str(workload.path), "--host", history, "--writes")


def change(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def read(result: Ended, url: str, *options: str) -> dict[str, Any]:
    command = ["inside", str(result.run.path), "--host", url, "--json", *options]
    ended = CliRunner().invoke(fourstep, command, catch_exceptions=False)
    server: dict[str, Any] = json.loads(ended.stdout)
    assert ended.exit_code == (0 if server["source"] else 4), ended.output
    assert json.loads((result.run.path / "run.json").read_text())["server"] == server
    return server


def test_figures_of_each_statement_are_laid_beside_its_sample(run: Ended, history: str) -> None:
    samples = {row["statement_id"]: row for row in run.run.samples().to_pylist()}
    assert len({row["backend_pid"] for row in samples.values()}) == SESSIONS
    with psycopg.connect(history) as connection:
        # Whoever else is there is no part of it.
        connection.execute("SELECT asked(0.01)")
    server = read(run, history)
    told = STATEMENTS - STATEMENTS // 10
    assert (server["source"], server["joined"]) == ("sys_query_history", told)
    assert server["sample_reasons"] == {"no row of the server": STATEMENTS // 10}
    assert server["versions"] == ["1.0.100"]
    assert not server["changed"]
    rows = pq.read_table(run.run.path / "server" / "queries.parquet").to_pylist()
    error_us = server["clock"]["error_us"]
    for row in rows:
        sample = samples[row["statement_id"]]
        assert (row["sent_us"], row["done_us"]) == (sample["sent_us"], sample["done_us"])
        # The server's time lies within ours.
        assert row["started_us"] >= row["sent_us"] - error_us - 1
        assert row["ended_us"] <= row["done_us"] + error_us + 1
        assert row["elapsed_us"] >= row["statement_id"] % 3 * 10_000
        assert row["elapsed_us"] == sum(row[name] for name in (*TIMES[1:], "return_us"))
        assert (row["returned_rows"], row["returned_bytes"]) == (None, 8)
        assert row["result_cache_hit"] == (row["statement_id"] % 3 == 0)
        assert row["short_query_accelerated"] is None


def test_what_cannot_be_read_is_named_with_its_remedy_and_the_rest_is_there(
    run: Ended, history: str
) -> None:
    server = read(run, history)
    failed = {each["what"]: each for each in server["failures"]}
    assert failed.keys() == {"concurrency scaling", "scans"}
    assert "svcs_concurrency_scaling_usage" in failed["concurrency scaling"]["why"]
    usage = json.loads((run.run.path / "server" / "usage.json").read_text())
    assert usage["scanned_bytes"] is None
    with psycopg.connect(history, autocommit=True) as connection:
        connection.execute("CREATE ROLE nosy LOGIN")
        try:
            connection.execute(
                "CREATE TABLE svl_s3query_summary AS SELECT now() AS starttime, now() AS endtime,"
                " 3 AS s3_scanned_bytes"
            )
            server = read(run, history.replace("//postgres@", "//nosy@"))
        finally:
            connection.execute("DROP ROLE nosy")
    failed = {each["what"]: each for each in server["failures"]}
    assert "permission denied" in failed["history"]["why"]
    assert "SYSLOG ACCESS" in failed["history"]["hint"]
    # What an earlier reading left stays, and can be reported.
    assert server["with_figures"] == STATEMENTS - STATEMENTS // 10
    assert judged(run).document["server"]["split"]["n"] == server["with_figures"]
    change(history, "DELETE FROM sys_query_history WHERE query_id > 3")
    server = read(run, history)
    assert server["with_figures"] == STATEMENTS - STATEMENTS // 10
    assert ["fewer statements" in each["why"] for each in server["failures"]].count(True) == 1


def test_a_run_whose_server_says_nothing_can_be_reported(run: Ended, history: str) -> None:
    change(history, "DROP TABLE sys_query_history CASCADE")
    server = read(run, history)
    assert server["source"] is None
    assert judged(run).document["server"]["split"] is None
