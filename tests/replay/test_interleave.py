"""Two targets in turns: the order, what a failure keeps, and going on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from replay.errors import UsageError
from replay.interleave import interleave, order_of
from replay.run import Run
from replay.target.embedded import EmbeddedServer
from tests.replay.planned import write_workload


def test_every_second_round_is_turned_round() -> None:
    sides = "".join({"baseline": "A", "candidate": "B"}[side] for side, _ in order_of(4))
    assert sides == "ABBAABBA"
    assert [number for _, number in order_of(2)] == [1, 1, 2, 2]


def test_a_run_that_fails_ends_it_and_the_same_words_go_on(
    tmp_path: Path, embedded_empty: EmbeddedServer
) -> None:
    workload = write_workload(tmp_path / "w", [(0.1 * n, "s", "SELECT 1") for n in range(5)])
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS later")
    out = tmp_path / "out"
    words = [sys.executable, "-m", "reports", "interleave", "--workload", str(workload.path)]
    words += ["--baseline-host", "null:", "--host", embedded_empty.url("later")]
    words += ["--rounds", "1", "--cool-down", "10ms", "-o", str(out), "--json"]

    failed = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert failed.returncode == 4, failed.stderr
    document = json.loads(failed.stdout)
    assert [run["side"] for run in document["runs"]] == ["baseline"]
    assert document["ended_by"] == "failed"
    first = Run(out / "baseline" / "1").run_id

    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE later")
    gone_on = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert gone_on.returncode == 0, gone_on.stderr
    document = json.loads(gone_on.stdout)
    assert [(run["side"], run["number"]) for run in document["runs"]] == [
        ("baseline", 1),
        ("candidate", 1),
    ]
    assert document["ended_by"] == "done"
    assert document["report"] == [
        *("fourstep", "report", str(out / "candidate"), "--baseline", str(out / "baseline")),
        *("-o", str(out / "report")),
    ]
    assert Run(out / "baseline" / "1").run_id == first
    assert Run(out / "candidate" / "1").document["ledger"]["ok"] == 5

    words[words.index("--rounds") + 1] = "2"
    with pytest.raises(UsageError, match="rounds was `1`, not `2`"):
        interleave.main(words[4:], standalone_mode=False)
