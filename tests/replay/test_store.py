"""Artefacts in S3, against a server that speaks as S3 does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replay import aws as aws_module
from replay.artefact import sha256_of
from replay.errors import Unreachable, Unreadable, UsageError
from replay.store import Prefix, cache, fetch, written
from replay.workload import Workload
from reports.cli import fourstep
from tests.aws import REGION
from tests.replay.planned import write_workload

URI = "s3://artefacts/of/ours"
SAID = [(n / 10, f"s{n % 3}", f"SELECT {n}") for n in range(30)]


@pytest.fixture
def s3(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    client = aws_module.client("s3")
    client.create_bucket(
        Bucket="artefacts", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return client


@pytest.fixture
def workload(s3: Any) -> Workload:
    """A workload at URI; what the writer sees of it."""
    with written(URI) as path:
        return write_workload(path, SAID)


def keys(s3: Any) -> list[str]:
    listed = s3.list_objects_v2(Bucket="artefacts")
    return [entry["Key"] for entry in listed.get("Contents", ())]


def test_a_workload_comes_back_as_it_was_and_is_fetched_once(s3: Any, workload: Workload) -> None:
    path = fetch(URI)
    assert Workload(path).manifest == workload.manifest
    assert sha256_of(path / "statements.parquet") == workload.sha256
    assert len(Workload(path).statements()) == len(SAID)
    before = (path / "statements.parquet").stat().st_ino
    assert fetch(URI + "/") == path
    assert (path / "statements.parquet").stat().st_ino == before
    assert list(cache().iterdir()) == [path]


def test_another_workload_at_the_same_place_is_another_copy(s3: Any, workload: Workload) -> None:
    first = fetch(URI)
    for key in keys(s3):
        s3.delete_object(Bucket="artefacts", Key=key)
    with written(URI) as path:
        write_workload(path, SAID[:10])
    assert len(Workload(fetch(URI))) == 10
    assert len(Workload(first)) == 30


def test_nothing_in_s3_is_overwritten(s3: Any, workload: Workload) -> None:
    with pytest.raises(UsageError, match="nothing in S3 is overwritten"), written(URI):
        pytest.fail("began to write")
    # Beside it is another place.
    with written(URI + "-too") as path:
        write_workload(path, SAID)
    assert len(keys(s3)) == 8


def test_what_failed_is_not_published(s3: Any) -> None:
    with pytest.raises(KeyError), written(URI) as path:
        write_workload(path, SAID)
        raise KeyError
    assert keys(s3) == []
    assert not any(cache().iterdir())


@pytest.mark.parametrize("name", ["statements.parquet", "templates.parquet"])
def test_a_file_that_is_not_what_the_manifest_says_is_told(
    name: str, s3: Any, workload: Workload
) -> None:
    s3.put_object(Bucket="artefacts", Key=f"of/ours/{name}", Body=b"something else")
    with pytest.raises(Unreadable, match=f"`{name}` does not match its checksum"):
        fetch(URI)
    assert not any(cache().iterdir())


def test_names_that_lead_out_of_the_copy_are_left_out(s3: Any, workload: Workload) -> None:
    for name in ("../escaped", "a/../../escaped", "/escaped", "folder/"):
        s3.put_object(Bucket="artefacts", Key=f"of/ours/{name}", Body=b"")
    path = fetch(URI)
    assert not list(cache().rglob("escaped"))
    assert Workload(path).sha256 == workload.sha256


def test_places_without_an_artefact_are_told(s3: Any) -> None:
    s3.put_object(Bucket="artefacts", Key="logs/a.csv", Body=b"1")
    with pytest.raises(Unreadable, match="neither a workload nor a run"):
        fetch("s3://artefacts/logs")
    with pytest.raises(Unreachable, match="cannot be reached"):
        fetch("s3://no-such-bucket/x")
    with pytest.raises(UsageError, match="names no bucket"):
        fetch("s3:///x")
    with pytest.raises(Unreachable, match="artefacts/logs/none` cannot be reached"):
        Prefix("s3://artefacts/logs").get("none", cache() / "none")


def test_a_large_file_goes_in_parts_with_checksums_and_comes_back(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(17 << 20))
    prefix = Prefix(URI)
    prefix.put(tmp_path, ["large"])
    head = s3.head_object(Bucket="artefacts", Key="of/ours/large", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert head["ChecksumSHA256"]
    prefix.get("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_verbs_read_and_write_artefacts_in_s3(s3: Any, workload: Workload) -> None:
    def told(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(fourstep, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    assert told("inspect", URI)["statements"] == 30
    told("prepare", URI, "-o", "s3://artefacts/prepared")
    assert told("inspect", "s3://artefacts/prepared")["coverage"] == {"unchanged": 1}
    assert "prepared/coverage.html" in keys(s3)
