"""The demo's traffic and the log 1.0 writes of it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from replay.demo import drive
from replay.demo.drive import collect_log, drive_traffic
from replay.demo.questions import QUESTIONS
from replay.demo.world import demo_server
from replay.errors import UndecidedRun, Unreachable
from replay.target.embedded import EmbeddedServer

SESSION, SEVERITY, SQLSTATE, MESSAGE, DETAIL, QUERY, APPLICATION = 5, 11, 12, 13, 14, 19, 22


@pytest.fixture(scope="module")
def one() -> Iterator[EmbeddedServer]:
    with demo_server("1.0", "small") as server:
        yield server


@pytest.fixture(scope="module")
def log(one: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    drive_traffic(one, seconds=3, seed=1, size="small")
    path = collect_log(one, tmp_path_factory.mktemp("log") / "reports.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def test_every_record_has_the_columns_of_a_csvlog(log: list[list[str]]) -> None:
    assert {len(record) for record in log} == {26}


def test_both_protocols_are_used(log: list[list[str]]) -> None:
    plain = [one for one in log if re.match(r"duration: [\d.]+ ms  statement: ", one[MESSAGE])]
    bound = [
        one for one in log if re.match(r"duration: [\d.]+ ms  execute <unnamed>: ", one[MESSAGE])
    ]
    assert len(plain) > 50
    assert len(bound) > 20
    assert all(re.match(r"[Pp]arameters: \$1 = '", one[DETAIL]) for one in bound)
    assert any("\n" in one[MESSAGE] for one in plain)
    assert {"SET", "BEGIN", "COMMIT"} <= {
        one[MESSAGE].split("statement: ")[1].split(" ")[0] for one in plain
    }


def test_every_kind_of_customer_asks(log: list[list[str]]) -> None:
    applications = {one[APPLICATION] for one in log if one[MESSAGE].startswith("duration")}
    assert applications == {"analyst", "dashboard", "finance", "spreadsheet", "support"}


def test_questions_that_fail_are_in_the_log(log: list[list[str]]) -> None:
    errors = [one for one in log if one[SEVERITY] == "ERROR"]
    assert {one[SQLSTATE] for one in errors} <= {"42703", "22012"}
    assert any("revenue" in one[QUERY] for one in errors)


def test_every_session_has_its_end_and_nothing_is_cut(log: list[list[str]]) -> None:
    begun = {one[SESSION] for one in log if one[MESSAGE].startswith("connection authorized")}
    ended = {one[SESSION] for one in log if one[MESSAGE].startswith("disconnection")}
    assert begun == ended
    assert len(begun) > 15


def test_taking_the_log_asks_nothing_that_is_logged(
    one: EmbeddedServer, log: list[list[str]], tmp_path: Path
) -> None:
    with psycopg.connect(one.url(), application_name="last") as connection:
        connection.execute("SELECT 'the last question'")
    path = collect_log(one, tmp_path / "again.csv")
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.reader(file, strict=True))[len(log) :]
    asked = [record[MESSAGE] for record in records if record[MESSAGE].startswith("duration")]
    assert [text.split(": ")[-1] for text in asked[:1]] == ["BEGIN"]
    assert Counter("last question" in text for text in asked)[True] == 1
    assert not [record for record in records if "pg_stat_activity" in record[MESSAGE]]


def test_an_open_session_is_reported(
    one: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "_SETTLE_TIMEOUT_S", 0.2)
    with (
        psycopg.connect(one.url()),
        pytest.raises(Unreachable, match="session is still open"),
    ):
        collect_log(one, tmp_path / "open.csv")


def test_traffic_that_is_not_answered_is_an_error(embedded_empty: EmbeddedServer) -> None:
    with pytest.raises(UndecidedRun, match="traffic failed"):
        drive_traffic(embedded_empty, seconds=1, seed=1, size="small")


def test_no_question_is_left_unasked() -> None:
    source = Path(drive.__file__).with_name("traffic.py").read_text(encoding="utf-8")
    assert [name for name in QUESTIONS if f'"{name}"' not in source] == []
