from __future__ import annotations

import random
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import replay.demo
from replay.demo.data import COUNTRIES, FIRST_HOUR, SEED, SIZES, make_labels
from replay.demo.load import DATABASE
from replay.demo.questions import QUESTIONS, Values, expand_lists
from replay.prepare.coverage import Coverage, CoverageWord
from replay.prepare.prepare import prepare
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from tests.replay.prepare.workloads import Asked, make_workload

PLACES = Path(replay.demo.__file__).parent / "places.toml"
SETS = 3
"""Sets of values each question is asked with."""


def _values(draw: random.Random) -> Values:
    labels = make_labels(SIZES["small"], seed=SEED)
    owner = draw.randrange(len(labels.customers))
    customer = labels.customers[owner]
    own = [one for one in labels.campaigns if one.customer == owner]
    first = FIRST_HOUR + timedelta(days=draw.randrange(40))
    return {
        "customer": customer.name,
        "contact_name": f"{customer.first_name} {customer.last_name}",
        "contact": f"%{customer.last_name[:3]}%",
        "campaign": own[0].name,
        "campaigns": [one.name for one in own[: draw.randint(1, 4)]],
        "site": draw.choice(labels.sites[:5]),
        "country": COUNTRIES[customer.country],
        "label": "%a%",
        "before": f"{first:%Y-%m-%d}",
        "from": f"{first + timedelta(days=10):%Y-%m-%d}",
        "to": f"{first + timedelta(days=40):%Y-%m-%d}",
        "day": f"{first + timedelta(days=10):%Y-%m-%d}",
        "next_day": f"{first + timedelta(days=11):%Y-%m-%d}",
        "month": f"{first:%Y-%m-%d}",
        "next_month": f"{first + timedelta(days=30):%Y-%m-%d}",
        "limit": draw.choice((5, 10)),
        "credit": draw.randrange(20, 60) * 1_000,
        "per_mille": draw.randint(8, 30),
    }


def _asked(name: str, connection: psycopg.Connection[Any], values: Values) -> Asked:
    question = QUESTIONS[name]
    text, flat = expand_lists(question, values)
    params: tuple[str, ...] | None = None
    if question.bound:
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
        params = tuple(str(flat[each]) for each in names)
        for number, each in enumerate(names, start=1):
            text = text.replace(f"%({each})s", f"${number}")
    else:
        text = psycopg.ClientCursor(connection).mogrify(text, flat)
    try:
        _run(connection, text, params)
        error = None
    except psycopg.Error as failure:
        error = failure.sqlstate
    return Asked(sql=text, params=params, error=error, session=name)


def _run(
    connection: psycopg.Connection[Any], sql: str, params: tuple[str, ...] | None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(sql.encode(), params)
        return [column.name for column in cursor.description or ()], cursor.fetchall()


@pytest.fixture(scope="module")
def prepared(
    demo_one: EmbeddedServer,
    demo_two: EmbeddedServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Workload, Workload, Coverage]:
    folder = tmp_path_factory.mktemp("demo")
    draw = random.Random(7)
    with psycopg.connect(demo_one.url(DATABASE), autocommit=True) as connection:
        asked = [_asked(name, connection, _values(draw)) for name in QUESTIONS for _ in range(SETS)]
    source = make_workload(folder / "w1", asked)
    coverage = prepare(
        source,
        folder / "w2",
        read="postgres",
        write="postgres",
        places=PLACES,
        check_url=demo_two.url(DATABASE),
    )
    return source, Workload(folder / "w2"), coverage


def test_the_places_cover_every_question(
    prepared: tuple[Workload, Workload, Coverage],
) -> None:
    _, _, coverage = prepared
    assert coverage.unsupported() == []
    assert coverage.unused_overrides == ()
    words = Counter(each.word for each in coverage.templates)
    assert words[CoverageWord.OVERRIDDEN] == 1
    unchanged = [each for each in coverage.templates if each.word is CoverageWord.UNCHANGED]
    assert [(each.note or "").partition(":")[0] for each in unchanged] == ["fails on 1.0 too"]


def test_answers_agree_row_by_row(
    prepared: tuple[Workload, Workload, Coverage],
    demo_one: EmbeddedServer,
    demo_two: EmbeddedServer,
) -> None:
    source, target, _ = prepared
    columns = ["session_id", "sql", "params", "error"]
    compared = 0
    with_rows: set[str] = set()
    with (
        psycopg.connect(demo_one.url(DATABASE), autocommit=True) as one,
        psycopg.connect(demo_two.url(DATABASE), autocommit=True) as two,
    ):
        for before, after in zip(
            source.statements(columns).to_pylist(),
            target.statements(columns).to_pylist(),
            strict=True,
        ):
            if before["error"] is not None:
                continue
            expected = _run(one, before["sql"], before["params"])
            found = _run(two, after["sql"], after["params"])
            assert found[0] == expected[0], before["session_id"]
            assert Counter(found[1]) == Counter(expected[1]), before["session_id"]
            compared += 1
            if expected[1]:
                with_rows.add(before["session_id"])
    failing = {name for name, question in QUESTIONS.items() if question.fails}
    assert compared >= SETS * (len(QUESTIONS) - len(failing))
    assert with_rows >= QUESTIONS.keys() - failing


def test_a_refusal_names_the_missing_table(demo_two: EmbeddedServer, tmp_path: Path) -> None:
    source = make_workload(
        tmp_path / "w1",
        [
            Asked(sql="select a from missing where b = 'secret'"),
            Asked(sql="select nothing from dim_country where country_name = 'secret'"),
            Asked(sql="select 'secret'::int"),
            Asked(sql="select no_such_column from dim_site", error="42703"),
            Asked(sql="select 1; select 2"),
            Asked(sql="set application_name = 'secret'"),
            Asked(sql="select site_id from dim_site where site_id = $1", params=("1",)),
        ],
    )
    coverage = prepare(
        source,
        tmp_path / "w2",
        read="postgres",
        write="postgres",
        check_url=demo_two.url(DATABASE),
    )
    sqls = {
        row["template_id"]: row["source_sql"]
        for row in Workload(tmp_path / "w2").templates().to_pylist()
    }
    found = {sqls[each.template_id]: (each.word.value, each.note) for each in coverage.templates}
    assert found == {
        "select a from missing where b = ?": (
            "unsupported",
            'refused by the target: 42P01 UndefinedTable: relation "missing" does not exist',
        ),
        "select nothing from dim_country where country_name = ?": (
            "unsupported",
            'refused by the target: 42703 UndefinedColumn: column "nothing" does not exist',
        ),
        "select ?::int": (
            "unsupported",
            "refused by the target: 22P02 InvalidTextRepresentation",
        ),
        "select no_such_column from dim_site": (
            "unchanged",
            'fails on 1.0 too: 42703 UndefinedColumn: column "no_such_column" does not exist',
        ),
        "select ?; select ?": ("unchanged", None),
        "set application_name = ?": ("unchanged", None),
        "select site_id from dim_site where site_id = $1": ("unchanged", None),
    }
