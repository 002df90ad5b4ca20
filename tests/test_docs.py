"""What the documents say that a program can check."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import cast

import pytest
from locust.argument_parser import LocustArgumentParser

from replay.errors import ExitCode
from replay.run import SAMPLES
from replay.swarm.options import add_options
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


def test_every_option_of_a_replay_is_documented_with_its_variable() -> None:
    parser = LocustArgumentParser()
    add_options(parser)
    text = (ROOT / "docs" / "replay.md").read_text()
    for action in cast(ArgumentParser, parser)._actions:
        name = action.option_strings[-1]
        if name in ("--help",):
            continue
        assert f"`{name}" in text, name
        assert f"`{getattr(action, 'env_var', None)}`" in text, name


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
