"""Logs that other tools ship, when they lie beside the checkout, and those of a real server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from replay.capture.capture import capture
from replay.demo.drive import collect_log
from replay.errors import Unreadable
from replay.target.embedded import EmbeddedServer

LOGS = Path(__file__).parents[4] / "shared" / "logs"
FILES = (
    "pgreplay/csvlog",
    "pgbadger/weeknumber.log",
    "pgbadger/light.postgres.log.gz",
    "pgbadger/multiline_param.log",
    "pgbadger/stmt_type.log",
    "dexter/queries.csv",
    "dexter/queries.json",
    "pgreplay-go/single_user.log",
    "pganalyze/cnpg_test-logs.log",
    "request-log-analyzer/postgresql.log",
)

# A few lines of awk that share nothing with the reader: records by their stamp at the line's start,
# statements by the words that follow a duration.
AWK = r"""
/^[0-9-]+ [0-9:.]+ [A-Z]+,/ { records++ }
/^[0-9-]+ [0-9:.]+ [A-Z]+,.*,"duration: [0-9.]+ ms  (statement|execute [^:]*): / { timed++ }
/^[0-9-]+ [0-9:.]+ [A-Z]+,.*,ERROR,/ { errors++ }
END { printf "%d %d %d\n", records, timed, errors }
"""


def expected() -> dict[str, Any]:
    index = LOGS / "expected.json"
    if not index.is_file():
        pytest.skip(f"the collection of real logs is not at {LOGS}")
    document: dict[str, Any] = json.loads(index.read_text())
    return document


@pytest.mark.parametrize("name", FILES)
def test_counts_agree_with_those_taken_by_others(name: str, tmp_path: Path) -> None:
    wanted = expected()[name]
    workload = capture([str(LOGS / name)], tmp_path / "w")
    counts = workload.counts
    assert counts.balanced
    assert counts.records_read == wanted["log_records"]
    assert counts.captured == wanted["sql_records"]
    rows = workload.statements()
    with_params = [params for params in rows["params"].to_pylist() if params is not None]
    # Where binding is logged it has the values too, and counts in the index.
    told = 2 if wanted["bind_records"] else 1
    if "detail_parameter_records" in wanted:
        assert len(with_params) * told == wanted["detail_parameter_records"]
    total_us = sum(duration or 0 for duration in rows["duration_us"].to_pylist())
    if wanted["sql_records_with_own_duration"]:
        steps_us = total_us - round(wanted["sum_duration_ms_of_sql_records"] * 1_000)
        assert (steps_us > 0) == bool(wanted["parse_records"] + wanted["bind_records"])
    assert len(set(rows["session_id"].to_pylist())) == wanted["sessions_with_sql"]


def test_a_log_of_connections_alone_says_so(tmp_path: Path) -> None:
    expected()
    with pytest.raises(Unreadable, match=r"24 records \(connection: 16, disconnection: 8\)"):
        capture([str(LOGS / "pgbadger/begin_end.log")], tmp_path / "w")


def test_every_statement_a_server_logged_is_captured(
    demo_one: EmbeddedServer, tmp_path: Path
) -> None:
    asked = _ask(demo_one)
    log = collect_log(demo_one, tmp_path / "reports.csv")
    workload = capture([str(log)], tmp_path / "w")
    out = subprocess.run(["awk", AWK, log], check=True, capture_output=True, text=True).stdout
    records, timed, errors = map(int, out.split())
    counts = workload.counts
    assert counts.balanced
    assert counts.records_read == records
    assert counts.captured == timed + errors
    rows = workload.statements().to_pylist()
    ours = [row for row in rows if row["application"] == "test_capture"]
    assert [(row["sql"], row["params"]) for row in ours] == asked
    assert [row["error"] for row in ours] == [None] * 3 + ["22012", None, "42703", None]
    assert len({row["session_id"] for row in ours}) == 1
    assert [row["seq"] for row in ours] == list(range(len(asked)))


def _ask(server: EmbeddedServer) -> list[tuple[str, list[str | None] | None]]:
    """Ask one of each form in one session; returns what the log should hold."""
    with psycopg.connect(
        server.url(), autocommit=True, prepare_threshold=None, application_name="test_capture"
    ) as session:
        session.execute("SELECT 1")
        session.execute('SELECT \'two\nlines\', "é" FROM (SELECT 1 AS "é") x -- \'tail')
        session.execute("SELECT %s::text, %s::int", ["it's\n$2 = '3'", None])
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("SELECT 1 / (%s::int - n) FROM generate_series(1, 3) n", ["2"])
        session.execute("BEGIN")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            session.execute("SELECT nothing")
        session.execute("ROLLBACK")
    return [
        ("SELECT 1", None),
        ('SELECT \'two\nlines\', "é" FROM (SELECT 1 AS "é") x -- \'tail', None),
        ("SELECT $1::text, $2::int", ["it's\n$2 = '3'", None]),
        ("SELECT 1 / ($1::int - n) FROM generate_series(1, 3) n", ["2"]),
        ("BEGIN", None),
        ("SELECT nothing", None),
        ("ROLLBACK", None),
    ]
