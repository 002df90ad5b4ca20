"""From runs to verdicts, whole: what must be GO is GO, and no data never passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from replay.errors import ExitCode, UsageError
from replay.workload import Workload
from reports.render.terminal import render_terminal
from reports.report import write_report
from reports.verdict import Answer, Verdict
from tests.reports.synthetic import Plan, write_both, write_run, write_workload

RATIO = '[[gate]]\nid = "p95"\nmetric = "latency.response"\nstat = "p95"\nmax_ratio = 1.1\n'
ERRORS = '[[gate]]\nid = "errors"\nmetric = "errors.new"\nmax = 0\n'
HEAD = "schema = 1\n[decision]\nresamples = 400\n"


def _gates(tmp_path: Path, *gates: str) -> Path:
    path = tmp_path / "gates.toml"
    path.write_text(HEAD + "".join(gates))
    return path


def _outcomes(verdict: Verdict) -> dict[str, str]:
    return {gate.id: str(gate.verdict) for gate in verdict.gates}


def _compare(tmp_path: Path, plan: Plan, *gates: str, baseline: bool = True) -> Verdict:
    workload = write_workload(tmp_path / "workload", plan)
    run = write_run(tmp_path / "two", workload, plan)
    other = None
    if baseline:
        sound = Plan(statements=plan.statements, seconds=plan.seconds, seed=99)
        other = write_run(tmp_path / "one", workload, sound)
    return write_report(run, baseline=other, gates=_gates(tmp_path, *gates), out=tmp_path / "out")


def test_the_same_system_twice_is_go(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(slowdown=0.97), RATIO, ERRORS)
    assert (verdict.verdict, verdict.exit_code) == (Answer.GO, ExitCode.DONE), verdict.reason
    assert "2 blocking gates pass" in verdict.reason


def test_every_view_of_a_run_on_an_imitation_says_so(tmp_path: Path) -> None:
    plan = Plan(slowdown=0.97)
    run = write_run(tmp_path / "two", write_workload(tmp_path / "workload", plan), plan)
    document = json.loads((run / "run.json").read_text())
    document["target"] |= {"kind": "redshift", "imitation": True}
    (run / "run.json").write_text(json.dumps(document))
    out = tmp_path / "out"
    verdict = write_report(run, gates=_gates(tmp_path, RATIO), out=out)
    words = "2.0 was an imitation of Redshift on PostgreSQL: its times are not Redshift"
    assert words in verdict.document["reason"]
    terminal = render_terminal(verdict.document, page="report.html", width=80, colour=False)
    assert words in " ".join(terminal.split())
    assert words in (out / "summary.md").read_text()
    page = (out / "report.html").read_text()
    assert words in page
    assert "on an imitation of redshift" in page


def test_a_system_clearly_slower_is_no_go(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(slowdown=1.4), RATIO)
    assert (verdict.verdict, verdict.exit_code) == (Answer.NO_GO, ExitCode.NO_GO)
    assert "slower than 1.0, ratio 1.3" in verdict.reason


def test_too_few_samples_is_inconclusive_and_says_how_many(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(statements=600), RATIO, ERRORS)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "needs 2,000" in verdict.reason


@pytest.mark.parametrize("plan", [Plan(statements=0), Plan(statements=1)], ids=["none", "one"])
def test_hardly_any_data_never_passes(tmp_path: Path, plan: Plan) -> None:
    run = write_both(tmp_path, plan)
    verdict = write_report(run, gates=_gates(tmp_path, RATIO, ERRORS), out=tmp_path / "out")
    assert verdict.verdict is not Answer.GO
    assert _outcomes(verdict)["p95"] != "pass"
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_run_of_errors_only_is_no_go(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(statements=400, new_errors=400), RATIO, ERRORS)
    assert verdict.verdict is Answer.NO_GO
    assert _outcomes(verdict)["p95"] == "inconclusive"


@pytest.mark.parametrize(
    ("plan", "broken"),
    [
        (Plan(lag_us=120_000), "validity.lag_p99"),
        (Plan(starved_us=260_000), "validity.starved_p99"),
        (Plan(finished=False), "validity.finished"),
        (Plan(lost=3), "validity.ledger"),
    ],
    ids=["lag", "starved", "unfinished", "lost samples"],
)
def test_a_broken_run_is_invalid_and_its_timing_undecided(
    tmp_path: Path, plan: Plan, broken: str
) -> None:
    verdict = _compare(tmp_path, plan, RATIO, ERRORS)
    outcomes = _outcomes(verdict)
    assert (verdict.verdict, verdict.exit_code) == (Answer.INVALID, ExitCode.UNDECIDED)
    assert outcomes[broken] == "invalid"
    assert outcomes["p95"] == "invalid"
    assert outcomes["errors"] == "pass"


def test_new_errors_count_even_on_a_broken_run(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(lag_us=120_000, new_errors=2), RATIO, ERRORS)
    assert verdict.verdict is Answer.NO_GO
    assert _outcomes(verdict)["p95"] == "invalid"


def test_stopped_before_the_end_is_invalid(tmp_path: Path) -> None:
    limits = "[validity]\nreplayed_share = { min = 0.995 }\n"
    verdict = _compare(tmp_path, Plan(cancelled=900), limits, RATIO, ERRORS)
    assert _outcomes(verdict)["validity.replayed_share"] == "invalid"
    assert verdict.verdict is Answer.INVALID


def test_an_unmeasured_limit_is_inconclusive(tmp_path: Path) -> None:
    limits = "[validity]\nclient_cpu_p95 = { max = 0.8 }\n"
    verdict = _compare(tmp_path, Plan(cpu_p95=None), limits, ERRORS)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "not measured" in verdict.reason


def test_production_timings_alone_do_not_decide_a_ratio(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(slowdown=0.8), RATIO, baseline=False)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "would pass, but 1.0's timings come from production" in verdict.reason


def test_production_timings_decide_where_the_gate_allows_it(tmp_path: Path) -> None:
    allowed = RATIO + 'captured = "allow"\n'
    verdict = _compare(tmp_path, Plan(slowdown=0.8), allowed, baseline=False)
    assert verdict.verdict is Answer.GO


def test_a_log_without_durations_has_nothing_to_compare(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(with_captured=False), RATIO, baseline=False)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "left no durations" in verdict.reason
    assert verdict.document["headline"][0]["word"] == "cannot tell"


@pytest.mark.parametrize(
    ("limit", "outcome"), [("10s", "pass"), ("100ms", "fail"), ("415ms", "inconclusive")]
)
def test_an_absolute_limit_needs_no_baseline(tmp_path: Path, limit: str, outcome: str) -> None:
    gate = RATIO.replace("max_ratio = 1.1", f'max = "{limit}"')
    verdict = _compare(tmp_path, Plan(with_captured=False), gate, baseline=False)
    assert _outcomes(verdict)["p95"] == outcome, verdict.reason


FAMILY = """
[[gate]]
id = "templates"
for_each = "template"
metric = "latency.response"
stat = "p95"
max_ratio = 1.25
min_harm = "50ms"
min_samples = 200
max_unevaluated_share = 0.3
"""


def test_one_slow_template_hides_in_the_average_but_not_from_its_gate(tmp_path: Path) -> None:
    plan = Plan(statements=9000, slow_template={2: 2.0}, slowdown=0.9)
    verdict = _compare(tmp_path, plan, RATIO, FAMILY)
    slow = next(gate for gate in verdict.gates if gate.id == "templates")
    assert str(slow.verdict) == "fail"
    assert len(slow.templates) == 1


def test_harm_below_the_minimum_never_blocks(tmp_path: Path) -> None:
    plan = Plan(statements=9000, slow_template={2: 2.0}, slowdown=0.9)
    verdict = _compare(tmp_path, plan, FAMILY.replace("50ms", "20s"))
    assert verdict.verdict is Answer.GO, verdict.reason


def test_templates_too_rare_to_judge_leave_their_gate_open(tmp_path: Path) -> None:
    verdict = _compare(tmp_path, Plan(statements=900), FAMILY)
    assert verdict.verdict is Answer.INCONCLUSIVE
    assert "of executions undecided" in verdict.reason


def test_a_waived_template_is_let_off(tmp_path: Path) -> None:
    plan = Plan(statements=9000, slow_template={2: 2.0}, slowdown=0.9)
    first = _compare(tmp_path / "a", plan, FAMILY)
    slow = next(gate for gate in first.gates if gate.id == "templates").templates[0]
    waiver = f'[[waiver]]\ngate = "templates"\ntemplate = "{slow}"\nuntil = 2030-01-01\n'
    second = _compare(tmp_path / "b", plan, FAMILY, waiver + 'reason = "view"\n')
    assert _outcomes(second)["templates"] == "pass", second.reason


def test_cost_is_judged_where_it_is_stated(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=300))
    gates = _gates(tmp_path, '[[gate]]\nid = "cost"\nmetric = "cost.monthly"\nmax_ratio = 1\n')
    silent = write_report(run, gates=gates, out=tmp_path / "a")
    assert silent.verdict is Answer.INCONCLUSIVE
    config = tmp_path / "fourstep.toml"
    config.write_text("[cost]\nbaseline.monthly = 30\ncandidate.rpu_hours_per_month = 100\n")
    dearer = write_report(run, gates=gates, config=config, out=tmp_path / "b")
    assert dearer.verdict is Answer.NO_GO
    assert "USD 37.50 a month against USD 30.00" in dearer.reason


def test_the_same_evidence_gives_the_same_bytes(
    tmp_path: Path, troubled: tuple[Path, Path]
) -> None:
    run, baseline = troubled
    for name in ("a", "b"):
        write_report(run, baseline=baseline, out=tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["junit.xml", "report.html", "summary.md", "verdict.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_verdict_json_is_what_was_returned(tmp_path: Path, troubled: tuple[Path, Path]) -> None:
    verdict = write_report(troubled[0], out=tmp_path)
    document = json.loads((tmp_path / "verdict.json").read_text())
    assert document == verdict.as_json()
    assert {
        "schema_version", "verdict", "reason", "gates", "fidelity", "headline", "templates",
        "errors", "correctness", "cost", "ledger", "provenance",
    } <= set(document)  # fmt: skip
    for gate in document["gates"]:
        assert {
            "id", "verdict", "severity", "observed", "interval", "limit", "n", "needed_n", "reason",
        } <= set(gate)  # fmt: skip
    for line in document["headline"]:
        assert {"stat", "baseline", "candidate", "ratio", "interval", "word"} <= set(line)


def test_the_report_works_without_the_workload(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=400))
    shutil.rmtree(tmp_path / "workload")
    verdict = write_report(run, out=tmp_path / "out")
    assert any("by id only" in warning for warning in verdict.document["warnings"])


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=50))
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_report(run, out=tmp_path / "out")


def test_nothing_is_written_when_the_gates_are_wrong(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=50))
    with pytest.raises(UsageError):
        write_report(run, gates=_gates(tmp_path, "[[gate]]\n"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_workload_changed_since_is_not_used(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=50))
    write_workload(tmp_path / "workload", Plan(statements=60))
    verdict = write_report(run, out=tmp_path / "out")
    assert verdict.document["provenance"]["workload"]["statements"] is None
    assert len(Workload(tmp_path / "workload")) == 60
