from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.errors import ExitCode, Unreachable, UsageError
from replay.prepare.coverage import CoverageWord
from replay.prepare.prepare import prepare
from replay.workload import Workload
from tests.replay.prepare.workloads import Asked, make_workload

PLACES = """
[tables.old]
to = "new"
[tables.old.columns]
a = "b"
"""
KEPT = [
    "statement_id session_id seq started_at duration_us rows error user database application",
    "kind template_id params origin",
]
MIXED = [
    Asked(sql="select a from old where a = 'x'", duration_us=6_000),
    Asked(sql="begin", session="s2"),
    Asked(sql="select c from old", session="s2", duration_us=2_000),
    Asked(sql="select a from old where a in (1, 2, 3)", session="s2"),
    Asked(sql="select a from old where a in (4)"),
    Asked(sql="select d from old", error="42703"),
    Asked(sql="select a from old where a = $1", params=("y",)),
]


def _places(tmp_path: Path, text: str = PLACES) -> Path:
    path = tmp_path / "places.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _words(workload: Workload) -> dict[str, tuple[str, str | None]]:
    rows = workload.templates().to_pylist()
    return {row["source_sql"]: (row["coverage"], row["note"]) for row in rows}


def test_each_template_has_its_word(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", MIXED)
    coverage = prepare(
        source, tmp_path / "w2", read="postgres", write="postgres", places=_places(tmp_path)
    )
    found = _words(Workload(tmp_path / "w2"))
    assert found == {
        "select a from old where a = ?": ("translated", None),
        "begin": ("unchanged", None),
        "select c from old": ("unsupported", "`old` has no place for column `c`"),
        "select a from old where a in (...)": ("translated", None),
        "select d from old": (
            "unchanged",
            "fails on 1.0 too: `old` has no place for column `d`",
        ),
        "select a from old where a = $1": ("translated", None),
    }
    rows = coverage.rows()
    assert rows[CoverageWord.TRANSLATED].templates == 3
    assert rows[CoverageWord.UNSUPPORTED].statements_share == pytest.approx(1 / 7)
    assert rows[CoverageWord.UNSUPPORTED].time_share == pytest.approx(2 / 13)
    json.dumps(coverage.as_json(), allow_nan=False)


def test_all_but_the_text_stays_and_the_ledger_balances(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", MIXED)
    prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=_places(tmp_path))
    prepared = Workload(tmp_path / "w2")
    columns = " ".join(KEPT).split()
    assert prepared.statements(columns).equals(source.statements(columns))
    assert prepared.statements(["sql"])["sql"].to_pylist() == [
        "SELECT old.b AS a FROM new AS old WHERE old.b = 'x'",
        "begin",
        "select c from old",
        "SELECT old.b AS a FROM new AS old WHERE old.b IN (1, 2, 3)",
        "SELECT old.b AS a FROM new AS old WHERE old.b IN (4)",
        "select d from old",
        "SELECT old.b AS a FROM new AS old WHERE old.b = $1",
    ]
    assert prepared.counts.balanced
    assert prepared.counts.captured == len(prepared) == len(MIXED)
    assert prepared.manifest["prepared_from"] == {
        "uri": str(tmp_path / "w1"),
        "sha256": source.sha256,
    }
    assert prepared.manifest["dialect"] == "postgres"


def test_preparing_twice_changes_nothing_more(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", MIXED)
    places = _places(tmp_path)
    once = prepare(source, tmp_path / "w2", read="postgres", write="redshift", places=places)
    twice = prepare(
        Workload(tmp_path / "w2"),
        tmp_path / "w3",
        read="postgres",
        write="redshift",
        places=places,
    )
    first, second = Workload(tmp_path / "w2"), Workload(tmp_path / "w3")
    assert once == twice
    assert first.statements().equals(second.statements())
    assert first.templates().equals(second.templates())
    assert second.manifest["prepared_from"] == first.manifest["prepared_from"]


def test_without_places_the_same_dialect_is_unchanged_to_the_byte(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", [*MIXED, Asked(sql="selec  (1,  'x' ;")])
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="postgres", writes=True)
    assert {each.word for each in coverage.templates} == {CoverageWord.UNCHANGED}
    assert Workload(tmp_path / "w2").statements().equals(source.statements())


def test_an_override_takes_each_statements_literals(tmp_path: Path) -> None:
    text = """
[[overrides]]
source = "select a from old where a in (1) and c > 'x'"
slots = ["ids", "least"]
sql = "select f({least}, '{{}}') where b in ({ids}) or b = {2}"
"""
    asked = [
        Asked(sql="select a from old where a in (1, 2) and c > 'p'"),
        Asked(sql="/* r */ select a from old where a in (3) and c > 'q''r';"),
    ]
    source = make_workload(tmp_path / "w1", asked)
    places = _places(tmp_path, text)
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=places)
    assert [each.word for each in coverage.templates] == [CoverageWord.OVERRIDDEN]
    assert Workload(tmp_path / "w2").statements(["sql"])["sql"].to_pylist() == [
        "select f('p', '{}') where b in (1, 2) or b = 'p'",
        "/* r */ select f('q''r', '{}') where b in (3) or b = 'q''r';",
    ]


def test_an_override_for_an_unknown_template_is_refused_or_listed(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", [Asked(sql="select 1")])
    by_id = _places(tmp_path, '[[overrides]]\ntemplate = "0123456789abcdef"\nsql = "select 1"\n')
    with pytest.raises(UsageError, match=r"line 2: .*`0123456789abcdef` is not in"):
        prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=by_id)
    by_text = _places(tmp_path, '[[overrides]]\nsource = "select a"\nsql = "select 1"\n')
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=by_text)
    assert coverage.unused_overrides == (1,)


def test_users_databases_settings_and_schemas_are_renamed(tmp_path: Path) -> None:
    text = """
[users]
analyst = "reader"
"*" = "guest"
[databases]
reports = "dwh"
[schemas]
crm = "sales"
[settings]
work_mem = false
"""
    asked = [
        Asked(sql="set search_path to crm, public"),
        Asked(sql="set work_mem = '1MB'"),
        Asked(sql="select 1 from crm.t", user="bob"),
    ]
    source = make_workload(tmp_path / "w1", asked)
    places = _places(tmp_path, text)
    prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=places)
    prepared = Workload(tmp_path / "w2")
    rows = prepared.statements(["sql", "user", "database"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("SET search_path TO sales, public", "reader", "dwh"),
        ("SELECT 1 FROM sales.t", "guest", "dwh"),
    ]
    assert prepared.counts.skipped == {"chatter: set work_mem": 1}


def test_the_catalog_of_a_file_spells_stars_out(tmp_path: Path) -> None:
    catalog = tmp_path / "columns.csv"
    catalog.write_text(
        "table_schema,table_name,column_name\npublic,old,z\npublic,old,a\n", encoding="utf-8"
    )
    places = _places(tmp_path, '[tables.old]\nto = "new"\nothers = "keep"\ncolumns = { a = "b" }\n')
    source = make_workload(tmp_path / "w1", [Asked(sql="select * from old")])
    for known, word in ((None, "unsupported"), (str(catalog), "translated")):
        coverage = prepare(
            source,
            tmp_path / "w2",
            read="postgres",
            write="postgres",
            places=places,
            catalog=known,
        )
        assert [each.word.value for each in coverage.templates] == [word]
    assert Workload(tmp_path / "w2").statements(["sql"])["sql"].to_pylist() == [
        "SELECT old.z, old.b AS a FROM new AS old"
    ]


MAKING = {
    "create": "create temp table passing as select 1 as a",
    "create if": 'CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS "passing" (a int)',
    "into": "select 1 as a into temp passing",
    "hash": 'create table "#passing" (a int)',
}


@pytest.mark.parametrize("making", MAKING.values(), ids=MAKING.keys())
def test_what_reads_a_temporary_table_needs_its_making(tmp_path: Path, making: str) -> None:
    name = '"#passing"' if "#" in making else "passing"
    asked = [Asked(sql=making), Asked(sql=f"select a from {name}"), Asked(sql="select a from t")]
    source = make_workload(tmp_path / "w1", asked)
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="postgres")
    found = {each.sql: each.note for each in coverage.templates}
    assert "reads temporary table" in (found.pop(f"select a from {name}") or "")
    assert found == {"select a from t": None}
    coverage = prepare(source, tmp_path / "w3", read="postgres", write="postgres", writes=True)
    assert not coverage.unsupported()
    assert len(Workload(tmp_path / "w3")) == len(asked)


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "another dialect than said": ({"read": "mysql"}, "is in postgres, not in mysql"),
    "unknown dialect": ({"read": "oracle"}, "is not a dialect"),
    "unknown target": ({"write": "mysql"}, "is not a target"),
}


@pytest.mark.parametrize(("options", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_misfits_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = make_workload(tmp_path / "w1", [Asked(sql="select 1")])
    with pytest.raises(UsageError, match=message):
        prepare(source, tmp_path / "w2", **{"read": "postgres", "write": "redshift", **options})
    assert not (tmp_path / "w2").exists()


def test_other_places_for_a_prepared_workload_are_refused(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", [Asked(sql="select 1")])
    prepare(source, tmp_path / "w2", read="postgres", write="redshift")
    places = _places(tmp_path)
    with pytest.raises(UsageError, match="prepared with other places"):
        prepare(
            Workload(tmp_path / "w2"),
            tmp_path / "w3",
            read="redshift",
            write="redshift",
            places=places,
        )


def test_an_unreachable_target_leaves_nothing_behind(tmp_path: Path) -> None:
    source = make_workload(tmp_path / "w1", [Asked(sql="select 1")])
    url = "postgresql://u@127.0.0.1:1/d"
    with pytest.raises(Unreachable) as caught:
        prepare(source, tmp_path / "w2", read="postgres", write="postgres", check_url=url)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert not (tmp_path / "w2").exists()


@given(
    sessions=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(range(len(MIXED)))),
        min_size=1,
        max_size=30,
    )
)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_count_and_order_of_each_session_stay(
    tmp_path: Path, sessions: list[tuple[str, int]]
) -> None:
    asked = [Asked(sql=MIXED[number].sql, session=session) for session, number in sessions]
    source = make_workload(tmp_path / "w1", asked)
    prepare(source, tmp_path / "w2", read="postgres", write="postgres", places=_places(tmp_path))
    columns = ["statement_id", "session_id", "seq", "template_id", "origin"]
    assert Workload(tmp_path / "w2").statements(columns).equals(source.statements(columns))
