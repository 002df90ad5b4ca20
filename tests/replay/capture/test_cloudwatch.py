from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from replay import aws as aws_module
from replay.capture.capture import capture
from replay.capture.cloudwatch import find_streams
from replay.errors import Unreachable, Unreadable, UsageError
from tests.replay.capture.test_postgres_csv import record

GROUP = "/aws/rds/instance/one/postgresql"


@pytest.fixture
def logs(aws: None) -> Any:
    """A client of a server that has an empty log group."""
    client = aws_module.client("logs")
    client.create_log_group(logGroupName=GROUP)
    return client


def put(logs: Any, stream: str, *messages: str) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    now_ms = time.time_ns() // 1_000_000 - 60_000
    events = [{"timestamp": now_ms + n, "message": text} for n, text in enumerate(messages)]
    for first in range(0, len(events), 10_000):
        logs.put_log_events(
            logGroupName=GROUP, logStreamName=stream, logEvents=events[first : first + 10_000]
        )


def statement(text: str) -> str:
    return record(f"duration: 1.000 ms  statement: {text}").removesuffix("\n")


def content(name: str) -> bytes:
    (source,) = find_streams(name)
    with source.opened() as stream:
        return stream.read()


def test_streams_are_captured_with_newlines_in_events(logs: Any, tmp_path: Path) -> None:
    put(logs, "one.0", statement("SELECT 1"), statement("SELECT\n\n  2"))
    put(logs, "one.1", statement("SELECT 3"))
    put(logs, "one.2")
    workload = capture([f"cloudwatch://{GROUP}"], tmp_path / "w")
    rows = workload.statements().to_pylist()
    assert sorted((row["sql"], row["origin"]) for row in rows) == [
        ("SELECT\n\n  2", "one.0:2"),
        ("SELECT 1", "one.0:1"),
        ("SELECT 3", "one.1:1"),
    ]
    assert workload.counts.records_read == 3
    uris = [source["uri"] for source in workload.manifest["sources"]]
    assert uris[:2] == [f"cloudwatch://{GROUP}/one.0", f"cloudwatch://{GROUP}/one.1"]


def test_all_streams_and_those_of_a_prefix(logs: Any) -> None:
    # More than one page: the server lists 50 at a time.
    names = sorted(f"a{number}" for number in range(60))
    for name in [*names, "b"]:
        logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    sources = find_streams(f"cloudwatch://{GROUP}")
    assert [source.name for source in sources] == [*names, "b"]
    (only,) = find_streams(f"cloudwatch://{GROUP}?prefix=b&region=eu-central-1")
    assert only.uri == f"cloudwatch://{GROUP}/b"


def test_all_pages_of_events_are_followed(logs: Any) -> None:
    messages = [f"line {number}" for number in range(10_500)]
    put(logs, "long", *messages)
    assert content(f"cloudwatch://{GROUP}") == "".join(f"{m}\n" for m in messages).encode()


def test_pages_without_events_do_not_end_a_stream(
    logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(logs, "gap", "a", "b")
    (source,) = find_streams(f"cloudwatch://{GROUP}")
    client = source.open_raw.args[0]  # type: ignore[attr-defined]
    ask = client.get_log_events

    def ask_with_gap(**wanted: Any) -> Any:
        if "nextToken" in wanted:
            return ask(**wanted)
        return {"events": [], "nextForwardToken": ask(**wanted, limit=1)["nextForwardToken"]}

    monkeypatch.setattr(client, "get_log_events", ask_with_gap)
    with source.opened() as stream:
        assert stream.read() == b"b\n"


def test_an_events_own_line_end_is_not_doubled(logs: Any) -> None:
    put(logs, "s", "a\n", "b\n\tc", "é")
    assert content(f"cloudwatch://{GROUP}") == "a\nb\n\tc\né\n".encode()


def test_half_a_character_does_not_stop_the_reading(
    logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(logs, "s", "a")
    (source,) = find_streams(f"cloudwatch://{GROUP}")
    client = source.open_raw.args[0]  # type: ignore[attr-defined]
    page = {"events": [{"message": json.loads('"\\ud800"')}], "nextForwardToken": "f/1"}
    monkeypatch.setattr(client, "get_log_events", lambda **wanted: page)
    with source.opened() as stream:
        assert stream.readline() == b"\xed\xa0\x80\n"


def test_a_vanished_stream_is_unreadable(logs: Any) -> None:
    put(logs, "s", "a")
    (source,) = find_streams(f"cloudwatch://{GROUP}")
    logs.delete_log_stream(logGroupName=GROUP, logStreamName="s")
    with pytest.raises(Unreadable, match="cannot be read") as caught:
        source.head(10)
    assert "ResourceNotFoundException" in str(caught.value.__cause__)


def test_an_unknown_group_cannot_be_reached(logs: Any) -> None:
    with pytest.raises(Unreachable, match="`cloudwatch://nothing` cannot be reached"):
        find_streams("cloudwatch://nothing")


def test_no_region(no_aws: None) -> None:
    with pytest.raises(Unreachable) as caught:
        find_streams("cloudwatch://group")
    assert "region" in str(caught.value.__cause__)


def test_no_stream_is_unreadable(logs: Any) -> None:
    put(logs, "s")
    with pytest.raises(Unreadable, match="no stream that begins with `x`"):
        find_streams(f"cloudwatch://{GROUP}?prefix=x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cloudwatch://", "names no log group"),
        ("cloudwatch://?prefix=x", "names no log group"),
        ("cloudwatch://g?stream=x", "has no option `stream`"),
    ],
)
def test_names_that_make_no_sense(no_aws: None, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_streams(name)
