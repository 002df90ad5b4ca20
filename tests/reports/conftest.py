"""Runs that several tests look at, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.workload import Workload
from tests.reports.synthetic import QUESTIONS, Plan, write_both, write_run

HOSTILE = "SELECT '</title><script>alert(1)</script>' AS \"x|y\" FROM `t` WHERE a < ?"
QUESTIONS_WITH_HOSTILE = (HOSTILE, *QUESTIONS)


@pytest.fixture(scope="session")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with a bit of everything that goes wrong, and a sound baseline run: (run, baseline)."""
    directory = tmp_path_factory.mktemp("troubled")
    plan = Plan(
        templates=9, questions=QUESTIONS_WITH_HOSTILE,
        new_errors=5, timeouts=2, existing_errors=3, resolved_errors=1, skipped=10,
        slow_template={2: 2.2}, slowdown=0.9, digests=True, other_answers=4,
    )  # fmt: skip
    run = write_both(directory, plan)
    baseline = write_run(
        directory / "r-20240611-a3f",
        Workload(directory / "workload"),
        Plan(
            run_id="r-20240611-a3f",
            seed=20,
            templates=9,
            questions=QUESTIONS_WITH_HOSTILE,
            digests=True,
        ),
    )
    return run, baseline
