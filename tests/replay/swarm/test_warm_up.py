"""Each template once before the run, on a real server; and nothing of it in the run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from replay.errors import UsageError
from replay.run import Run
from replay.target.embedded import EmbeddedServer
from tests.locusts import BOUND_S, locust, no_statement_is_left, ports, replay, wait_for
from tests.replay.planned import write_workload

SAID = [
    (0.0, "a", "SELECT 1"),
    (0.1, "a", "SELECT 2"),
    (0.1, "b", "SELECT x FROM nowhere"),
    (0.2, "b", "BEGIN"),
    (0.3, "b", "SELECT 1 FROM pg_class LIMIT 3"),
    (0.4, "b", "COMMIT"),
    (0.4, "b", "DELETE FROM pg_class"),
    (0.5, "c", "SELECT 1 FROM pg_class, pg_class AS other LIMIT 3"),
    (0.5, "c", "DEALLOCATE ALL"),
]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "workers"])
def test_each_template_is_sent_once_and_told_apart(
    processes: tuple[str, ...], embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    workload = write_workload(
        tmp_path / "w", SAID, unsupported=("SELECT 1 FROM pg_class, pg_class AS other LIMIT 3",)
    )
    options = ["--workload", str(workload.path), "--host", embedded_empty.url(), "--warm-up"]
    result = replay(tmp_path, *options, *ports(), *processes)
    assert result.code == 0, result.text
    rows = pq.read_table(result.run.path / "warm_up.parquet").to_pylist()
    ended = sorted((row["status"], row["sqlstate"], row["rows"]) for row in rows)
    assert ended == [("error", "42P01", None), ("ok", None, 1), ("ok", None, 3)]
    assert all(row["duration_us"] >= 0 <= row["sent_us"] for row in rows)
    told = result.run.document["warm_up"]
    assert (told["templates"], told["ok"], told["error"]) == (3, 2, 1)
    # The run has its own samples and nothing of the warm-up.
    ledger = result.ledger
    assert (ledger["planned"], ledger["ok"], ledger["error"]) == (9, 5, 1)
    assert ledger["skipped"] == {"may write: delete": 1, "unsupported": 1, "denied: deallocate": 1}
    assert result.run.samples().num_rows == 9
    assert sorted(path.name for path in result.run.path.iterdir()) == [
        "client.jsonl",
        "run.json",
        "samples",
        "warm_up.parquet",
    ]


def test_ctrl_c_while_warming_up_cancels_and_leaves_a_run_that_never_began(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    workload = write_workload(tmp_path / "w", [(0.0, "s", "SELECT pg_sleep(600)")])
    options = ["--workload", str(workload.path), "--host", embedded_empty.url(), "--warm-up"]

    def asleep() -> bool:
        question = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'"
        with psycopg.connect(embedded_empty.url()) as connection:
            return bool(connection.execute(question).fetchall())

    with locust(tmp_path, *options, *ports()) as process:
        wait_for(asleep)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert no_statement_is_left(embedded_empty)
    document = Run(tmp_path / "run").document
    assert document["ended_by"] == "not-begun"
    assert document["warm_up"]["error"] == 1
    assert document["ledger"]["unknown"] == 1


def test_a_run_that_is_told_both_does_not_begin(tmp_path: Path) -> None:
    result_text = ""
    with locust(tmp_path, "--warm-up", "--cold", "--host", "null:") as process:
        result_text, _ = process.communicate(timeout=BOUND_S)
    assert process.returncode == UsageError.exit_code, result_text
    assert "contradict each other" in result_text
