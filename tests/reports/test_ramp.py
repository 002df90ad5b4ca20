"""`fourstep ramp` on a server whose capacity is known, its words, and its options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.errors import UsageError
from replay.synthetic import write_synthetic
from replay.target.embedded import EmbeddedServer
from reports.charts.knee import draw_knee
from reports.charts.style import figure_to_svg
from reports.cli import fourstep, main
from reports.gates import load_gates
from reports.ramp.headroom import conclude
from reports.ramp.step import floor_of_gates, step_of
from reports.ramp.verb import scales_of
from reports.render.ramp import ramp_page, ramp_text
from reports.report import write_report
from reports.stats.knee import log_over
from tests.reports.synthetic import Plan, write_both
from tests.slots import serve_slots

GATES = """
schema = 1
[[gate]]
id = "p50"
metric = "latency.response"
stat = "p50"
max = "700ms"
min_samples = 20
"""
SMALL = Plan(statements=600, templates=2, seconds=300)
ERRORS = """
[[gate]]
id = "errors"
metric = "errors.new"
max = 0
"""
ASKED = {
    "window": ["2024-06-11T09:00:00+00:00", "2024-06-11T10:00:00+00:00"],
    "gates": "gates.toml",
}


def step(scale: float, outcome: str, **more: Any) -> dict[str, Any]:
    """A step as `step_of` gives it."""
    return {
        "number": round(scale), "scale": scale, "seconds": 60.0, "run": "x", "outcome": outcome,
        "reason": f"why it is {outcome}", "verdict": "GO", "asked_per_s": 10 * scale,
        "answered_per_s": 9.5 * scale, "p95_us": 120_000.0 * scale,
        "pressure": 1.0 if outcome == "fail" else -1.0,
        "gate": {"id": "p95", "unit": "us", "observed": 1e5, "limit": 3e5, "interval": [9e4, 2e5]},
        "cost": {"run": 1.0, "per_1000": 0.02, "monthly": None}, "needed": 0, "near_ceiling": [],
    } | more  # fmt: skip


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """Twenty statements a second for four seconds, over many sessions."""
    number = np.arange(80)
    path = tmp_path / "w"
    write_synthetic(path, due_us=number * 50_000, session=number % 40, question="SELECT work({})")
    (tmp_path / "gates.toml").write_text(GATES)
    return path


def ramp(workload: Path, *options: str) -> subprocess.Popen[str]:
    place = workload.parent
    command = [sys.executable, "-m", "reports", "ramp", "--workload", str(workload)]
    command += ["--gates", str(place / "gates.toml"), "-o", str(place / "out"), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + 240
    while not seen():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_the_right_bracket_also_when_interrupted_and_gone_on_with(
    workload: Path, embedded_empty: EmbeddedServer
) -> None:
    # Four slots of 50 ms are 80 statements a second: four times what was captured.
    url = serve_slots(embedded_empty, slots=4, held_s=0.05)
    out = workload.parent / "out"
    options = ["--host", url, "--scales", "1,2,12", "--cool-down", "100ms", "--json"]
    # Longer than the workload, which begins again.
    options += ["--lag-budget-ms", "20000", "--step-time", "6s"]
    first = ramp(workload, *options)
    wait_for(lambda: (out / "steps" / "2" / "run" / "run.json").is_file(), first)
    os.killpg(first.pid, signal.SIGINT)
    printed, told = first.communicate(timeout=240)
    assert first.returncode == 130, told
    kept = json.loads(printed)
    assert [each["outcome"] for each in kept["steps"]] == ["pass"]
    assert kept["ended_by"] == "interrupted"

    again = ramp(workload, *options)
    printed, told = again.communicate(timeout=240)
    assert again.returncode == 0, told
    document = json.loads(printed)
    assert document == json.loads((out / "ramp.json").read_text())
    assert [each["outcome"] for each in document["steps"]] == ["pass", "pass", "fail"]
    assert document["steps"][0] == kept["steps"][0]
    assert [step["seconds"] for step in document["steps"]] == [6.0] * 3
    assert 18 < document["steps"][0]["asked_per_s"] < 22
    assert (document["knee"]["low"], document["knee"]["high"]) == (2, 12)
    assert 2 < document["knee"]["value"] < 12
    assert document["verdict"] == "KNEE"
    assert (out / "set-aside").is_dir()
    assert (out / "ramp.html").is_file()

    words = ["ramp", "--workload", str(workload), "-o", str(out), *options, "--seed", "2"]
    with pytest.raises(UsageError, match="was begun with other options"):
        fourstep.main(words, standalone_mode=False)


def test_the_ceiling_of_the_harness_is_not_a_knee(workload: Path) -> None:
    options = ["--host", "null:", "--lag-budget-ms", "0.0001", "--step-time", "4s"]
    process = ramp(workload, *options)
    printed, told = process.communicate(timeout=240)
    assert process.returncode == 3, told
    words = " ".join(printed.split())
    assert "INVALID beyond: at 1× " in words
    assert "not a knee of 2.0" in words
    assert words.split("INVALID page:")[1:] != []


@pytest.mark.parametrize(
    ("plan", "limit", "outcome"),
    [
        (SMALL, "1h", "pass"),
        (SMALL, "1us", "fail"),
        # What fails in a run that cannot be trusted fails for whatever reason.
        (replace(SMALL, lag_us=900_000, new_errors=50), "1us", "invalid"),
    ],
    ids=["pass", "fail", "invalid"],
)
def test_a_step_is_what_its_gates_say_unless_its_run_is_not_valid(
    plan: Plan, limit: str, outcome: str, tmp_path: Path
) -> None:
    run = write_both(tmp_path, plan)
    gates = tmp_path / "gates.toml"
    gates.write_text(GATES.replace("700ms", limit) + ERRORS)
    verdict = write_report(run, gates=gates, out=tmp_path / "report")
    warned = {"calibration": {"warnings": ["9,000 statements/s a worker"]}}
    found = step_of(verdict, json.loads((run / "run.json").read_text()) | warned)
    assert found["outcome"] == outcome
    assert found["near_ceiling"] == ["9,000 statements/s a worker"]
    judged = {gate.id: gate for gate in verdict.gates}
    p50, worst = judged["p50"], judged[found["gate"]["id"]]
    limited = {gate.id: log_over(gate.observed or 0, gate.limit or 0) for gate in (p50, worst)}
    assert found["pressure"] == pytest.approx(max(limited.values()))
    ledger = verdict.document["ledger"]
    assert found["asked_per_s"] == pytest.approx(ledger["planned"] / plan.seconds, rel=0.01)


@pytest.mark.parametrize(
    ("steps", "verdict", "words"),
    [
        ([step(1, "pass"), step(2, "fail")], "KNEE", "survives 1.41× [1, 2] of the load"),
        ([step(1, "pass"), step(3, "pass")], "SURVIVES", "survives 3× of the load"),
        ([step(1, "fail")], "BREAKS", "breaks at 1× of the load"),
        ([step(1, "pass"), step(2, "invalid")], "SURVIVES", "INVALID beyond: at 2× why it is"),
        ([step(1, "pass", near_ceiling=["9/s"])], "SURVIVES", "INVALID beyond: at 1× 9/s"),
        ([step(1, "invalid")], "INVALID", "nothing can be said of the load"),
        ([step(1, "undecided")], "INCONCLUSIVE", "undecided at 1×: why it is undecided"),
    ],
    ids=["knee", "survives", "breaks", "ceiling", "near", "invalid", "undecided"],
)
def test_headroom_in_words(steps: list[dict[str, Any]], verdict: str, words: str) -> None:
    document = conclude(steps, ASKED, ended_by="done")
    assert document["verdict"] == verdict
    assert words in document["headroom"]
    assert "Tuesday, 2024-06-11 from 09:00 UTC" in document["headroom"]


def test_text_and_page_hold_whatever_the_steps_are() -> None:
    reason = "<script>alert(1)</script> " + "word " * 400
    steps = [step(n, "pass" if n < 30 else "fail", reason=reason) for n in range(1, 31)]
    document = conclude(steps, ASKED, ended_by="interrupted")
    text = ramp_text(document, page=Path("out/ramp.html"))
    assert len(text.splitlines()) <= 24
    assert text.splitlines()[-1] == "KNEE  page: out/ramp.html"
    title = document["headroom"]
    svg = figure_to_svg(draw_knee(document, title=title), name="knee", description=title)
    page = ramp_page(document, svg)
    assert "<script>alert" not in page
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scales", "2,1"], "is not a list of rising scales"),
        (["--scales", "0,1"], "is not a list of rising scales"),
        (["--bisect", "1..2..3"], "is not a list of rising scales"),
        (["--bisect", "1..8", "--scales", "1"], "two ways to climb"),
        (["--run-dir", "x"], "`--run-dir` is set for each run"),
        (["-t5s"], "`-t` is set for each run"),
        (["--gates", "nowhere.toml"], "`nowhere.toml` cannot be read as TOML"),
        (["--config", "nowhere.toml"], "`nowhere.toml` cannot be read as TOML"),
        (["--cool-down", "soon"], "`--cool-down soon` is not a time"),
        (["--host", "postgresql://me:secret@localhost/db"], "holds a password"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(
    options: list[str],
    words: str,
    workload: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = workload.parent / "out"
    base = ["fourstep", "ramp", "--workload", str(workload), "--host", "null:", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", [*base, *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert "secret" not in told
    assert not out.exists()


def test_a_directory_of_something_else_is_left_alone(
    workload: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["fourstep", "ramp", "--workload", str(workload), "--host", "null:"]
    monkeypatch.setattr(sys, "argv", [*base, "-o", str(workload)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "holds something else" in capsys.readouterr().err


def test_the_gates_that_ship_are_read_and_say_how_many_statements_they_need() -> None:
    shipped = load_gates(Path("reports/ramp.toml").resolve())
    assert floor_of_gates(shipped.gates) == 2_000
    assert scales_of("--scales", "1,1.5") == (1, 1.5)
