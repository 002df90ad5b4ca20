"""The command `fourstep` as scripts use it: streams, exit codes, JSON."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.demo.world import LOG_NAME
from replay.run import Run
from replay.workload import Workload
from reports.cli import main
from reports.render.coverage import coverage_page
from tests.replay.capture.test_capture import statement
from tests.replay.planned import write_workload

FOURSTEP = [sys.executable, "-m", "reports"]


def fourstep(
    *arguments: str | Path, timeout_s: float = 60, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FOURSTEP, *map(str, arguments)],
        env=environment_of(home),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def environment_of(home: Path | None) -> dict[str, str]:
    return {**os.environ, **({} if home is None else {"FOURSTEP_HOME": str(home)})}


@pytest.fixture
def home() -> Iterator[Path]:
    """Where embedded servers of one test live; the account they run under must get there."""
    path = Path(tempfile.mkdtemp(prefix="fourstep-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def servers_in(home: Path) -> list[str]:
    """Directories of servers that were left behind, after the time guardians need."""
    deadline_s = time.monotonic() + 20
    while (left := [str(path) for path in (home / "embedded").glob("*/")]) and (
        time.monotonic() < deadline_s
    ):
        time.sleep(0.2)
    return left


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("".join(statement(f"SELECT {n}", second=n) for n in range(3)))
    return path


def test_capture_says_what_it_found_and_json_is_alone_on_stdout(log: Path, tmp_path: Path) -> None:
    plain = fourstep("capture", log, "-o", tmp_path / "w")
    assert plain.returncode == 0
    assert "3  records read\n           3    captured\n" in plain.stdout
    printed = fourstep("capture", log, "-o", tmp_path / "w", "--json")
    assert json.loads(printed.stdout)["counts"]["captured"] == 3


def test_inspect_describes_both_artefacts(log: Path, tmp_path: Path) -> None:
    fourstep("capture", log, "-o", tmp_path / "w")
    document = json.loads(fourstep("inspect", tmp_path / "w", "--json").stdout)
    assert (document["statements"], document["sessions"]) == (3, 1)
    assert sum(document["arrivals"]["statements"]) == 3
    run = fourstep(
        *("run", "--workload", tmp_path / "w", "--host", "null:", "--speed", "10"),
        *("--run-dir", tmp_path / "run"),
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == str(tmp_path / "run")
    described = fourstep("inspect", tmp_path / "run")
    assert "planned 3 = ok 3 + error 0" in described.stdout


def test_run_prints_its_document_as_json(tmp_path: Path) -> None:
    workload = write_workload(tmp_path / "w", [(0.0, "a", "SELECT 1")])
    run = fourstep(
        *("run", "--workload", workload.path, "--host", "null:", "--run-dir", tmp_path / "run"),
        "--json",
    )
    assert json.loads(run.stdout) == Run(tmp_path / "run").document


def test_the_doctor_says_what_is_well_and_exits_4_where_nobody_answers(
    home: Path, tmp_path: Path
) -> None:
    said = [(0.0, f"s{n}", "SELECT 1") for n in range(300)]
    workload = write_workload(tmp_path / "w", said).path
    done = fourstep("doctor", "embedded:empty", "--workload", workload, "--json", home=home)
    assert done.returncode == 0, done.stderr
    checks = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
    assert checks["reachable"]["state"] == checks["read only"]["state"] == "ok"
    assert checks["connections"]["state"] == "fail"
    assert "wants 300" in checks["connections"]["found"]
    refused = fourstep("doctor", "postgresql://u@127.0.0.1:1/d")
    assert refused.returncode == 4
    assert "fail     reachable: " in refused.stdout
    assert "hint: check host" in refused.stdout
    assert fourstep("doctor", "oracle://h/d").returncode == 2


def test_prepare_without_places_changes_nothing(tmp_path: Path) -> None:
    workload = write_workload(tmp_path / "w", [(0.0, "a", "SELECT 1"), (1.0, "b", "SELECT 'x'")])
    prepared = fourstep("prepare", workload.path, "-o", tmp_path / "p", "--json")
    assert prepared.returncode == 0, prepared.stderr
    document = json.loads(prepared.stdout)
    rows = {row["word"]: row["statements"] for row in document["coverage"]}
    assert rows["unchanged"] == 2
    assert document == json.loads((tmp_path / "p" / "coverage.json").read_text())
    assert prepared.stderr == f"page: {tmp_path / 'p' / 'coverage.html'}\n"
    assert coverage_page(document) == (tmp_path / "p" / "coverage.html").read_text()
    assert Workload(tmp_path / "p").statements().equals(workload.statements())


BAD: dict[str, tuple[list[str], int, str]] = {
    "no verb of that name": (["frobnicate"], 2, "frobnicate"),
    "an option that is missing": (["capture", "x"], 2, "--output"),
    "a log that is not there": (["capture", "x", "-o", "w"], 5, "`x` is no log"),
    "an unknown format": (["capture", __file__, "-o", "w", "--format", "xml"], 2, "`xml`"),
    "a moment that is none": (["capture", __file__, "-o", "w", "--from", "noon"], 2, "noon"),
    "neither artefact": (["inspect", "."], 5, "neither a workload nor a run"),
    "a run that is not there": (["report", "nowhere", "-o", "out"], 5, "not a run"),
    "a zone that is none": (["capture", __file__, "-o", "w", "--timezone", "Mars"], 2, "Mars"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), BAD.values(), ids=BAD.keys())
def test_errors_have_a_code_a_subject_and_a_hint(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = fourstep(*arguments)
    assert failed.returncode == code, failed.stderr
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: ")
    assert words in failed.stderr
    assert "\n\nhint: " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_verbose_shows_where_an_error_came_from(tmp_path: Path) -> None:
    assert "Traceback" in fourstep("-v", "inspect", tmp_path).stderr


def test_a_defect_decides_nothing_and_is_not_taken_for_no_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("a value nobody should see")

    monkeypatch.setattr("replay.inspect.inspect", broken)
    monkeypatch.setattr("sys.argv", ["fourstep", "inspect", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    told = capsys.readouterr().err
    assert told.startswith("error: a defect in fourstep: ZeroDivisionError")
    assert "Traceback" not in told
    assert "nobody" not in told


def test_the_version_names_what_matters() -> None:
    text = fourstep("--version").stdout
    assert all(word in text for word in ("fourstep", "locust", "psycopg", "python"))


@pytest.mark.parametrize("more", [[], ["--redshift-like"]], ids=["PostgreSQL", "Redshift"])
def test_the_demo_shows_the_whole_way_and_leaves_no_server(
    more: list[str], tmp_path: Path, home: Path
) -> None:
    out = tmp_path / "demo"
    options = ("--size", "small", "--seconds", "5", "-o", out)
    ended = fourstep("demo", *options, *more, timeout_s=240, home=home)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    for step in ("capture", "prepare", "run", "report"):
        assert f"$ fourstep {step} " in ended.stderr
    last = ended.stdout.rstrip().splitlines()[-1]
    assert str(out / "report" / "report.html") in last
    run = Run(out / "run")
    captured, prepared = Workload(out / "captured"), Workload(out / "prepared")
    assert len(captured) == len(prepared) > 50
    assert run.planned == 2 * len(captured)
    assert run.ledger().balanced
    assert run.samples().num_rows == run.planned
    # What 2.0 refuses, 1.0 refused too: the places cover every question.
    verdict = json.loads((out / "report" / "verdict.json").read_text())
    assert verdict["ledger"]["planned"] == run.planned
    gates = {gate["id"]: gate["verdict"] for gate in verdict["gates"]}
    assert gates["new-errors"] == "pass"
    assert ("an imitation of Redshift" in verdict["reason"]) is bool(more)
    assert run.document["target"]["kind"] == ("redshift" if more else "postgresql")
    assert servers_in(home) == []


def test_the_command_line_loads_nothing_heavy_before_it_knows_the_verb() -> None:
    heavy = "scipy boto3 botocore duckdb jinja2 locust matplotlib sqlglot".split()
    asked = f"import sys, reports.cli; print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_ctrl_c_ends_the_demo_and_its_servers(tmp_path: Path, home: Path) -> None:
    demo = subprocess.Popen(
        [*FOURSTEP, "demo", "--size", "small", "--seconds", "60", "-o", str(tmp_path / "demo")],
        env=environment_of(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline_s = time.monotonic() + 60
        # A walk, because directories come and go while a server is made, at which a glob stumbles.
        while not any(LOG_NAME in files for *_, files in os.walk(home / "embedded")):
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        time.sleep(2)
        os.killpg(demo.pid, signal.SIGINT)
        text, _ = demo.communicate(timeout=60)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
    assert demo.returncode == 130, text
    assert "Traceback" not in text
    assert servers_in(home) == []


def test_a_demo_does_not_overwrite_what_no_demo_wrote(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refused = fourstep("demo", "-o", tmp_path)
    assert (refused.returncode, "no earlier demo" in refused.stderr) == (2, True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
