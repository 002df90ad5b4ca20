"""What master and workers tell each other: names of messages and their fields.

Everything is plain JSON types, and nothing that arrives is trusted: anybody who reaches the
master's port can send. Control only; samples never travel this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replay.live import GAUGES

ASSIGN = "fourstep_assign"
"""master → worker: `run_id, shard, shards, workload, sha256, run_dir, plan, url, dials`"""
READY = "fourstep_ready"
"""worker → master: `run_id, shard, statements`, or `error` and `exit_code`"""
GO = "fourstep_go"
"""master → worker: `run_id, zero_epoch_s`"""
DRAIN = "fourstep_drain"
"""master → worker: `run_id, grace_s`"""
LIVE = "fourstep_live"
"""worker → master, once a second: `run_id, shard, due, in_flight, open_sessions, counts`"""
DONE = "fourstep_done"
"""worker → master: `run_id, shard` and the fields of `workers` in run.json"""

_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    ASSIGN: {
        "run_id": str,
        "shard": int,
        "shards": int,
        "workload": str,
        "sha256": str,
        "run_dir": str,
        "plan": str,
        "url": str,
        "dials": dict,
    },
    READY: {"run_id": str, "shard": int},
    GO: {"run_id": str, "zero_epoch_s": (int, float)},
    DRAIN: {"run_id": str, "grace_s": (int, float)},
    LIVE: {"run_id": str, "counts": list, **dict.fromkeys(("shard", *GAUGES), int)},
    DONE: {
        **dict.fromkeys(("run_id", "sha256"), str),
        **dict.fromkeys(("shard", "statements", "rows_written", "varied"), int),
    },
}


def checked(kind: str, data: object) -> Mapping[str, Any] | None:
    """The fields of a message, or None when it is not what its name says."""
    if not isinstance(data, Mapping):
        return None
    for field, types in _FIELDS[kind].items():
        if not isinstance(data.get(field), types):
            return None
    return data
