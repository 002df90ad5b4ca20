"""Gates on everything that matters: metrics, scopes, and what is said where there is no data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.workload import Workload
from reports.case import Case, build_case
from reports.compare import Decision
from reports.cost import estimate_cost
from reports.gates import load_gates
from reports.judge.judge import judge
from reports.judge.result import GateResult, Outcome, decide, decide_least
from reports.load import Evidence, load
from reports.scope import LABELS, labels_of, select, why_empty
from tests.reports.synthetic import Plan, template_id, write_run, write_workload

USERS = ("ann", "bob", "bobby", None)


def _gate(name: str, **keys: Any) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items()]
    return "\n".join(["[[gate]]", f'id = "{name}"', *lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run in which bob alone is slower and some statements fail, and a sound one."""
    directory = tmp_path_factory.mktemp("scope")
    asked = tuple(f"SELECT {n} /* report={n % 3} */" for n in range(20))
    plan = Plan(
        users=USERS, slow_user={"bob": 1.6}, new_errors=8, existing_errors=4, questions=asked
    )
    workload = write_workload(directory / "workload", plan)
    other = Plan(users=USERS, seed=99, run_id="one")
    return write_run(directory / "two", workload, plan), write_run(
        directory / "one", workload, other
    )


def _ingest(run: Path, late_us: list[int], *, failed: int = 0, failure: str | None = None) -> None:
    document = json.loads((run / "run.json").read_text())
    told = {"table": "facts", "asked_rows_per_s": None, "rows_per_s": None, "failure": failure}
    (run / "run.json").write_text(json.dumps({**document, "ingest": told}))
    notes = [
        {
            "due_us": at * 1000,
            "done_us": at * 1000 + late,
            "rows": 1,
            "status": "error" if at < failed else "ok",
            "sqlstate": "XX000" if at < failed else None,
        }
        for at, late in enumerate(late_us)
    ]
    (run / "ingest.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes))


def _case(runs: tuple[Path, Path | None]) -> Case:
    one = None if runs[1] is None else load(runs[1])
    two = load(runs[0], baseline=one)
    cost = estimate_cost(two, None)
    return build_case(two, one, decision=Decision(resamples=400), cost=cost)


def _judge(case: Case, path: Path, *gates: str) -> dict[str, GateResult]:
    (path / "gates.toml").write_text("schema = 1\n" + "".join(gates))
    return {gate.id: gate for gate in judge(case, load_gates(path / "gates.toml"))}


@pytest.fixture(scope="module")
def case(runs: tuple[Path, Path]) -> Case:
    return _case(runs)


RATIO = {"stat": "p95", "max_ratio": 1.2, "min_samples": 200}


@pytest.mark.parametrize(
    ("keys", "outcome", "words"),
    [
        ({"metric": "latency.response", **RATIO, "where": {"user": "bob"}}, "fail", "slower"),
        ({"metric": "latency.service", **RATIO, "where": {"user": "bob"}}, "fail", "slower"),
        ({"metric": "latency.response", **RATIO, "where": {"user": "ann"}}, "pass", "n=1,4"),
        (
            {"metric": "latency.response", **RATIO, "where": {"user": ["ann", "bobby"]}},
            "pass",
            "n=2,9",
        ),
        ({"metric": "latency.service", **RATIO, "max_ratio": 1.5}, "pass", "n=5,"),
        (
            {"metric": "latency.response", **RATIO, "where": {"user": "bobb"}},
            "inconclusive",
            "no statement of this run has user `bobb`; nearest: `bobby`, `bob`",
        ),
        (
            {"metric": "latency.response", **RATIO, "where": {"user": ["ann", "zoe"]}},
            "inconclusive",
            "has user `zoe`; it has `ann`, `bob`, `bobby`",
        ),
        (
            {"metric": "errors.new", "max": 0, "where": {"kind": "merge"}},
            "inconclusive",
            "no statement of this run has kind `merge`",
        ),
        ({"metric": "errors.new", "max": 0, "where": {"database": "ads"}}, "fail", "8 of 5,9"),
        ({"metric": "errors.all", "max": 11}, "fail", "12 of 6,000 statements failed on 2.0"),
        ({"metric": "errors.all", "max": 12}, "pass", "12 of 6,000"),
        ({"metric": "errors.all", "max": 3, "where": {"user": "ann"}}, "pass", "3 of 1,500"),
        ({"metric": "errors.all_share", "max": 0.004}, "pass", "0.20 %"),
        ({"metric": "errors.all_share", "max": 0.0021}, "inconclusive", "0.20 %"),
        ({"metric": "throughput", "min": 3.0}, "pass", "3.33/s"),
        ({"metric": "throughput", "min": 9.0}, "inconclusive", "replay with more --scale"),
        ({"metric": "throughput", "min": 3.0, "min_samples": 9000}, "inconclusive", "needs 9,000"),
        ({"metric": "throughput", "min_ratio": 0.95}, "pass", "1.00×"),
        ({"metric": "throughput", "min_ratio": 1.05}, "fail", "limit 1.05"),
        ({"metric": "ingest.errors", "max": 0}, "inconclusive", "replay with --ingest"),
        (
            {"metric": "ingest.latency", "stat": "p95", "max": "1s"},
            "inconclusive",
            "replay with --ingest",
        ),
    ],
)
def test_what_each_metric_says(
    tmp_path: Path, case: Case, keys: dict[str, Any], outcome: str, words: str
) -> None:
    result = _judge(case, tmp_path, _gate("g", **keys))["g"]
    assert (str(result.verdict), words in result.reason) == (outcome, True), result.reason


@pytest.mark.parametrize(
    ("loads", "keys", "outcome", "words"),
    [
        (range(400), {"stat": "p50", "max": "1ms", "min_samples": 20}, "pass", "n=400"),
        (range(400), {"stat": "p50", "max": "100us"}, "fail", "limit 100 µs"),
        (range(400), {"stat": "p50", "max": "200us"}, "inconclusive", "199 µs ["),
        (range(400), {"stat": "p95", "max": "1ms"}, "inconclusive", "400 loads, needs 2,000"),
        (range(3), {"stat": "max", "max": "2us"}, "pass", "max of loads is 2 µs, limit"),
        (range(4), {"stat": "max", "max": "2us"}, "fail", "3 µs"),
        ([], {"stat": "max", "max": "1s"}, "inconclusive", "0 loads, needs 1"),
    ],
)
def test_how_late_the_writer_was(
    tmp_path: Path, loads: Any, keys: dict[str, Any], outcome: str, words: str
) -> None:
    plan = Plan(statements=100)
    run = write_run(tmp_path / "run", write_workload(tmp_path / "workload", plan), plan)
    _ingest(run, list(loads))
    keys = {"metric": "ingest.latency"} | keys
    result = _judge(_case((run, None)), tmp_path, _gate("g", **keys))["g"]
    assert (str(result.verdict), words in result.reason) == (outcome, True), result.reason


@pytest.mark.parametrize(
    ("failed", "failure", "outcome", "words"),
    [
        (0, None, "pass", "0 of 5 loads failed"),
        (2, None, "fail", "2 × SQLSTATE XX000"),
        (0, "the writer ended with 1", "inconclusive", "the writer ended with 1"),
        (2, "the writer ended with 1", "fail", "2 of 5 loads failed"),
    ],
)
def test_loads_that_fail(
    tmp_path: Path, failed: int, failure: str | None, outcome: str, words: str
) -> None:
    plan = Plan(statements=100)
    run = write_run(tmp_path / "run", write_workload(tmp_path / "workload", plan), plan)
    _ingest(run, [5] * 5, failed=failed, failure=failure)
    gate = _gate("g", metric="ingest.errors", max=0)
    result = _judge(_case((run, None)), tmp_path, gate)["g"]
    assert (str(result.verdict), words in result.reason) == (outcome, True), result.reason


def test_users_are_not_known_without_the_workload(tmp_path: Path) -> None:
    plan = Plan(statements=300, users=USERS)
    run = write_run(tmp_path / "run", write_workload(tmp_path / "workload", plan), plan)
    shutil.rmtree(tmp_path / "workload")
    named, kind = (
        _gate(label, metric="errors.all", max=0, where={label: name})
        for label, name in (("user", "ann"), ("kind", "select"))
    )
    results = _judge(_case((run, None)), tmp_path, named, kind)
    assert results["user"].verdict is Outcome.INCONCLUSIVE
    assert "the workload is gone or has changed: put it back" in results["user"].reason
    assert results["kind"].verdict is Outcome.PASS


def test_timings_of_a_broken_run_are_invalid_and_counts_still_count(tmp_path: Path) -> None:
    plan = Plan(lag_us=120_000)
    run = write_run(tmp_path / "run", write_workload(tmp_path / "workload", plan), plan)
    metrics: dict[str, dict[str, Any]] = {
        "latency.service": {"stat": "p50", "max": "1min"},
        "throughput": {"min": 1},
        "errors.all": {"max": 0},
    }
    gates = [_gate(name.partition(".")[0], metric=name, **keys) for name, keys in metrics.items()]
    results = _judge(_case((run, None)), tmp_path, *gates)
    assert {name: str(results[name].verdict) for name in ("latency", "throughput", "errors")} == {
        "latency": "invalid", "throughput": "invalid", "errors": "pass",
    }  # fmt: skip
    assert results["latency"].would is Outcome.PASS


@pytest.fixture(scope="module")
def evidence(runs: tuple[Path, Path]) -> Evidence:
    return load(runs[0], tag="report")


@pytest.mark.parametrize("label", LABELS)
def test_the_names_of_a_label_part_all_samples(evidence: Evidence, label: str) -> None:
    labels = labels_of(evidence, label)
    assert labels is not None
    inside = [select(evidence, {label: (word,)}) for word in labels.words if word is not None]
    unknown = sum(labels.words[code] is None for code in labels.code.tolist())
    assert sum(map(np.count_nonzero, inside)) + unknown == len(evidence)
    assert not np.logical_and.reduce([*inside, ~inside[0]]).any()


def test_a_callers_name_is_that_of_its_statement(
    evidence: Evidence, runs: tuple[Path, Path]
) -> None:
    labels = labels_of(evidence, "user")
    assert labels is not None
    workload = Workload(runs[0].parent / "workload")
    said = workload.statements(["user"])["user"].to_pylist()
    assert [labels.words[code] for code in labels.code.tolist()] == said


@given(
    names=st.dictionaries(
        st.sampled_from(("user", "template")),
        st.sets(st.sampled_from(["ann", "bob", template_id(0), template_id(1)]), min_size=1),
        min_size=1,
    )
)
def test_several_labels_narrow_and_several_names_widen(
    evidence: Evidence, names: dict[str, set[str]]
) -> None:
    where = {label: tuple(sorted(each)) for label, each in names.items()}
    each = [
        np.logical_or.reduce([select(evidence, {label: (name,)}) for name in listed])
        for label, listed in where.items()
    ]
    assert (select(evidence, where) == np.logical_and.reduce(each)).all()
    assert (why_empty(evidence, where) is None) <= bool(select(evidence, where).any())


ENDS = st.one_of(st.none(), st.floats(0, 10))


@given(ends=st.tuples(ENDS, ENDS), limit=st.floats(0, 10), wider=st.floats(0, 5))
def test_the_three_way_rule_never_turns_by_knowing_less(
    ends: tuple[float | None, float | None], limit: float, wider: float
) -> None:
    known = sorted(end for end in ends if end is not None)
    low, high = known if len(known) == 2 else ends
    less = (None if low is None else low - wider, None if high is None else high + wider)
    first, then = decide((low, high), most=limit), decide(less, most=limit)
    assert then in (first, Outcome.INCONCLUSIVE)
    mirrored = (None if high is None else -high, None if low is None else -low)
    assert decide_least(mirrored, least=-limit) is first
    assert decide_least(None, least=limit) is Outcome.INCONCLUSIVE
