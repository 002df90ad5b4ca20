"""The verb: exit codes, pages, and a disk that is full at four in the morning."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reports.cli import fourstep
from reports.history.night import Night
from reports.history.nights import add_night
from reports.history.place import Place
from tests.reports.history.verdicts import drawn, verdict


def say(*arguments: object) -> Result:
    return CliRunner().invoke(fourstep, ["history", *map(str, arguments)])


def stored(path: Path, documents: Sequence[dict[str, Any]]) -> Path:
    for document in documents:
        add_night(Place(str(path)), Night.from_verdict(document))
    return path


def reported(path: Path, document: dict[str, Any]) -> Path:
    path.mkdir()
    (path / "verdict.json").write_text(json.dumps(document))
    return path


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """Twenty nights, and three that are slower."""
    return stored(tmp_path / "history", list(drawn(3, [(20, 480e3), (3, 640e3)])))


def test_exit_codes_are_those_of_the_contract(tmp_path: Path, slower: Path) -> None:
    assert say(slower).exit_code == 0
    assert say(slower, "--fail-on", "regression").exit_code == 1
    short = stored(tmp_path / "short", list(drawn(3, [(10, 480e3)])))
    assert say(short, "--fail-on", "regression").exit_code == 3
    longer = stored(tmp_path / "longer", list(drawn(3, [(11, 480e3)])))
    assert say(longer, "--fail-on", "regression").exit_code == 0


def test_acknowledged_it_is_told_and_does_not_fail(slower: Path) -> None:
    found = say(slower, "--ack", "night-022", "--why", "known", "--fail-on", "regression")
    assert found.exit_code == 0
    assert "acknowledged: known" in found.stdout
    assert say(slower, "--fail-on", "regression").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--ack", "night-022"], "--why"),
        (["--ack", "night-099", "--why", "x"], "night-099"),
        (["--add", "nowhere"], "verdict.json"),
    ],
)
def test_what_cannot_be_is_said(slower: Path, arguments: list[str], named: str) -> None:
    found = say(slower, *arguments)
    assert found.exception is not None
    assert named in f"{found.output}{found.exception}"


def test_the_table_has_a_rule_where_the_level_changed(slower: Path) -> None:
    lines = say(slower).stdout.splitlines()
    (rule,) = (number for number, line in enumerate(lines) if "·····" in line)
    assert re.search(r"p95 \+3\d\.\d %", lines[rule])
    assert "2026-03-21" in lines[rule + 1]
    assert lines[-1].startswith("regression: worse since night-020")


def test_json_is_one_document_with_everything(tmp_path: Path, slower: Path) -> None:
    (slower / "bad.parquet").write_bytes(b"PAR1")
    report = reported(tmp_path / "report", verdict(23, p95_us=640e3))
    found = say(slower, "--add", report, "--json")
    document = json.loads(found.stdout)
    assert document["state"] == "regression"
    assert document["tonight"]["run_id"] == "night-023"
    assert {each["metric"] for each in document["regressions"]} == {
        "p50_us", "p95_us", "p99_us", "p95_ratio",
    }  # fmt: skip
    assert len(document["segments"][0]["nights"]) == 24
    assert list(document["damaged"]) == ["bad.parquet"]
    assert "1 file damaged and left out: bad.parquet" in say(slower).stdout


def test_pages_say_the_same_and_fetch_nothing(tmp_path: Path, slower: Path) -> None:
    nights = drawn(4, [(26, 640e3)], dials={"scale": 2.0})
    stored(slower, [each for number, each in enumerate(nights) if number >= 23])
    found = say(slower, "-o", tmp_path / "pages")
    assert found.exit_code == 0
    page = (tmp_path / "pages" / "history.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!#)|<script|@import', page)
    assert "new segment: scale 1.0 → 2.0" in page
    assert re.search(r"p95 \+3\d\.\d %", page)
    assert page.count("<svg") == 1
    assert "new segment: scale" in (tmp_path / "pages" / "history.md").read_text()
    cases = ET.parse(tmp_path / "pages" / "history.xml").findall(".//testcase")
    assert {case.get("name") for case in cases} >= {"p50", "p95", "throughput"}


def test_junit_fails_what_regressed(tmp_path: Path, slower: Path) -> None:
    say(slower, "-o", tmp_path)
    failed = ET.parse(tmp_path / "history.xml").findall(".//testcase[failure]")
    assert {case.get("name") for case in failed} == {"p50", "p95", "p99", "p95 to 1.0"}


def test_hostile_names_are_text(tmp_path: Path) -> None:
    documents = list(drawn(1, [(2, 480e3)]))
    documents[1]["provenance"]["runs"]["candidate"]["target"]["host"] = "<script>x</script>|`"
    say(stored(tmp_path / "history", documents), "-o", tmp_path)
    assert "<script>x" not in (tmp_path / "history.html").read_text()
    assert "<script>x" not in (tmp_path / "history.md").read_text()


def test_a_full_disk_fails_the_job_and_leaves_report_and_history_alone(
    tmp_path: Path, slower: Path
) -> None:
    report = reported(tmp_path / "report", verdict(23))
    before = {path: path.read_bytes() for path in (*slower.iterdir(), *report.iterdir())}
    limit = 1000
    found = subprocess.run(
        [sys.executable, "-m", "reports", "history", slower, "--add", report],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert found.returncode == 5
    assert "cannot be written" in found.stderr
    assert "hint: the report is whole" in found.stderr
    assert {p: p.read_bytes() for p in (*slower.iterdir(), *report.iterdir())} == before
