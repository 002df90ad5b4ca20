"""The same workload on two real servers whose data differ in one row."""

from __future__ import annotations

from pathlib import Path

import psycopg

from replay.target.embedded import EmbeddedServer
from reports.report import write_report
from tests.locusts import replay
from tests.replay.planned import write_workload

TABLE = "CREATE TABLE sales (region text, clicks {kind}); INSERT INTO sales VALUES {rows}"
ONE = "('north', 5), ('south', 7), ('west', 9)"
TWO = "('west', 9), ('north', 5), ('south', 8)"


def test_a_row_that_differs_is_found_and_its_order_and_type_are_not(tmp_path: Path) -> None:
    asked = [
        "SELECT region, clicks FROM sales WHERE region = 'south'",
        "SELECT region, clicks FROM sales WHERE region = 'north'",
        "SELECT region FROM sales",
        "SELECT sum(clicks) FROM sales",
        "SELECT clock_timestamp()",
        "SELECT clock_timestamp()",
        "SELECT * FROM missing",
    ]
    said = [(number / 20, f"s{number % 2}", sql) for number, sql in enumerate(asked)]
    workload = write_workload(tmp_path / "workload", said)
    runs = {}
    for name, kind, rows in (("one", "int", ONE), ("two", "numeric(9, 2)", TWO)):
        (tmp_path / name).mkdir()
        with EmbeddedServer(name) as server:
            with psycopg.connect(server.url(), autocommit=True) as session:
                session.execute(TABLE.format(kind=kind, rows=rows))
            options = ["--workload", str(workload.path), "--host", server.url(), "--digest"]
            result = replay(tmp_path / name, *options)
        assert result.code == 0, result.text
        runs[name] = result.run.path
    verdict = write_report(runs["two"], baseline=runs["one"], out=tmp_path / "report")
    found = verdict.document["correctness"]
    assert (found["checked"], found["answered"]) == ("digest", 6)
    assert (found["compared"], found["different"], found["row_count_differs"]) == (4, 2, 0)
    assert found["unstable"] == 2
    assert found["skipped"] == {}
    differing = {template["statement_ids"][0] for template in found["templates"]}
    assert differing == {0, 3}
    (gate,) = (gate for gate in verdict.gates if gate.id == "same-answers")
    assert str(gate.verdict) == "fail", gate.reason
    page = (tmp_path / "report" / "report.html").read_text()
    assert "2 of 4 answers differ from 1.0" in page
