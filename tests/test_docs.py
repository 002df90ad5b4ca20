"""What the documents say that a program can check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from replay.capture.tabular.map import read_column_map
from replay.errors import ExitCode
from replay.run import SAMPLES
from replay.workload import STATEMENTS, TEMPLATES
from reports.cli import fourstep

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRACT = (ROOT / "docs" / "contract.md").read_text()


def test_every_verb_is_in_the_readme() -> None:
    assert set(fourstep.commands) == set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))


def test_every_exit_code_is_in_the_readme() -> None:
    listed = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))
    assert listed == {int(code) for code in ExitCode}


# In a process of its own: importing Locust patches the standard library under everything else.
OPTIONS = """
from locust.argument_parser import LocustArgumentParser
from replay.swarm.options import add_options
parser = LocustArgumentParser()
add_options(parser)
for action in parser._actions:
    print(action.option_strings[-1], getattr(action, "env_var", None))
"""


def test_every_option_of_a_replay_is_documented_with_its_variable() -> None:
    command = [sys.executable, "-c", OPTIONS]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = (ROOT / "docs" / "replay.md").read_text()
    options = dict(line.split() for line in printed.splitlines())
    assert options.pop("--help") == "None"
    assert "--workload" in options
    for name, variable in options.items():
        assert f"`{name}" in text, name
        assert f"`{variable}`" in text, name


def test_the_column_map_in_the_docs_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "capture.md").read_text()
    path = tmp_path / "map.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0])
    assert set(read_column_map(path).columns) == {"sql", "at", "session", "user", "duration"}


@pytest.mark.parametrize(
    "schema", [STATEMENTS, SAMPLES, TEMPLATES], ids=["statements", "samples", "templates"]
)
def test_every_column_is_in_the_contract(schema: list[object]) -> None:
    for name in schema.names:  # type: ignore[attr-defined]
        assert re.search(rf"\b{name}\b", CONTRACT), name


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=str
)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not link.startswith("https://"):
            assert (path.parent / link).exists(), link
