"""The jobs of docs/nightly.md, as they stand there, for a night on a small workload."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from reports.history.nights import read_nights
from reports.history.place import Place

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "nightly.md").read_text("utf-8")
TARGET = "postgresql://reader@new-host/reports"
NIGHT = "/usr/local/bin/fourstep-night"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A FOURSTEP_HOME with a workload, and `fourstep` and the night's script on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (script,) = blocks("sh")
    for name, text in {
        "fourstep": f'#!/bin/sh\nexec {sys.executable} -m reports "$@"\n',
        "fourstep-night": script,
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(ROOT / "replay" / "demo" / "workload", home / "prepared")
    for name, value in {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        # Twenty seconds of questions in two.
        "FOURSTEP_SPEED": "10",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }.items():
        monkeypatch.setenv(name, value)
    return home


def here(text: str, home: Path) -> str:
    """A line of the document with this test's places."""
    text = text.replace(NIGHT, str(home.parent / "bin" / "fourstep-night"))
    return text.replace("/var/lib/fourstep", str(home)).replace(TARGET, "null:")


def one_night(home: Path) -> None:
    """The history has the night, and its pages are there."""
    found = read_nights(Place(str(home / "history")))
    assert (len(found.nights), found.damaged) == (1, {})


def test_the_line_of_cron(home: Path) -> None:
    (line,) = blocks("crontab")
    *when, command = line.split(maxsplit=5)
    assert when == ["30", "2", "*", "*", "*"]
    assert "%" not in command, "cron would make a new line of it"
    old = home / "nights" / "20200101-023000"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    told = subprocess.run(["sh", "-c", here(command, home)], capture_output=True, text=True)
    one_night(home)
    (night,) = (home / "nights").iterdir()
    assert (night / "report" / "history.html").is_file()
    # The first night is never green, and its end is mailed.
    assert "history too short" in told.stdout or "not measured" in told.stdout
    assert told.stderr == ""


def test_the_units_of_systemd(home: Path) -> None:
    service, timer = (here(text, home) for text in blocks("ini"))
    lines = [line.partition("=")[::2] for line in service.splitlines()]
    environment = dict(value.split("=", 1) for key, value in lines if key == "Environment")
    (command,) = (value for key, value in lines if key == "ExecStart")
    if shutil.which("systemd-analyze"):
        for name, text in (("service", service), ("timer", timer)):
            (home / f"fourstep-night.{name}").write_text(text.replace("User=fourstep\n", ""))
        units = [str(home / f"fourstep-night.{name}") for name in ("service", "timer")]
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True
        )
        assert "fourstep-night" not in verified.stderr, verified.stderr
    assert re.search(r"^OnCalendar=\*-\*-\* 02:30:00$", timer, re.MULTILINE)
    # The same command with the same environment as the line of cron, of which a night is run.
    (line,) = blocks("crontab")
    told = dict(word.split("=", 1) for word in here(line, home).split() if "FOURSTEP_" in word)
    assert environment == told
    assert Path(command).is_file()


def test_the_workflow(home: Path, tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    workflow = yaml.safe_load(text)
    job = workflow["jobs"]["night"]
    environment = {"FOURSTEP_HOME": str(home), "FOURSTEP_TARGET": "null:"}
    assert set(job["env"]) == {*environment, "PGPASSWORD"}
    codes = [
        subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=tmp_path,
            env=os.environ | environment,
        ).returncode
        for step in job["steps"]
        if "run" in step
    ]
    assert codes == [0, 0, 3]
    one_night(home)
    summary = (tmp_path / "summary.md").read_text()
    assert "## Gates" in summary
    assert "history too short" in summary or "not measured" in summary
