"""Real replays of one system judged against each other: a gate that fails is a false alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.judge.result import Outcome
from reports.load import load
from tests.bench.aa import false_alarms, replay_same, splits


@pytest.mark.slow
def test_real_replays_of_one_system_fail_one_time_in_twenty_at_most(tmp_path: Path) -> None:
    runs = [load(path) for path in replay_same(tmp_path, 6)]
    found = false_alarms(splits(runs))
    assert found["p95-overall"].total() == 20
    for ends in found.values():
        assert ends[Outcome.FAIL] <= 0.05 * ends.total(), found
