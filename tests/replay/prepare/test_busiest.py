from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay.errors import UsageError
from replay.prepare import MEASURES
from replay.prepare.busiest import Busiest, busiest_window
from replay.workload import Workload
from tests.replay.planned import EPOCH_US, write_workload
from tests.test_cli import fourstep

ZERO = datetime.fromtimestamp(EPOCH_US / 1e6, UTC)


def find(seconds: Sequence[float], *, took_s: float, length_s: float, by: str) -> Busiest:
    said = [(second, "s", f"SELECT {n}") for n, second in enumerate(seconds)]
    with TemporaryDirectory() as place:
        workload = write_workload(Path(place) / "w", said, duration_us=round(took_s * 1e6))
        return busiest_window(workload, length_s=length_s, by=by)


def test_the_window_with_most_statements_begins_with_one() -> None:
    found = find([0, 5, 6, 6.5, 7, 20], took_s=1, length_s=2, by="statements")
    assert found.since == ZERO + timedelta(seconds=5)
    assert found.until == ZERO + timedelta(seconds=7)
    assert found.amount == 3, "what begins as the window ends is not in it"
    assert "3 statements" in found.in_words


def test_by_concurrency_what_began_before_counts_as_long_as_it_runs() -> None:
    # Two that run from 10 to 13 and from 11 to 14, one alone before.
    found = find([0, 10, 11, 30], took_s=3, length_s=2, by="concurrency")
    assert found.since == ZERO + timedelta(seconds=11)
    assert found.amount == 2


@settings(deadline=None, max_examples=60)
@example(tenths=[0, 2, 3], took=4, length=2, by="concurrency")
@example(tenths=[0, 3, 3, 4], took=1, length=2, by="statements")
@given(
    tenths=st.lists(st.integers(0, 200), min_size=2, max_size=20),
    took=st.integers(1, 40),
    length=st.integers(1, 60),
    by=st.sampled_from(MEASURES),
)
def test_no_window_is_busier(tenths: list[int], took: int, length: int, by: str) -> None:
    tenths.sort()
    last = tenths[-1] - length
    seconds = [each / 10 for each in tenths]
    if last < tenths[0]:
        with pytest.raises(UsageError, match="shorter"):
            find(seconds, took_s=took / 10, length_s=length / 10, by=by)
        return

    def amount(begin: int) -> float:
        if by == "concurrency":
            each = (min(at + took, begin + length) - max(at, begin) for at in tenths)
            return sum(max(0, inside) for inside in each) / length
        inside = sum(begin <= at < begin + length for at in tenths)
        return inside * (1 if by == "statements" else took / 10)

    found = find(seconds, took_s=took / 10, length_s=length / 10, by=by)
    begin = round((found.since - ZERO).total_seconds() * 10)
    assert found.amount == pytest.approx(amount(begin))
    assert found.amount == pytest.approx(max(map(amount, range(tenths[0], last + 1))))


def test_durations_are_needed_where_they_decide(tmp_path: Path) -> None:
    said = [(0.0, "a", "SELECT 1"), (9.0, "a", "SELECT 2")]
    workload = write_workload(tmp_path / "w", said, duration_us=0)
    with pytest.raises(UsageError, match="no durations"):
        busiest_window(workload, length_s=1, by="time")


def test_prepare_keeps_the_busiest_window_and_says_which(tmp_path: Path) -> None:
    said = [(second, "a", "SELECT 1") for second in (0.0, 60.0, 61.0, 62.0, 200.0)]
    write_workload(tmp_path / "w", said)
    out = tmp_path / "p"
    ended = fourstep("prepare", tmp_path / "w", "-o", out, "--busiest", "5s")
    assert ended.returncode == 0, ended.stderr
    assert "busiest by statements: 2026-03-01T10:01:00+00:00" in ended.stderr
    prepared = Workload(out)
    assert len(prepared) == 3
    skipped = prepared.manifest["counts"]["skipped"]
    assert skipped == {"outside window": 2}, json.dumps(skipped)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--busiest", "soon"), "is not a time"),
        (("--busiest", "1h"), "shorter than the 3600 s"),
        (("--busiest", "1s", "--from", "2026-03-01"), "`--from` and `--to`"),
    ],
)
def test_what_makes_no_window_is_told(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    write_workload(tmp_path / "w", [(0.0, "a", "SELECT 1"), (9.0, "a", "SELECT 1")])
    ended = fourstep("prepare", tmp_path / "w", "-o", tmp_path / "p", *options)
    assert ended.returncode == 2
    assert said in ended.stderr
