from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.dials import Dials
from replay.swarm import messages

SHA256 = "0123456789abcdef" * 4
GOOD: dict[str, dict[str, Any]] = {
    messages.PING: {"run_id": "r-1", "number": 0},
    messages.PONG: {
        "run_id": "r-1",
        "number": 9,
        "epoch_us": 1_790_000_000_000_000,
        "versions": {"fourstep": "1.0"},
    },
    messages.ASSIGN: {
        "run_id": "r-1",
        "shard": 1,
        "from_us": 0,
        "shards": 2,
        "workload": "s3://bucket/w",
        "sha256": SHA256,
        "run_dir": "runs/r-1",
        "plan": ".plan.a_1",
        "url": "null:",
        "dials": Dials(since="2026-03-01", max_idle_s=3).as_json(),
    },
    messages.READY: {"run_id": "r-1", "shard": 0, "statements": 7},
    messages.GO: {"run_id": "r-1", "zero_epoch_s": 1_790_000_000.5},
    messages.DRAIN: {"run_id": "r-1", "grace_s": 0},
    messages.LIVE: {
        "run_id": "r-1",
        "shard": 0,
        "due": 9,
        "in_flight": 1,
        "open_sessions": 2,
        "memory_bytes": 90_000_000,
        "counts": [[0, 3], [1, 2]],
    },
    messages.DONE: {
        "run_id": "r-1",
        "shard": 0,
        "statements": 7,
        "rows_written": 7,
        "varied": 0,
        "files": [{"file": "w0-0001.parquet", "sha256": SHA256, "rows": 7}],
        "max_lag_us": 12,
        "cpu_p95": 0.2,
    },
}

BAD: list[tuple[str, dict[str, Any]]] = [
    (messages.PING, {"number": -1}),
    (messages.PING, {"number": True}),
    (messages.PONG, {"epoch_us": 1.5}),
    (messages.PONG, {"versions": {"fourstep": 1}}),
    (messages.ASSIGN, {"shard": 2}),
    (messages.ASSIGN, {"sha256": SHA256[:-1] + "g"}),
    (messages.ASSIGN, {"sha256": SHA256 + "0"}),
    (messages.ASSIGN, {"plan": ".plan./../x"}),
    (messages.ASSIGN, {"dials": Dials().as_json() | {"scale": -1.0}}),
    (messages.ASSIGN, {"dials": Dials().as_json() | {"scale": "1"}}),
    (messages.ASSIGN, {"dials": Dials().as_json() | {"scale": None}}),
    (messages.ASSIGN, {"dials": Dials().as_json() | {"since": "noon"}}),
    (messages.ASSIGN, {"dials": Dials().as_json() | {"other": 1}}),
    (messages.READY, {"shard": "0"}),
    (messages.READY, {"error": b"bytes"}),
    (messages.READY, {"error": "no", "exit_code": 77}),
    (messages.GO, {"zero_epoch_s": float("nan")}),
    (messages.GO, {"zero_epoch_s": float("inf")}),
    (messages.DRAIN, {"grace_s": -0.1}),
    (messages.LIVE, {"counts": None}),
    (messages.LIVE, {"due": -1}),
    (messages.DONE, {"rows_written": -1}),
    (messages.DONE, {"files": None}),
    (messages.DONE, {"files": ["w0.parquet"]}),
    (messages.DONE, {"files": [{"file": "../w0.parquet", "sha256": SHA256, "rows": 7}]}),
    (messages.DONE, {"files": [{"file": "w0.parquet\n", "sha256": SHA256, "rows": 7}]}),
    (messages.DONE, {"cpu_p95": float("nan")}),
    (messages.DONE, {"run_id": ""}),
]

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(sorted(GOOD))


@pytest.mark.parametrize("kind", GOOD)
def test_what_we_send_is_taken(kind: str) -> None:
    told = messages.checked(kind, GOOD[kind] | {"more": "left out"})
    assert told is not None
    assert {name: value for name, value in told.items() if value is not None} == GOOD[kind]


@pytest.mark.parametrize(("kind", "change"), BAD, ids=lambda part: str(part)[:40])
def test_what_makes_no_sense_is_not_taken(kind: str, change: dict[str, Any]) -> None:
    assert messages.checked(kind, GOOD[kind] | change) is None


@given(kind=KINDS, data=JUNK)
def test_junk_is_never_taken(kind: str, data: Any) -> None:
    assert messages.checked(kind, data) is None


@given(kind=KINDS, data=st.data())
def test_one_odd_field_does_not_break_the_check(kind: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(GOOD[kind])))
    told = messages.checked(kind, GOOD[kind] | {name: data.draw(JUNK)})
    assert told is None or told.keys() >= GOOD[kind].keys()


@given(name=st.sampled_from(sorted(Dials().as_json())), value=JUNK)
def test_dials_that_are_taken_make_dials(name: str, value: Any) -> None:
    dials = Dials().as_json() | {name: value}
    told = messages.checked(messages.ASSIGN, GOOD[messages.ASSIGN] | {"dials": dials})
    assert told is None or Dials(**told["dials"])
