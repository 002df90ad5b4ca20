"""Several runs a side: pooled, judged together, each of them checked."""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from replay.errors import Unreadable, UsageError
from replay.workload import Workload
from reports.case import build_case
from reports.cli import fourstep
from reports.compare import Decision
from reports.cost import estimate_cost
from reports.explain import explain
from reports.load import load
from reports.pool import load_side, pool, runs_in
from reports.render.terminal import MOST_LINES, render_terminal
from reports.report import write_report
from reports.series import trace_over_time
from reports.stats import slices
from reports.verdict import Answer, Verdict
from tests.reports.synthetic import Plan, write_run, write_workload

PLAN = Plan(statements=3_000, digests=True, users=("ann", "bob"))
GATES = """schema = 1
[decision]
resamples = 400
[[gate]]
id = "p95"
metric = "latency.response"
stat = "p95"
max_ratio = 1.1
[[gate]]
id = "templates"
for_each = "template"
metric = "latency.response"
stat = "p50"
max_ratio = 1.25
min_harm = "1ms"
[[gate]]
id = "errors"
metric = "errors.new"
max = 3
[[gate]]
id = "same"
metric = "results.mismatches"
max = 2
[[gate]]
id = "throughput"
metric = "throughput"
min_ratio = 0.98
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload and three runs on either side of it, as `interleave` leaves them."""
    directory = tmp_path_factory.mktemp("pool")
    workload = write_workload(directory / "workload", PLAN)
    (directory / "gates.toml").write_text(GATES)
    for arm, start in (("baseline", 20), ("candidate", 40)):
        for number in (1, 2, 3):
            write(directory / arm / str(number), workload, replace(PLAN, seed=start + number))
    return directory


def write(path: Path, workload: Workload, plan: Plan, *, hour: int = 0) -> Path:
    """A run named by its place, which started at its number and `hour` hours."""
    run_id = f"{path.parent.name}-{path.name}"
    run = write_run(path, workload, replace(plan, run_id=run_id))
    document = json.loads((run / "run.json").read_text())
    document["started_at"] = f"2024-06-11T{hour:02}:0{path.name[0]}:00Z"
    (run / "run.json").write_text(json.dumps(document))
    return run


def judge(place: Path, runs: Sequence[Path], baseline: Sequence[Path], out: Path) -> Verdict:
    return write_report(*runs, baseline=baseline, gates=place / "gates.toml", out=out)


@pytest.fixture(scope="module")
def judged(place: Path) -> Verdict:
    """The verdict over all six runs; its pages are in `out` beside them."""
    return judge(place, [place / "candidate"], [place / "baseline"], place / "out")


def test_the_load_over_time_is_that_of_one_run(place: Path) -> None:
    side = load_side([place / "candidate"])
    case = build_case(side, None, decision=Decision(), cost=estimate_cost(side, None))
    series = trace_over_time(case)
    assert series is not None
    assert series.metrics["load"][1].mean() == pytest.approx(3_000 / 1_800, rel=0.05)


def test_columns_in_files_give_the_same_verdict(
    place: Path, judged: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*args: Any) -> mmap.mmap:
        made.append(args)
        return mmap.mmap(*args)

    monkeypatch.setattr(slices, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(slices, "mmap", counted)
    again = judge(place, [place / "candidate"], [place / "baseline"], place / "again")
    assert len(made) > 100
    before, after = (dict(found.document) for found in (judged, again))
    for document in (before, after):
        del document["provenance"]
    assert after == before


def test_three_runs_a_side_make_one_verdict(judged: Verdict) -> None:
    verdict, document = judged, judged.document
    assert verdict.verdict is Answer.GO, verdict.reason
    assert document["ledger"]["planned"] == 9_000
    assert document["headline"][0]["n"] == {"baseline": 9_000, "candidate": 9_000}
    assert document["correctness"]["compared"] == document["correctness"]["same"]
    assert document["correctness"]["answered"] == 9_000
    assert sum(template["executions"] for template in document["templates"]) == 9_000
    (users,) = document["users"]
    assert sum(user["statements"] for user in users["worst"]) == users["names"] * 4_500 == 9_000
    assert list(document["provenance"]["runs"]) == [
        "candidate", "candidate/2", "candidate/3", "baseline", "baseline/2", "baseline/3",
    ]  # fmt: skip
    assert {name.rpartition("/")[0] for name in document["provenance"]["evidence"]} >= {
        "candidate/2", "baseline/3/samples",
    }  # fmt: skip
    # A second of one run, not of all of them.
    rate = document["headline"][-1]
    assert rate["baseline"] == pytest.approx(3_000 / 1_800, rel=0.01)
    assert not any("wanted" in warning for warning in document["warnings"])


def test_the_noise_floor_is_in_every_view(place: Path, judged: Verdict) -> None:
    entries = judged.document["noise_floor"]
    assert len(entries) == 8
    floor = {entry["stat"]: entry for entry in reversed(entries)}
    assert set(floor) == {"p50", "p90", "p95", "p99"}
    p95 = []
    for arm in ("candidate", "baseline"):
        ends = [
            np.quantile(load(path).response_us, 0.95, method="inverted_cdf")
            for path in runs_in(place / arm)
        ]
        p95.append(max(ends) / min(ends))
    assert floor["p95"]["ratio"] == pytest.approx(max(p95))
    assert floor["p95"]["pairs"] == 3
    words = f"differ by up to {(max(p95) - 1) * 100:.1f} % at p95"
    terminal = render_terminal(judged.document, "report.html", width=80)
    assert words in terminal
    assert len(terminal.splitlines()) <= MOST_LINES
    assert words in (place / "out" / "summary.md").read_text()
    page = (place / "out" / "report.html").read_text()
    assert f"<b>{(max(p95) - 1) * 100:.1f} % at p95 (3 pairs)</b>" in page


def test_a_margin_finer_than_the_noise_is_warned_of(place: Path, tmp_path: Path) -> None:
    gates = tmp_path / "gates.toml"
    gates.write_text(GATES.replace("max_ratio = 1.1\n", "max_ratio = 0.98\n"))
    runs = place / "candidate", place / "baseline"
    verdict = write_report(runs[0], baseline=runs[1], gates=gates, out=tmp_path / "out")
    said = next(gate for gate in verdict.gates if gate.id == "p95").reason
    assert "its margin is finer than what two replays of one system differ by" in said
    assert "finer" in explain(verdict.document, "p95")
    # What would decide is more runs, not longer ones.
    assert "runs a side" in said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ((1, 1), "single run a side, 3 wanted: how much runs differ is hardly known"),
        ((3, 1), "single run a side, 3 wanted: how much runs differ is hardly known"),
        ((2, 2), "2 runs a side, 3 wanted: how much runs differ is hardly known"),
    ],
)
def test_too_few_runs_are_warned_of_and_judged(
    place: Path, tmp_path: Path, number: tuple[int, int], said: str
) -> None:
    two, one = (
        runs_in(place / arm)[:n] for arm, n in zip(("candidate", "baseline"), number, strict=True)
    )
    verdict = judge(place, two, one, tmp_path)
    assert said in verdict.document["warnings"]
    assert verdict.verdict in (Answer.GO, Answer.INCONCLUSIVE)


def test_one_run_in_a_list_is_that_run(place: Path, tmp_path: Path) -> None:
    run, other = place / "candidate" / "1", place / "baseline" / "1"
    gates = place / "gates.toml"
    alone = write_report(run, baseline=other, gates=gates, out=tmp_path / "alone")
    assert judge(place, [run], [other], tmp_path / "list").document == alone.document


def test_against_the_log_every_statement_of_it_counts_once(place: Path, tmp_path: Path) -> None:
    document = judge(place, [place / "candidate"], [], tmp_path).document
    line = document["headline"][0]
    assert line["n"] == {"baseline": 3_000, "candidate": 9_000}
    assert document["headline"][-1]["baseline"] == pytest.approx(3_000 / 1_800, rel=0.01)


@pytest.mark.parametrize(
    ("arm", "plan", "broken"),
    [
        ("candidate", Plan(lag_us=120_000), "validity.lag_p99"),
        ("baseline", Plan(finished=False), "validity.finished"),
        ("candidate", Plan(lost=3), "validity.ledger"),
    ],
    ids=["lag", "unfinished", "lost samples"],
)
def test_one_broken_run_of_three_makes_it_invalid_and_is_named(
    place: Path, tmp_path: Path, arm: str, plan: Plan, broken: str
) -> None:
    bad = replace(plan, statements=PLAN.statements, digests=True, users=PLAN.users, seed=77)
    third = write(tmp_path / arm / "9", Workload(place / "workload"), bad)
    runs = {each: runs_in(place / each) for each in ("candidate", "baseline")}
    runs[arm][1] = third
    verdict = judge(place, runs["candidate"], runs["baseline"], tmp_path / "out")
    name = broken.replace("validity", "validity.2" if arm == "candidate" else "validity.baseline.2")
    checks = {gate.id: gate for gate in verdict.gates}
    assert verdict.verdict is Answer.INVALID
    assert checks[name].verdict == "invalid"
    assert f"run `{arm}-9`: " in verdict.reason
    assert checks["p95"].verdict == "invalid"
    assert checks["errors"].verdict == "pass"


def test_errors_and_answers_of_every_run_count(place: Path, tmp_path: Path) -> None:
    bad = replace(PLAN, seed=78, new_errors=2, other_answers=2)
    workload = Workload(place / "workload")
    runs = [*runs_in(place / "candidate")[:1], write(tmp_path / "candidate" / "8", workload, bad),
            write(tmp_path / "candidate" / "9", workload, replace(bad, seed=79))]  # fmt: skip
    verdict = judge(place, runs, [place / "baseline"], tmp_path / "out")
    outcomes = {gate.id: (str(gate.verdict), gate.observed) for gate in verdict.gates}
    assert outcomes["errors"] == ("fail", 4)
    assert outcomes["same"] == ("fail", 4)
    document = verdict.document
    assert sum(group["count"] for group in document["errors"]["groups"]) == 4
    counts = document["correctness"]
    parts = counts["compared"] + counts["unstable"] + sum(counts["skipped"].values())
    assert counts["answered"] == parts == 9_000 - 4


def test_what_failed_in_any_run_on_1_0_is_no_new_error(place: Path, tmp_path: Path) -> None:
    failing, workload = replace(PLAN, seed=90, new_errors=2), Workload(place / "workload")
    third = write(tmp_path / "baseline" / "9", workload, failing)
    run = write(tmp_path / "candidate" / "9", workload, replace(failing, seed=91))
    others = [place / "baseline" / "1", third]
    document = judge(place, [run], others, tmp_path / "out").document
    assert (document["errors"]["new"], document["errors"]["existing"]) == (0, 2)


def test_columns_of_a_pool_are_those_of_its_runs(place: Path, tmp_path: Path) -> None:
    workload = Workload(place / "workload")
    other = write(tmp_path / "x" / "9", workload, replace(PLAN, seed=5, new_errors=3, timeouts=2))
    singles = [load(place / "candidate" / "1"), load(other)]
    pooled = pool(singles)
    for alone, part in zip(singles, pooled.runs, strict=True):
        for name in ("due_us", "response_us", "status", "failed_before"):
            assert (getattr(alone, name) == getattr(part, name)).all()
        ours, theirs = ([t.template_id for t in each.templates] for each in (alone, part))
        assert [ours[c] for c in alone.template] == [theirs[c] for c in part.template]
        known = [
            [None if c < 0 else each.failures[c] for c in each.failure] for each in (alone, part)
        ]
        assert known[0] == known[1]
        assert part.ledger() == alone.ledger()
    assert len(pooled) == sum(map(len, singles))
    assert np.bincount(pooled.run_code).tolist() == [len(each) for each in singles]


def test_runs_of_a_directory_come_in_the_order_of_their_start(place: Path, tmp_path: Path) -> None:
    workload = Workload(place / "workload")
    late = write(tmp_path / "1", workload, PLAN, hour=9)
    early = write(tmp_path / "2", workload, replace(PLAN, seed=3), hour=8)
    (tmp_path / "report").mkdir()
    assert runs_in(tmp_path) == [early, late]
    assert runs_in(late) == [late]


def test_runs_that_are_no_replays_of_one_thing_are_refused(place: Path, tmp_path: Path) -> None:
    first, workload = place / "candidate" / "1", Workload(place / "workload")
    fast = write(tmp_path / "x" / "1", workload, replace(PLAN, speed=2.0))
    other = write_workload(tmp_path / "other", replace(PLAN, statements=100))
    stranger = write(tmp_path / "x" / "2", other, replace(PLAN, statements=100))
    with pytest.raises(UsageError, match=r"was replayed with speed 2\.0"):
        load_side([first, fast])
    with pytest.raises(UsageError, match="another workload"):
        load_side([first, stranger], force=True)
    with pytest.raises(UsageError, match="`candidate-1` is given twice"):
        load_side([place / "candidate", first])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unreadable):
        load_side([tmp_path / "empty"])


def test_the_command_takes_runs_and_directories(place: Path, tmp_path: Path) -> None:
    first, out = place / "baseline" / "1", tmp_path / "out"
    gates = ["--gates", str(place / "gates.toml"), "-o", str(out), "--json", "--exit-zero"]
    sides = [str(place / "candidate"), "--baseline", str(first)]
    ended = CliRunner().invoke(
        fourstep, ["report", *sides, "--baseline", str(place / "baseline" / "2"), *gates]
    )
    assert ended.exit_code == 0, ended.output
    runs = json.loads(ended.stdout)["provenance"]["runs"]
    assert [runs[name]["run_id"] for name in ("candidate/3", "baseline", "baseline/2")] == [
        "candidate-3", "baseline-1", "baseline-2",
    ]  # fmt: skip
    ended = CliRunner().invoke(fourstep, ["report", *sides, "--baseline", "captured", *gates])
    assert isinstance(ended.exception, UsageError)
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    shutil.rmtree(out)
