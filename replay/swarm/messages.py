"""What master and workers tell each other: names of messages, their fields, and what these may be.

Everything is plain JSON types, and nothing that arrives is trusted: anybody who reaches the
master's port can send. Control only; samples never travel this way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from replay.dials import Dials
from replay.errors import ExitCode, UsageError
from replay.live import GAUGES

PING = "fourstep_ping"
"""master → worker: `run_id, number`"""
PONG = "fourstep_pong"
"""worker → master: `run_id, number, epoch_us, versions`"""
ASSIGN = "fourstep_assign"
"""master → worker: `run_id, shard, shards, workload, sha256, run_dir, plan, from_us, url,
dials`"""
READY = "fourstep_ready"
"""worker → master: `run_id, shard, statements`, or `error` and `exit_code`"""
GO = "fourstep_go"
"""master → worker: `run_id, zero_epoch_s`, by the worker's clock"""
DRAIN = "fourstep_drain"
"""master → worker: `run_id, grace_s`"""
LIVE = "fourstep_live"
"""worker → master, once a second: `run_id, shard, due, in_flight, open_sessions, memory_bytes,
counts`"""
DONE = "fourstep_done"
"""worker → master: `run_id, shard`, the fields of `workers` in run.json, and `left`: it ends
because somebody ended it, not the run"""

Check = Callable[[Any], bool]

_MOST = 2**53


def _matches(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.DOTALL))


def _perhaps(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _number(value: object) -> bool:
    """Finite and not negative."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST


def _count(value: object) -> bool:
    return isinstance(value, int) and _number(value)


def _dials(value: object) -> bool:
    try:
        return isinstance(value, Mapping) and bool(Dials(**value))
    except (UsageError, TypeError, ValueError, AttributeError):
        return False


_FILE = {
    "file": _matches(r"w[0-9]{1,9}(-[0-9]{4,9})?\.(parquet|arrows)"),
    "sha256": _matches("[0-9a-f]{64}"),
    "rows": _count,
}


def _files(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(file, Mapping)
        and file.keys() == _FILE.keys()
        and all(check(file[name]) for name, check in _FILE.items())
        for file in value
    )


_text = _matches(".{1,65536}")
_RUN: dict[str, Check] = {"run_id": _matches(r"[\w-]{1,64}")}
_SHARD = _RUN | {"shard": _count}
_FIELDS: dict[str, dict[str, Check]] = {
    PING: _RUN | {"number": _count},
    PONG: _RUN
    | {
        "number": _count,
        "epoch_us": _count,
        "versions": lambda value: isinstance(value, Mapping) and all(map(_text, value.values())),
    },
    ASSIGN: _SHARD
    | {
        **dict.fromkeys(("shards", "from_us"), _count),
        **dict.fromkeys(("workload", "run_dir", "url"), _text),
        "sha256": _matches("[0-9a-f]{64}"),
        "plan": _matches(r"\.plan\.\w+"),
        "dials": _dials,
    },
    READY: _SHARD
    | {
        "statements": _perhaps(_count),
        "error": _perhaps(_text),
        "exit_code": lambda value: value is None or value in list(ExitCode),
    },
    GO: _RUN | {"zero_epoch_s": _number},
    DRAIN: _RUN | {"grace_s": _number},
    LIVE: _SHARD
    | {
        **dict.fromkeys(GAUGES, _count),
        # What is in it shows when it is unpacked.
        "counts": lambda value: isinstance(value, list),
    },
    DONE: _SHARD
    | {
        **dict.fromkeys(("statements", "rows_written", "varied"), _count),
        "files": _files,
        **dict.fromkeys(("max_lag_us", "starved_p99_us", "starved_max_us"), _perhaps(_count)),
        "cpu_p95": _perhaps(_number),
        "failure": _perhaps(_text),
        "left": lambda value: value in (None, False, True),
    },
}


def checked(kind: str, data: object) -> dict[str, Any] | None:
    """The fields of a message, those it may lack as None; None when it is not what it says."""
    if not isinstance(data, Mapping):
        return None
    told: dict[str, Any] = {name: data.get(name) for name in _FIELDS[kind]}
    if not all(check(told[name]) for name, check in _FIELDS[kind].items()):
        return None
    return told if kind != ASSIGN or told["shard"] < told["shards"] else None
