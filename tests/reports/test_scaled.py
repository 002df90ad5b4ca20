"""A scaled or hastened run against 1.0's log: each captured statement counts once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.workload import Workload
from reports.arms import build_arms
from reports.cost import estimate_cost
from reports.load import load
from reports.render.rows import facts, headline_rows
from reports.report import write_report
from tests.reports.synthetic import Plan, write_both, write_run

STATEMENTS, SECONDS = 4000, 400.0


def _plan(scale: float = 1, speed: float = 1, **others: Any) -> Plan:
    return Plan(statements=STATEMENTS, seconds=SECONDS, scale=scale, speed=speed, **others)


def _document(tmp_path: Path, plan: Plan, *, baseline: bool = False) -> dict[str, Any]:
    run = write_both(tmp_path, plan)
    other = None
    if baseline:
        other = write_run(tmp_path / "one", Workload(tmp_path / "workload"), _plan())
    return dict(write_report(run, baseline=other, out=tmp_path / "out").document)


def _throughput(document: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = document["headline"][-1]
    assert line["stat"] == "throughput"
    return line


@pytest.mark.parametrize(
    ("scale", "captured", "replayed"),
    [(1, 4000, 4000), (2, 4000, 8000), (2.5, 4000, 10_000), (0.5, 2000, 2000)],
)
def test_the_captured_arm_holds_each_statement_once(
    tmp_path: Path, scale: float, captured: int, replayed: int
) -> None:
    evidence = load(write_both(tmp_path, _plan(scale)))
    arms = build_arms(evidence, None)
    assert (len(arms.baseline), len(arms.candidate)) == (captured, replayed)
    durations = Workload(tmp_path / "workload").statements(["duration_us"])["duration_us"]
    assert np.isin(arms.baseline.values_us, durations.to_numpy()).all()


def test_copies_do_not_narrow_the_interval_of_the_captured_arm(tmp_path: Path) -> None:
    plain = _document(tmp_path / "a", _plan())["headline"][0]
    scaled = _document(tmp_path / "b", _plan(scale=3))["headline"][0]
    assert scaled["n"] == {"baseline": STATEMENTS, "candidate": 3 * STATEMENTS}
    assert scaled["baseline"] == plain["baseline"]


@pytest.mark.parametrize(("scale", "speed"), [(1, 1), (2, 1), (2.5, 1), (0.5, 1), (1, 4), (2, 2)])
def test_the_rate_of_1_0_is_the_captured_one_at_any_load(
    tmp_path: Path, scale: float, speed: float
) -> None:
    line = _throughput(_document(tmp_path, _plan(scale, speed)))
    assert line["baseline"] == pytest.approx(STATEMENTS / SECONDS, rel=0.03)
    assert line["candidate"] == pytest.approx(scale * speed * STATEMENTS / SECONDS, rel=0.03)
    assert line["load"] == pytest.approx(scale * speed, rel=0.01)
    assert line["ratio"] == pytest.approx(1, abs=0.02)
    assert line["interval"][0] <= line["ratio"] <= line["interval"][1]


@pytest.mark.parametrize(("scale", "speed"), [(1, 1), (2, 1), (1, 2)])
def test_all_loops_of_a_workload_are_compared_with_its_one_capture(
    tmp_path: Path, scale: float, speed: float
) -> None:
    once = _document(tmp_path / "once", _plan(scale, speed))
    document = _document(tmp_path / "looped", _plan(scale, speed, loops=6))
    line, before = _throughput(document), _throughput(once)
    for name in ("baseline", "candidate", "load"):
        assert line[name] == pytest.approx(before[name], rel=0.01)
    assert line["interval"][0] <= line["ratio"] <= line["interval"][1]
    for stat, alone in zip(document["headline"][:4], once["headline"], strict=False):
        assert stat["n"]["candidate"] == 6 * STATEMENTS * scale
        assert stat["baseline"] == alone["baseline"]
        assert stat["interval"][0] <= stat["ratio"] <= stat["interval"][1]
        # 1.0's part of the noise stays, 2.0's gets smaller.
        assert np.diff(stat["interval"]) < 1.1 * np.diff(alone["interval"])
    assert all(t["stats"]["p50"]["interval"] for t in document["templates"][:3])
    assert "the workload 6 times over" in facts(document)["replayed"]


def test_a_scaled_run_against_a_plain_one_is_told_by_the_load(tmp_path: Path) -> None:
    document = _document(tmp_path, _plan(scale=2), baseline=True)
    line = _throughput(document)
    assert line["load"] == pytest.approx(2, rel=0.02)
    assert line["ratio"] == pytest.approx(1, abs=0.02)
    assert document["headline"][0]["n"] == {"baseline": STATEMENTS, "candidate": 2 * STATEMENTS}


def test_both_arms_share_blocks_of_capture_time(tmp_path: Path) -> None:
    run = write_both(tmp_path, _plan(scale=2, speed=2))
    other = write_run(tmp_path / "one", Workload(tmp_path / "workload"), _plan())
    one = load(other)
    arms = build_arms(load(run, baseline=one), one)
    originals = arms.candidate.block[: len(arms.baseline)]
    assert (originals == arms.baseline.block).mean() > 0.999


def test_the_page_says_what_2_0_was_asked_for(tmp_path: Path) -> None:
    document = _document(tmp_path, _plan(scale=2))
    assert facts(document)["replayed"] == "8,000 statements replayed at 2.0 × the captured sessions"
    assert "replayed at 2.0 × the captured sessions" in (tmp_path / "out/report.html").read_text()
    row = next(row for row in headline_rows(document) if row["stat"] == "throughput")
    assert row["change"].endswith(", 2.00× load")
    assert any("2.00× the load of 1.0" in warning for warning in document["warnings"])


@pytest.mark.parametrize("workload", [True, False], ids=["from the capture", "workload gone"])
@pytest.mark.parametrize(("scale", "speed"), [(2, 1), (0.5, 1), (1, 4)])
def test_cost_per_1000_is_of_the_capture(
    tmp_path: Path, scale: float, speed: float, workload: bool
) -> None:
    run = write_both(tmp_path, _plan(scale, speed))
    if not workload:
        (tmp_path / "workload" / "manifest.json").unlink()
    config = tmp_path / "fourstep.toml"
    config.write_text("[cost]\nbaseline.monthly = 500\n")
    monthly = estimate_cost(load(run), config).statements_per_month
    assert monthly == pytest.approx(STATEMENTS / SECONDS * 3600 * 730, rel=0.02)
