from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ResponseStreamingError,
)
from pyarrow import parquet

from replay import aws as aws_module
from replay.capture import s3
from replay.capture import source as source_module
from replay.capture.capture import capture
from replay.capture.s3 import find_objects
from replay.errors import ExitCode, Unreachable, Unreadable, UsageError
from tests.aws import REGION
from tests.replay.capture.test_postgres_csv import record

BUCKET = "logs"


@pytest.fixture
def client(aws: None) -> Any:
    """A client of a server that has an empty bucket."""
    client = aws_module.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def put(client: Any, **bodies: bytes) -> None:
    for key, body in bodies.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)


def statement(text: str) -> bytes:
    return record(f"duration: 1.000 ms  statement: {text}").encode()


def found(path: str) -> list[str]:
    return [source.uri.removeprefix(f"s3://{BUCKET}/") for source in find_objects(path)]


def test_logs_are_captured_packed_or_not(client: Any, tmp_path: Path) -> None:
    put(
        client,
        **{
            "pg/": b"",
            "pg/1.csv": statement("SELECT 1"),
            "pg/2.csv.gz": gzip.compress(statement("SELECT 2")),
            "pg/3.csv.zst": zstandard.compress(statement("SELECT 3")),
            "pg/4.csv.bz2": bz2.compress(statement("SELECT 4")),
            "other/5.csv": statement("SELECT 5"),
        },
    )
    workload = capture([f"s3://{BUCKET}/pg/"], tmp_path / "w")
    rows = workload.statements().to_pylist()
    assert sorted((row["sql"], row["origin"]) for row in rows) == [
        ("SELECT 1", "1.csv:1"),
        ("SELECT 2", "2.csv.gz:1"),
        ("SELECT 3", "3.csv.zst:1"),
        ("SELECT 4", "4.csv.bz2:1"),
    ]
    first = workload.manifest["sources"][0]
    assert (first["uri"], first["bytes"]) == (
        f"s3://{BUCKET}/pg/1.csv",
        len(statement("SELECT 1")),
    )


def test_a_log_that_must_be_sought_in(client: Any, tmp_path: Path) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text('[columns]\nsql = "query"\nat = "started"\n')
    parquet.write_table(
        pa.table({"query": ["SELECT 1"], "started": ["2026-03-01 10:00"]}), tmp_path / "log"
    )
    put(client, **{"log.parquet": (tmp_path / "log").read_bytes()})
    workload = capture([f"s3://{BUCKET}/"], tmp_path / "w", columns=columns)
    assert workload.statements()["sql"].to_pylist() == ["SELECT 1"]
    assert workload.manifest["sources"][0]["bytes"] == (tmp_path / "log").stat().st_size


def test_keys_globs_and_prefixes(client: Any) -> None:
    keys = ["a/1.csv", "a/1.csv.gz", "a/b/2.csv", "a/[3].csv", "ab.csv"]
    put(client, **dict.fromkeys(keys, b"x"), **{"a/": b"", "a/b/": b""})
    assert found(f"s3://{BUCKET}") == sorted(keys)
    assert found(f"s3://{BUCKET}/") == sorted(keys)
    assert found(f"s3://{BUCKET}/a/") == ["a/1.csv", "a/1.csv.gz", "a/[3].csv", "a/b/2.csv"]
    assert found(f"s3://{BUCKET}/a/1") == ["a/1.csv", "a/1.csv.gz"]
    assert found(f"s3://{BUCKET}/a/1.csv") == ["a/1.csv"]
    assert found(f"s3://{BUCKET}/a/*.csv") == ["a/1.csv", "a/[3].csv", "a/b/2.csv"]
    assert found(f"s3://{BUCKET}/a/?.csv*") == ["a/1.csv", "a/1.csv.gz"]
    assert found(f"s3://{BUCKET}/a/[3].csv") == ["a/[3].csv"]
    assert [source.name for source in find_objects(f"s3://{BUCKET}/a/b/")] == ["2.csv"]


def test_all_pages_of_a_listing_are_followed(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server then cuts its answers as S3 does after 1,000 keys.
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    keys = [f"{number}.csv" for number in range(7)]
    put(client, **dict.fromkeys(keys, b"x"))
    assert client.list_objects_v2(Bucket=BUCKET)["IsTruncated"]
    assert found(f"s3://{BUCKET}/") == keys


def test_the_first_look_does_not_read_on(client: Any) -> None:
    put(client, **{"big.csv": b"x" * (5 << 20)})
    (source,) = find_objects(f"s3://{BUCKET}/big.csv")
    assert source.head(1_000) == b"x" * 1_000
    assert source.size <= 1 << 20


def capture_after(change: Callable[[], object], monkeypatch: pytest.MonkeyPatch, out: Path) -> Any:
    """Capture the bucket, with a change between its listing and the first look at a log."""
    find_sources = source_module.find_sources

    def find_and_change(names: list[str]) -> Any:
        sources = find_sources(names)
        change()
        return sources

    monkeypatch.setattr("replay.capture.capture.find_sources", find_and_change)
    return capture([f"s3://{BUCKET}/"], out)


def test_a_vanished_log_is_set_aside(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, **{"1.csv": statement("SELECT 1"), "2.csv": statement("SELECT 2")})
    workload = capture_after(
        lambda: client.delete_object(Bucket=BUCKET, Key="1.csv"), monkeypatch, tmp_path / "w"
    )
    assert workload.statements()["sql"].to_pylist() == ["SELECT 2"]
    assert dict(workload.counts.quarantined) == {"cannot be read": 1}


def test_a_forbidden_log_is_set_aside(client: Any, tmp_path: Path) -> None:
    put(client, **{"1.csv": statement("SELECT 1"), "2.csv": statement("SELECT 2")})
    forbid(client, "1.csv")
    workload = capture([f"s3://{BUCKET}/"], tmp_path / "w")
    assert workload.statements()["sql"].to_pylist() == ["SELECT 2"]
    assert dict(workload.counts.quarantined) == {"cannot be read": 1}
    with pytest.raises(Unreadable, match=r"`s3://logs/1.csv` cannot be read") as caught:
        find_objects(f"s3://{BUCKET}/1.csv")[0].open_raw()
    assert "403" in str(caught.value.__cause__)


def forbid(client: Any, key: str) -> None:
    denial = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/{key}",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denial]})
    client.put_bucket_policy(Bucket=BUCKET, Policy=policy)


class Breaking:
    """A client whose bodies break after so many bytes; it notes what was asked for."""

    def __init__(self, client: Any, after: int) -> None:
        self._client = client
        self._after = after
        self.ranges: list[str | None] = []

    def get_object(self, **wanted: Any) -> Any:
        self.ranges.append(wanted.get("Range"))
        answer = self._client.get_object(**wanted)
        answer["Body"] = BreakingBody(answer["Body"], self._after)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class BreakingBody:
    def __init__(self, body: Any, left: int) -> None:
        self._body = body
        self._left = left

    def read(self, size: int) -> bytes:
        data: bytes = self._body.read(min(size, self._left))
        if not data and size:
            raise ResponseStreamingError(error="connection reset")
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()


@pytest.fixture
def breaking(client: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Breaking]:
    """Makes clients that break."""

    def install(after: int) -> Breaking:
        double = Breaking(client, after)
        monkeypatch.setattr(aws_module, "client", lambda service: double)
        monkeypatch.setattr(s3, "_WAIT_S", 0)
        return double

    return install


def test_a_broken_body_is_resumed_where_it_broke(
    client: Any, breaking: Callable[[int], Breaking], tmp_path: Path
) -> None:
    log = b"".join(statement(f"SELECT {number}") for number in range(50))
    put(client, **{"1.csv": log})
    double = breaking(1_000)
    workload = capture([f"s3://{BUCKET}/1.csv"], tmp_path / "w")
    sqls = sorted(workload.statements()["sql"].to_pylist(), key=lambda sql: int(sql[7:]))
    assert sqls == [f"SELECT {number}" for number in range(50)]
    assert workload.manifest["sources"][0]["bytes"] == len(log)
    assert double.ranges[:3] == [None, "bytes=1000-", "bytes=2000-"]


def test_a_body_that_breaks_for_good_is_unreadable(
    client: Any, breaking: Callable[[int], Breaking]
) -> None:
    put(client, **{"1.csv": b"x" * 100})
    double = breaking(0)
    (source,) = find_objects(f"s3://{BUCKET}/1.csv")
    with pytest.raises(Unreadable, match="breaks off at byte 0") as caught:
        source.head(10)
    assert isinstance(caught.value.__cause__, ResponseStreamingError)
    assert double.ranges == [None] + ["bytes=0-"] * 4


def test_a_log_replaced_while_it_is_read_is_unreadable(
    client: Any, breaking: Callable[[int], Breaking]
) -> None:
    put(client, **{"1.csv": b"x" * 100})
    breaking(10)
    (source,) = find_objects(f"s3://{BUCKET}/1.csv")
    stream = source.open_raw()
    assert stream.read(10) == b"x" * 10
    put(client, **{"1.csv": b"y" * 100})
    with pytest.raises(Unreadable) as caught:
        stream.read(10)
    assert "PreconditionFailed" in str(caught.value.__cause__)
    stream.close()


def test_a_damaged_body_is_unreadable(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="1.csv", Body=b"x" * 100, ChecksumAlgorithm="SHA256")
    (source,) = find_objects(f"s3://{BUCKET}/1.csv")
    stream = source.open_raw()
    stream._body._checksum.update(b"another byte")  # type: ignore[attr-defined]
    assert stream.read(100) == b"x" * 100
    with pytest.raises(Unreadable, match="does not match its checksum"):
        stream.read(100)
    stream.close()


def test_an_unknown_bucket_cannot_be_reached(client: Any) -> None:
    with pytest.raises(Unreachable, match="`s3://nowhere/x` cannot be reached") as caught:
        find_objects("s3://nowhere/x")
    assert "NoSuchBucket" in str(caught.value.__cause__)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert "AWS_PROFILE" in str(caught.value.hint) and "region" in str(caught.value.hint)


def test_nothing_under_the_prefix_is_unreadable(client: Any) -> None:
    put(client, **{"a/": b"", "b.csv": b"x"})
    for path in ("a/", "c", "*.gz"):
        with pytest.raises(Unreadable, match="is no log") as caught:
            find_objects(f"s3://{BUCKET}/{path}")
        assert f"aws s3 ls s3://{BUCKET}/" in str(caught.value.hint)


def test_no_credentials(no_aws: None) -> None:
    with pytest.raises(Unreachable) as caught:
        find_objects(f"s3://{BUCKET}/")
    assert "credentials" in str(caught.value.__cause__)


def test_an_unknown_profile(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Unreachable) as caught:
        find_objects(f"s3://{BUCKET}/")
    assert "nobody" in str(caught.value.__cause__)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no url"])
def test_nobody_answers(aws: None, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(Unreachable):
        find_objects(f"s3://{BUCKET}/")


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ClientError({"Error": {"Code": "ExpiredToken"}}, "GetObject"),
        CredentialRetrievalError(provider="sso", error_msg="the session has expired"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_log_can_survive_ends_the_capture(
    client: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    put(client, **{"1.csv": b"x"})
    (source,) = find_objects(f"s3://{BUCKET}/1.csv")

    def fail(**wanted: Any) -> None:
        raise error

    monkeypatch.setattr(source.open_raw.args[0], "get_object", fail)  # type: ignore[attr-defined]
    with pytest.raises(Unreachable) as caught:
        source.head(10)
    assert caught.value.__cause__ is error


def test_a_bucket_must_be_named(no_aws: None) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        find_objects("s3:///x")
