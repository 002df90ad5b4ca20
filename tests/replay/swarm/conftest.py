"""Workloads that tests of whole runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.workload import Workload
from tests.replay.planned import write_workload


@pytest.fixture
def short(tmp_path: Path) -> Workload:
    """Two seconds: 40 statements in 8 sessions, one in ten on a table that is not there."""
    said = [
        (n / 20, f"s{n % 8}", "SELECT * FROM missing" if n % 10 == 9 else f"SELECT {n}")
        for n in range(40)
    ]
    return write_workload(tmp_path / "short", said)


@pytest.fixture
def long(tmp_path: Path) -> Workload:
    """Ten minutes, far beyond any test: one statement a tenth of a second, some that take long."""
    said = [
        (n / 10, f"s{n % 20}", "SELECT pg_sleep(300)" if n == 5 else f"SELECT {n}")
        for n in range(6_000)
    ]
    return write_workload(tmp_path / "long", said)
