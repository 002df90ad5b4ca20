"""Answers compared: every reason, against a plain model, and gates on what was found."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.artefact import write_json
from replay.run import SAMPLES
from replay.workload import Workload
from reports.case import build_case
from reports.correctness import Correctness, compare_answers
from reports.cost import estimate_cost
from reports.gates import load_gates
from reports.judge.judge import judge
from reports.judge.result import GateResult
from reports.load import load
from reports.stats.quantiles import share_interval
from tests.replay.planned import write_workload as write_planned
from tests.reports.synthetic import Plan, write_run, write_workload

ONE, TWO = "1" * 32, "2" * 32
SAID = ["SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE a = 2",
        "SELECT b FROM u", "BEGIN"]  # fmt: skip
Row = dict[str, Any]


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Five statements; the first two have one text, the first three one template."""
    said = [(number / 10, "s", sql) for number, sql in enumerate(SAID)]
    return write_planned(tmp_path_factory.mktemp("answers") / "workload", said)


def _row(statement_id: int, digest: str | None = ONE, **values: Any) -> Row:
    told = {"statement_id": statement_id, "clone": 0, "status": "ok", "rows": 1, "diverged": False}
    return told | {"digest": digest} | values


def _write(directory: Path, workload: Workload, rows: list[Row], **dials: Any) -> Path:
    """A run with these samples."""
    (directory / "samples").mkdir(parents=True)
    asked = workload.statements(["template_id", "kind"]).to_pylist()
    table = [{**asked[row["statement_id"]], "due_us": 0, **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(table, schema=SAMPLES), directory / "samples/w0.parquet")
    document = {
        "schema_version": 1,
        "run_id": directory.name,
        "workload": {"uri": str(workload.path), "sha256": workload.sha256},
        "dials": {"digest": True, "seed": 1, "vary": "literals", **dials},
        "ledger": {"planned": len(rows)},
    }
    write_json(directory / "run.json", document)
    return directory


_number = count()


def _compare(
    tmp_path: Path, workload: Workload, two: list[Row], one: list[Row], **dials: Any
) -> Correctness:
    """The runs' answers compared; `dials` are the candidate's."""
    place = tmp_path / str(next(_number))
    baseline = load(_write(place / "one", workload, one))
    candidate = load(_write(place / "two", workload, two, **dials), baseline=baseline)
    return compare_answers(candidate, baseline, confidence=0.9)


@pytest.mark.parametrize(
    ("two", "one", "reason"),
    [
        (_row(4), _row(4), "asks nothing of the data"),
        (_row(0, clone=1), _row(0), "not asked on 1.0"),
        (_row(0), _row(0, None, status="error"), "1.0 gave no answer"),
        (_row(0), _row(0, None, status="timeout"), "1.0 gave no answer"),
        (_row(0, diverged=True), _row(0), "session diverged"),
        (_row(0, TWO), _row(0, diverged=True), "session diverged"),
        (_row(0, None, rows=None), _row(0, None, rows=None), "returns no rows"),
        (_row(0, None), _row(0), "no digest of 2.0"),
        (_row(0), _row(0, None), "no digest of 1.0"),
    ],
)
def test_what_cannot_be_compared_is_counted_by_reason(
    tmp_path: Path, workload: Workload, two: Row, one: Row, reason: str
) -> None:
    found = _compare(tmp_path, workload, [two, _row(3)], [one, _row(3)])
    assert (found.skipped, found.compared, found.same) == ({reason: 1}, 1, 1)
    assert found.answered == 2


def test_what_2_0_failed_is_an_error_and_no_answer(tmp_path: Path, workload: Workload) -> None:
    found = _compare(tmp_path, workload, [_row(0, None, status="error")], [_row(0)])
    assert (found.answered, found.compared, found.share, found.interval) == (0, 0, None, None)
    assert found.open_share == 1


def test_other_values_and_other_numbers_of_rows_differ(tmp_path: Path, workload: Workload) -> None:
    two = [_row(0, TWO), _row(2, TWO, rows=5), _row(3)]
    found = _compare(tmp_path, workload, two, [_row(0), _row(2), _row(3)])
    assert (found.same, found.different, found.row_count_differs) == (1, 2, 1)
    (worst,) = found.templates
    assert (worst.compared, worst.different, worst.statement_ids) == (2, 2, [0, 2])
    assert found.interval == share_interval(2, 3, confidence=0.9)


def test_a_write_that_touched_fewer_rows_differs(tmp_path: Path, workload: Workload) -> None:
    zeros = "0" * 32
    found = _compare(tmp_path, workload, [_row(0, zeros, rows=3)], [_row(0, zeros, rows=4)])
    assert (found.different, found.row_count_differs) == (1, 1)


@pytest.mark.parametrize(
    ("dials", "compared"),
    [({}, 2), ({"seed": 2}, 1), ({"vary": "none"}, 1)],
    ids=["same draw", "other seed", "one does not vary"],
)
def test_copies_compare_where_they_asked_the_same(
    tmp_path: Path, workload: Workload, dials: dict[str, Any], compared: int
) -> None:
    rows = [_row(0), _row(0, clone=1)]
    found = _compare(tmp_path, workload, rows, rows, **dials)
    assert found.compared == compared
    assert found.skipped == ({"a copy asked with other values": 1} if compared == 1 else {})


@pytest.mark.parametrize("other", [1, 2], ids=["one text", "other literal"])
def test_a_template_that_1_0_answers_in_two_ways_is_set_apart(
    tmp_path: Path, workload: Workload, other: int
) -> None:
    one = [_row(0), _row(other, TWO), _row(3)]
    found = _compare(tmp_path, workload, [_row(0, TWO), _row(other, TWO), _row(3)], one)
    if other == 1:
        assert (found.unstable, found.compared, found.different, found.templates) == (2, 1, 0, ())
    else:
        assert (found.unstable, found.compared, found.different) == (0, 3, 1)


def test_an_answer_of_a_diverged_session_does_not_make_1_0_unstable(
    tmp_path: Path, workload: Workload
) -> None:
    one = [_row(0), _row(1, TWO, diverged=True)]
    found = _compare(tmp_path, workload, [_row(0, TWO)], one)
    assert (found.unstable, found.different) == (0, 1)


def test_at_most_five_statements_are_named(tmp_path: Path) -> None:
    said = [(number / 10, "s", f"SELECT {number}") for number in range(8)]
    workload = write_planned(tmp_path / "workload", said)
    one, two = ([_row(n, digest) for n in range(8)] for digest in (ONE, TWO))
    (worst,) = _compare(tmp_path, workload, two, one).templates
    assert (worst.different, worst.statement_ids) == (8, [0, 1, 2, 3, 4])


def test_without_digests_on_both_sides_rows_are_compared(
    tmp_path: Path, workload: Workload
) -> None:
    two, one = [_row(0, None), _row(2, None, rows=9)], [_row(0), _row(2)]
    found = _compare(tmp_path, workload, two, one, digest=False)
    assert (found.checked, found.captured) == ("rows", False)
    assert (found.same, found.different, found.row_count_differs) == (1, 1, 1)
    assert "two replayed without --digest" in str(found.reason)


_ANSWERS = st.tuples(
    st.sampled_from(["ok", "ok", "ok", "error", "skipped"]),
    st.sampled_from([ONE, ONE, TWO, None]),
    st.sampled_from([1, 1, 2, None]),
    st.sampled_from([False, False, True]),
)
_SIDE = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 1)), _ANSWERS, max_size=10)


def _rows_of(side: dict[tuple[int, int], tuple[str, str | None, int | None, bool]]) -> list[Row]:
    return [
        _row(statement, digest, clone=clone, status=status, rows=rows, diverged=diverged)
        for (statement, clone), (status, digest, rows, diverged) in side.items()
    ]


@settings(max_examples=60, deadline=None)
@given(two=_SIDE, one=_SIDE)
def test_every_answer_is_compared_or_counted(
    tmp_path_factory: pytest.TempPathFactory,
    workload: Workload,
    two: dict[tuple[int, int], Any],
    one: dict[tuple[int, int], Any],
) -> None:
    found = _compare(tmp_path_factory.mktemp("side"), workload, _rows_of(two), _rows_of(one))
    answered = {key for key, (status, *_) in two.items() if status == "ok"}
    assert found.answered == len(answered)
    assert found.answered == found.compared + found.unstable + sum(found.skipped.values())
    assert found.compared == found.same + found.different
    assert sum(template.different for template in found.templates) == found.different
    pairs = [
        (two[key][1:3], one[key][1:3])
        for key in answered & set(one)
        if key[0] != 4 and one[key][0] == "ok" and not (two[key][3] or one[key][3])
    ]
    told = [
        new == old for new, old in pairs if new[0] and old[0] and (new[1] or old[1]) is not None
    ]
    assert found.compared + found.unstable == len(told)
    assert found.same == sum(told) if not found.unstable else found.same <= sum(told)


def _judge(tmp_path: Path, limit: str, *, two: Plan, one: Plan | None) -> GateResult:
    """The gate of this metric and limit put to runs of these plans."""
    workload = write_workload(tmp_path / "workload", two)
    baseline = None if one is None else load(write_run(tmp_path / "one", workload, one))
    candidate = load(write_run(tmp_path / "two", workload, two), baseline=baseline)
    path = tmp_path / "gates.toml"
    gate = f'[[gate]]\nid = "answers"\nmetric = "results.{limit}\n'
    path.write_text(f"schema = 1\n[decision]\nresamples = 200\n{gate}")
    gates, cost = load_gates(path), estimate_cost(candidate, None)
    case = build_case(candidate, baseline, decision=gates.decision, cost=cost)
    return judge(case, gates)[-1]


def _plan(statements: int = 1000, **values: Any) -> Plan:
    return Plan(**{"statements": statements, "seconds": 300, "digests": True, **values})


COUNT, SHARE = 'mismatches"\nmax = 0', 'mismatch_share"\nmax = 0.01'


@pytest.mark.parametrize(
    ("limit", "two", "one", "verdict", "said"),
    [
        (COUNT, _plan(), _plan(), "pass", "0 of 1,000 answers differ, limit 0"),
        (COUNT, _plan(other_answers=3), _plan(), "fail", "3 of 1,000 answers differ"),
        (COUNT, _plan(other_answers=1, lag_us=4e5), _plan(), "fail", "1 of 1,000 answers differ"),
        (SHARE, _plan(), _plan(), "pass", "0 % [0, 0.30 %], limit 1.0 %"),
        (SHARE, _plan(other_answers=50), _plan(), "fail", "5.0 % ["),
        (SHARE, _plan(other_answers=10), _plan(), "inconclusive", "limit 1.0 %"),
        (SHARE, _plan(100), _plan(100), "inconclusive", "0 of 100 answers differ"),
        (COUNT, _plan(scale=2), _plan(), "inconclusive", "would pass, but 50.0 % could not"),
        (COUNT, _plan(new_errors=1000), _plan(), "inconclusive", "no answer could be"),
        (COUNT, _plan(digests=False), _plan(), "inconclusive", "replay both with --digest"),
        (COUNT, _plan(), None, "inconclusive", "replay both with --digest"),
    ],
    ids=[
        "all the same", "some differ", "some differ in a run that is not valid", "a share",
        "a share too large", "a share that is close", "too few", "half not compared",
        "no answers", "digests on one side", "1.0's log",
    ],
)  # fmt: skip
def test_gates_on_results(
    tmp_path: Path, limit: str, two: Plan, one: Plan | None, verdict: str, said: str
) -> None:
    result = _judge(tmp_path, limit, two=two, one=one)
    assert (str(result.verdict), said in result.reason) == (verdict, True), result.reason
