from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from replay.demo.load import DATABASE
from replay.filter import Filter
from replay.prepare.check import Check, Missing
from replay.prepare.coverage import CoverageWord
from replay.prepare.examples import Example
from replay.prepare.prepare import prepare
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from tests.replay.prepare.workloads import Asked, make_workload

REFUSED: dict[str, tuple[str, str, str, tuple[Missing, ...]]] = {
    "all tables": (
        "select",
        "select 1 from nothing_a n join dim_site using (site_id) join x.nothing_b using (a)",
        "42P01",
        (Missing("table", "nothing_a"), Missing("table", "x.nothing_b")),
    ),
    "all columns": (
        "select",
        "select no_a, s.no_b from dim_site s where s.no_b > 1 and no_a < 2 and site_id = 3",
        "42703",
        (Missing("column", "no_a"), Missing("column", "s.no_b")),
    ),
    "function": ("select", "select no_such(1)", "42883", (Missing("function", "no_such"),)),
    "second of several": ("select", "select 1; select no_a from dim_site", "42703",
        (Missing("column", "no_a"),)),
    "semicolon in a string": ("select", "select ';'::int", "22P02", ()),
    "command": ("set", "set to to", "42601", ()),
    "grouping": ("select", "select site_id from dim_site group by site_name", "42803", ()),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sql", "sqlstate", "missing"), REFUSED.values(), ids=REFUSED.keys()
)
def test_the_target_says_all_that_it_lacks(
    demo_two: EmbeddedServer, kind: str, sql: str, sqlstate: str, missing: tuple[Missing, ...]
) -> None:
    with Check(demo_two.url(DATABASE), dialect="postgres") as check:
        refusal = check.refusal(Example("t", kind, sql, None))
    assert refusal is not None
    assert (refusal.sqlstate, refusal.missing) == (sqlstate, missing)
    assert "secret" not in refusal.text


def test_nothing_is_run(demo_two: EmbeddedServer) -> None:
    asked = {
        "select": "select pg_sleep(60); select count(*) from dim_site",
        "delete": "delete from dim_site",
        "set": "set statement_timeout to 1",
        "begin": "begin",
        "ddl": "drop table dim_site",
    }
    with Check(demo_two.url(DATABASE), dialect="postgres") as check:
        for kind, sql in asked.items():
            assert check.refusal(Example("t", kind, sql, None)) is None
        assert check.refusal(Example("t", "select", "select pg_sleep(0.1)", None)) is None
    with psycopg.connect(demo_two.url(DATABASE)) as connection:
        assert connection.execute("select count(*) > 0 from dim_site").fetchone() == (True,)


def test_what_is_missing_is_listed_once_with_its_templates(
    demo_two: EmbeddedServer, tmp_path: Path
) -> None:
    asked = [
        Asked(sql="select 1 from gone where a = 'secret'", duration_us=9_000, user="ann"),
        Asked(sql="select 2, '{x}' from gone", duration_us=5_000, user="bob"),
        Asked(sql="select site_id from dim_site", user="cid"),
    ]
    source = make_workload(tmp_path / "w1", asked)
    coverage = prepare(
        source,
        tmp_path / "w2",
        read="postgres",
        write="postgres",
        check_url=demo_two.url(DATABASE),
    )
    lacking = [each.template_id for each in coverage.unsupported()]
    assert len(lacking) == 2
    document = coverage.as_json()
    (missing,) = document["missing"]
    assert (missing["what"], missing["name"], missing["templates"]) == ("table", "gone", lacking)
    assert missing["statements"] == 2
    assert document["users"] == {"all": 3, "wholly_covered": 1}
    (construct,) = document["constructs"]
    assert construct["templates"] == 2
    assert construct["time_share"] == pytest.approx(14 / 15)
    text = (tmp_path / "w2" / "overrides.toml").read_text(encoding="utf-8")
    assert "secret" not in text
    # Rewritten as it says, it is a places file.
    places = tmp_path / "places.toml"
    places.write_text(text.replace("gone", "dim_site").replace("a = {2}", "site_name = {2}"))
    assert [each["template"] for each in tomllib.loads(text)["overrides"]] == lacking
    again = prepare(
        source,
        tmp_path / "w3",
        read="postgres",
        write="postgres",
        places=places,
        check_url=demo_two.url(DATABASE),
    )
    assert again.unsupported() == []
    assert again.rows()[CoverageWord.OVERRIDDEN].statements == 2
    texts = Workload(tmp_path / "w3").statements(["sql"])["sql"].to_pylist()
    assert [" ".join(text.split()) for text in texts[:2]] == [
        "select 1 from dim_site where site_name = 'secret'",
        "select 2, '{x}' from dim_site",
    ]


def test_what_is_not_wanted_is_left_out_and_counted(tmp_path: Path) -> None:
    asked = [
        Asked(sql="select 1 from a"),
        Asked(sql="select 2 from a", user="bob"),
        Asked(sql="insert into a values (1)"),
        Asked(sql="set work_mem = '1MB'"),
        Asked(sql="drop table a", session="s2"),
        Asked(sql="select 3 from b"),
    ]
    source = make_workload(tmp_path / "w1", asked)
    keep = Filter(
        until=datetime(2026, 4, 1, 0, 0, 5, tzinfo=UTC), users=frozenset(["analyst"])
    )  # fmt: skip
    coverage = prepare(source, tmp_path / "w2", read="postgres", write="redshift", keep=keep)
    prepared = Workload(tmp_path / "w2")
    assert prepared.statements(["statement_id", "sql", "seq"]).to_pylist() == [
        {"statement_id": 0, "sql": "select 1 from a", "seq": 0}
    ]
    assert prepared.counts.skipped == {
        "outside window": 1,
        "other user": 1,
        "may write: insert": 1,
        "may write: ddl": 1,
        "chatter: set work_mem": 1,
    }
    assert prepared.counts.balanced
    assert prepared.counts.records_read == len(asked)
    assert len(coverage.templates) == len(prepared.templates()) == 1
    wanted = Filter(kinds=frozenset(["insert"]))
    prepare(
        source, tmp_path / "w3", read="postgres", write="redshift", keep=wanted, writes=True
    )  # fmt: skip
    assert Workload(tmp_path / "w3").statements(["kind"])["kind"].to_pylist() == ["insert"]
