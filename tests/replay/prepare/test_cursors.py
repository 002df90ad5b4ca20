from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.prepare.coverage import CoverageWord
from replay.prepare.cursors import query_of
from replay.prepare.prepare import prepare
from replay.workload import Workload
from tests.replay.prepare.workloads import Asked, make_workload

DECLARED = {
    "declare c cursor for select 1": "select 1",
    'DECLARE "SQL_CUR0x7f" NO SCROLL CURSOR WITH HOLD FOR SELECT a FROM t': "SELECT a FROM t",
    "/* x */ declare c binary insensitive cursor without hold for\nselect 2;": "select 2;",
    "select 1": None,
    "declare x int": None,
}


@pytest.mark.parametrize(("sql", "query"), DECLARED.items())
def test_the_query_of_a_declaration(sql: str, query: str | None) -> None:
    assert query_of(sql) == query


def test_portions_become_one_query(tmp_path: Path) -> None:
    asked = [
        Asked(sql="begin"),
        Asked(sql='declare "c 1" no scroll cursor for select a from t where b = 5', duration_us=10),
        Asked(sql='fetch forward 100 from "c 1"', duration_us=200),
        Asked(sql="FETCH 10 IN C2", session="s2"),
        Asked(sql='fetch all from "c 1"', duration_us=300, error="57014"),
        Asked(sql='close "c 1"', duration_us=7),
        Asked(sql="declare c3 cursor for select 1"),
        Asked(sql="close all"),
        Asked(sql="commit"),
    ]
    source = make_workload(tmp_path / "w1", asked)
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="postgres")
    prepared = Workload(tmp_path / "w2")
    columns = ["sql", "kind", "duration_us", "rows", "error", "seq"]
    rows = [tuple(row.values()) for row in prepared.statements(columns).to_pylist()]
    assert rows == [
        ("begin", "begin", 1_000, 1, None, 0),
        ("select a from t where b = 5", "select", 510, 2, "57014", 1),
        ("commit", "commit", 1_000, 1, None, 7),
    ]
    assert prepared.counts.balanced
    assert prepared.counts.skipped == {
        "folded into its cursor's query": 4,
        "cursor declared outside this workload": 1,
        "cursor never fetched": 1,
    }
    assert coverage.skipped == prepared.counts.skipped
    words = {each.sql: (each.word, each.note) for each in coverage.templates}
    assert words['declare "c 1" no scroll cursor for select a from t where b = ?'] == (
        CoverageWord.TRANSLATED,
        "a cursor's query, asked whole",
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["declare {} cursor for select 1", "fetch 5 from {}", "close {}"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)


@given(steps=STEPS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_nothing_is_lost_whatever_cursors_do(
    tmp_path: Path, steps: list[tuple[str, str, str]]
) -> None:
    asked = [Asked(sql=text.format(name), session=session) for session, text, name in steps]
    asked.append(Asked(sql="select 2"))
    prepare(
        make_workload(tmp_path / "w1", asked), tmp_path / "w2", read="postgres", write="postgres"
    )
    prepared = Workload(tmp_path / "w2")
    assert prepared.counts.balanced
    assert prepared.counts.records_read == len(asked)
    assert set(prepared.statements(["sql"])["sql"].to_pylist()) <= {"select 1", "select 2"}
