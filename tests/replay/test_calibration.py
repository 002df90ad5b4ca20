"""What `fourstep calibrate` measures and keeps, and what runs make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.artefact import write_json
from replay.calibration import compared, this_machine
from replay.run import Run
from replay.synthetic import write_synthetic
from tests.replay.planned import write_workload

PLANNED = {"peak_rate_per_s": 1_000, "peak_sessions": 100}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where calibrations are kept, for this test and the processes it starts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fourstep" / "calibration.json"


def keep(
    path: Path, *, ceiling: Any = 2_000, held: int = 200, tried: int = 200, **other: Any
) -> None:
    path.parent.mkdir(parents=True)
    found = {"statements_per_s": ceiling, "held": held, "tried": tried}
    document = {**this_machine(), "measured_at": "2026-03-01T00:00:00+00:00"}
    write_json(path, document | {"targets": {"null": found}} | other)


def fourstep(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reports", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


NEARNESS: dict[str, tuple[dict[str, int], int, int]] = {
    "far": ({"ceiling": 2_000}, 1, 0),
    "at the share itself": ({"ceiling": 1_429}, 1, 0),
    "near in rate": ({"ceiling": 1_428}, 1, 1),
    "split over workers": ({"ceiling": 1_428}, 2, 0),
    "near in sessions": ({"held": 140, "tried": 200}, 1, 1),
    "all that was tried were held": ({"held": 100, "tried": 100}, 1, 0),
    "more sessions than were tried": ({"held": 99, "tried": 99}, 1, 1),
    "sessions over workers": ({"held": 99, "tried": 99}, 2, 0),
    "near in both": ({"ceiling": 100, "held": 10}, 1, 2),
}


@pytest.mark.parametrize(("kept", "workers", "warnings"), NEARNESS.values(), ids=NEARNESS.keys())
def test_a_run_near_the_ceiling_is_warned(
    kept: dict[str, int], workers: int, warnings: int, state: Path
) -> None:
    keep(state, **kept)
    found = compared("null", PLANNED, workers=workers)
    assert found is not None
    assert len(found["warnings"]) == warnings


def test_what_has_no_timetable_has_no_rate_to_compare(state: Path) -> None:
    keep(state, ceiling=1, held=1, tried=1)
    untimed = {"peak_rate_per_s": None, "peak_sessions": 2}
    found = compared("null", untimed, workers=1)
    assert found is not None
    assert found["warnings"] == ["2 open sessions a worker, and one held 1 of 1"]


OTHERS: dict[str, dict[str, Any]] = {
    "of another machine": {"host": "elsewhere"},
    "of another form": {"schema_version": 0},
    "of other targets": {"targets": {}},
    "that makes no sense": {"ceiling": "many"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_a_calibration_is_of_no_use(other: dict[str, Any], state: Path) -> None:
    assert compared("null", PLANNED, workers=1) is None
    keep(state, **other)
    assert compared("null", PLANNED, workers=1) is None


def test_the_warning_is_told_and_kept(state: Path, tmp_path: Path) -> None:
    keep(state, ceiling=10)
    workload = write_workload(
        tmp_path / "w", [(n / 100, f"s{n % 5}", "SELECT 1") for n in range(50)]
    )
    ended = fourstep(
        *("run", "--workload", workload.path, "--host", "null:", "--run-dir", tmp_path / "run")
    )
    assert ended.returncode == 0, ended.stderr
    kept = Run(tmp_path / "run").document["calibration"]
    assert (kept["statements_per_s"], kept["held"]) == (10, 200)
    (warning,) = kept["warnings"]
    assert warning == "50 statements/s a worker, and one reached 10/s"
    assert warning in ended.stderr


def test_calibrate_measures_and_keeps(state: Path) -> None:
    ended = fourstep("calibrate", "--seconds", "0.2", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document == json.loads(state.read_text())
    assert document["cpus"] == os.cpu_count()
    assert document["versions"]["locust"]
    assert list(document["targets"]) == ["null", "postgresql"]
    for kind, found in document["targets"].items():
        assert found["statements_per_s"] > 0
        assert [at["share"] for at in found["late"]] == [0.1, 0.25, 0.5, 0.7, 0.9]
        assert all(0 <= at["p50_us"] <= at["p99_us"] <= at["max_us"] for at in found["late"])
        assert 0 <= found["held"] <= found["tried"]
        assert f"{kind}: one worker, flat out" in ended.stderr
        assert compared(kind, PLANNED, workers=1_000) is not None


def test_a_synthetic_workload_asks_as_told(tmp_path: Path) -> None:
    due_us = np.array([20, 0, 10], dtype=np.int64)
    session = np.array([1, 2, 1], dtype=np.int64)
    workload = write_synthetic(tmp_path / "w", due_us=due_us, session=session, question="SELECT {}")
    rows = workload.statements().to_pylist()
    assert [(row["session_id"], row["sql"]) for row in rows] == [
        ("s2", "SELECT 1"),
        ("s1", "SELECT 2"),
        ("s1", "SELECT 0"),
    ]
    begins = rows[0]["started_at"]
    assert [(row["started_at"] - begins).microseconds for row in rows] == [0, 10, 20]
    assert len({row["template_id"] for row in rows}) == 1
