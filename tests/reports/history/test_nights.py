"""A history on disk and in S3: two writers, half a file, zones, the same run twice."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import aws as aws_module
from replay.errors import Unreadable, UsageError
from reports.history.night import METRICS, SCHEMA, Night
from reports.history.nights import acknowledge, add_night, read_nights
from reports.history.place import Place
from tests.aws import REGION
from tests.reports.history.verdicts import verdict


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "directory":
        return Place(str(tmp_path / "history"))
    request.getfixturevalue("aws")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    location = {"LocationConstraint": REGION}
    aws_module.client("s3").create_bucket(Bucket="nights", CreateBucketConfiguration=location)
    return Place("s3://nights/of/ours")


def night(number: int, **told: Any) -> Night:
    return Night.from_verdict(verdict(number, **told))


BASE = night(0)


def test_nights_come_back_in_order_of_time_and_once(place: Place) -> None:
    assert read_nights(place).nights == []
    nights = [night(number) for number in (2, 0, 1)]
    assert [add_night(place, each) for each in nights] == [True, True, True]
    assert add_night(place, nights[0]) is False
    assert read_nights(place).nights == [nights[1], nights[2], nights[0]]
    assert len(place.files()) == 3


def test_what_is_acknowledged_comes_back_and_may_be_said_anew(place: Place) -> None:
    add_night(place, night(0))
    with pytest.raises(UsageError, match="no night `night-7`"):
        acknowledge(place, "night-7", why="x")
    for why in ("index dropped", "more data"):
        acknowledge(place, "night-000", why=why)
    assert read_nights(place).acknowledged == {"night-000": "more data"}


def test_half_a_file_is_named_and_left_out_and_can_be_added_again(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    for number in range(3):
        add_night(place, night(number))
    path = tmp_path / night(1).file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "acknowledged-x.json").write_text("{")
    (tmp_path / ".begun.parquet.1.partial").write_bytes(whole[:100])
    (tmp_path / "notes.txt").write_text("not ours")
    pq.write_table(pa.table({"run_id": ["x"]}), tmp_path / "other.parquet")
    found = read_nights(place)
    assert [each.run_id for each in found.nights] == ["night-000", "night-002"]
    assert set(found.damaged) == {path.name, "acknowledged-x.json", "other.parquet"}
    assert add_night(place, night(1))
    assert len(read_nights(place).nights) == 3


def _add(arguments: tuple[str, int]) -> bool:
    where, number = arguments
    return add_night(Place(where), night(number))


def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    jobs = [(str(tmp_path), number % 8) for number in range(24)]
    with multiprocessing.get_context("spawn").Pool(3) as writers:
        writers.map(_add, jobs, chunksize=1)
    found = read_nights(Place(str(tmp_path)))
    assert [each.run_id for each in found.nights] == [f"night-{number:03}" for number in range(8)]
    assert found.damaged == {}
    assert len(list(tmp_path.iterdir())) == 8


def test_moments_of_all_zones_are_in_order_and_in_utc(tmp_path: Path) -> None:
    told = ["2026-03-02T01:30:00+09:00", "2026-03-01T17:00:00", "2026-03-01T13:00:00-05:00"]
    place = Place(str(tmp_path))
    for number in (2, 0, 1):
        add_night(place, night(number, started_at=told[number]))
    found = read_nights(place).nights
    assert [each.run_id for each in found] == ["night-000", "night-001", "night-002"]
    stamps = [each.as_json()["started_at"] for each in found]
    assert stamps == ["2026-03-01T16:30:00Z", "2026-03-01T17:00:00Z", "2026-03-01T18:00:00Z"]


@given(
    st.fixed_dictionaries(
        {m.name: st.none() | st.floats(allow_nan=False, width=64) for m in METRICS}
    ),
    st.dictionaries(st.text(), st.text()),
)
def test_a_night_is_what_its_row_says(values: dict[str, float | None], key: dict[str, str]) -> None:
    base = night(0)
    told = Night(
        **{name: getattr(base, name) for name in SCHEMA.names[1:6]}, key=key, values=values
    )
    assert Night.from_table(told.as_table()) == told


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden"])
def test_a_run_id_that_is_no_name_of_a_file_is_refused(run_id: str) -> None:
    document = verdict(0)
    document["provenance"]["runs"]["candidate"]["run_id"] = run_id
    with pytest.raises(Unreadable, match="run_id"):
        Night.from_verdict(document)


def test_a_verdict_of_an_earlier_version_says_what_to_do() -> None:
    with pytest.raises(Unreadable, match="lacks what a history needs: 'provenance'") as raised:
        Night.from_verdict({"verdict": "GO"})
    assert raised.value.hint == "judge the run again with `fourstep report`"


def test_the_files_are_one_table_for_others_too(tmp_path: Path) -> None:
    for number in range(3):
        add_night(Place(str(tmp_path)), night(number))
    wanted = f"SELECT run_id, round(p95_us) FROM '{tmp_path}/*.parquet' ORDER BY started_at"
    rows = duckdb.execute(wanted).fetchall()
    assert rows == [(f"night-{number:03}", 480_000) for number in range(3)]
