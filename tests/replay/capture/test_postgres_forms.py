"""What one server writes of the same traffic in three forms, and what capture makes of each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from replay.capture.capture import capture
from replay.demo.drive import collect_log
from replay.demo.world import LOG_SETTINGS
from replay.filter import Filter
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload

FORMS = {"csv": "reports.csv", "json": "reports.json", "stderr": "reports.log"}
PREFIX = "%m [%p] %q%u@%d/%a %c %e "
OURS = Filter(applications=frozenset(f"form {number}" for number in range(3)))
WAYS = {
    "durations": {},
    "starts": {"log_statement": "all", "log_min_duration_statement": "-1", "log_duration": "on"},
}


@pytest.fixture(scope="module", params=list(WAYS.values()), ids=list(WAYS))
def logs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    forms = {"log_destination": "csvlog,jsonlog,stderr", "log_line_prefix": PREFIX}
    settings = {**LOG_SETTINGS, **forms, **request.param}
    directory = tmp_path_factory.mktemp("logs")
    with EmbeddedServer("forms", settings=settings) as server:
        askers = [threading.Thread(target=ask, args=(server, number)) for number in range(3)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        yield {
            form: collect_log(server, directory / name, name=name) for form, name in FORMS.items()
        }


def ask(server: EmbeddedServer, number: int) -> None:
    with psycopg.connect(
        server.url(), autocommit=True, prepare_threshold=2, application_name=f"form {number}"
    ) as session:
        session.execute(f"CREATE TEMP TABLE kept (a int, b text) -- of {number}")
        session.execute("SELECT 'two\nlines', '\ttab', E'\\\\n', \"é\" FROM (SELECT 1 AS \"é\") x")
        for value in (None, "it's\n$2 = '3', \t\"x\"", "", "...", "a,b"):
            session.execute("SELECT %s::text, %s::int", [value, number])
        session.execute("PREPARE q (int, text) AS SELECT $1 + 1, $2 || ', $1'")
        session.execute("EXECUTE q(41, 'a, b')")
        for wrong in ("SELECT 1 / 0", "SELECT nothing\nFROM nowhere", "SELEC", "SELECT 'open"):
            with pytest.raises(psycopg.Error):
                session.execute(wrong)
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("SELECT 1 / (%s::int - n) FROM generate_series(1, 3) n", ["2"])
        session.execute("DO $$ BEGIN RAISE NOTICE 'LOG:  no log\n2026-01-01'; END $$")
        session.execute("SELECT 1; SELECT 2  \n\n ")
        with session.transaction(), session.cursor("c") as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 250) n")
            cursor.itersize = 100
            assert len(list(cursor)) == 250
        session.execute("SET statement_timeout = '20ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(5)")
        with pytest.raises(psycopg.Error):
            session.execute("INSERT INTO kept VALUES ('no number')")


def statements(workload: Workload) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = (
        workload.statements().drop(["origin", "statement_id"]).to_pylist()
    )
    return sorted(rows, key=lambda row: (str(row["session_id"]), int(str(row["seq"]))))


def test_all_forms_give_the_same_workload(logs: dict[str, Path], tmp_path: Path) -> None:
    found = {
        form: capture([str(path)], tmp_path / form, log_line_prefix=PREFIX, keep=OURS)
        for form, path in logs.items()
    }
    assert all(workload.counts.balanced for workload in found.values())
    # A value that ends in dots may have been cut by the server.
    cut = {"bind values unreadable or cut": 3}
    assert all(workload.counts.quarantined == cut for workload in found.values())
    csv, json, stderr = (statements(found[form]) for form in FORMS)
    assert csv == json
    assert csv == stderr
    # Each session's statements, whatever the log's way, and what became of the wrong ones.
    assert {row["sql"] for row in csv} >= {
        "SELECT CAST(41 AS int) + 1, CAST('a, b' AS text) || ', $1'",
        "SELECT 'two\nlines', '\ttab', E'\\\\n', \"é\" FROM (SELECT 1 AS \"é\") x",
        "SELECT 1; SELECT 2  \n\n ",
    }
    errors = sorted(str(row["error"]) for row in csv if row["error"])
    assert errors == sorted(["22012", "42P01", "42601", "42601", "22012", "57014", "22P02"] * 3)
    values = [row["params"] for row in csv if str(row["sql"]).startswith("SELECT $1::text")]
    assert [None, "0"] in values and ["it's\n$2 = '3', \t\"x\"", "1"] in values
    assert len({row["session_id"] for row in csv}) == 3


def test_both_logs_of_a_server_count_once(logs: dict[str, Path], tmp_path: Path) -> None:
    once = capture([str(logs["csv"])], tmp_path / "once", keep=OURS)
    both = [str(logs["stderr"]), str(logs["csv"])]
    twice = capture(both, tmp_path / "twice", log_line_prefix=PREFIX, keep=OURS)
    assert twice.counts.balanced
    assert statements(twice) == statements(once)
    assert twice.counts.skipped["also logged as postgres-csv"] > 0
