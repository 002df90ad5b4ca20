"""What one worker of this machine can do, kept by `fourstep calibrate` and remembered by runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replay.artefact import read_json
from replay.errors import Unreadable

SCHEMA_VERSION = 1
NEAR = 0.7
"""A run that needs more than this share of a worker's ceiling is warned."""


def calibration_path() -> Path:
    """`$XDG_STATE_HOME/fourstep/calibration.json`, by default below `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fourstep" / "calibration.json"


def this_machine() -> dict[str, Any]:
    """What a calibration must share with whoever uses it."""
    return {"schema_version": SCHEMA_VERSION, "host": socket.gethostname(), "cpus": os.cpu_count()}


def compared(kind: str, planned: Mapping[str, int], *, workers: int) -> dict[str, Any] | None:
    """The `calibration` object of run.json: the ceiling, and `warnings` where a run is near it.

    `planned` is the `timetable` object of run.json, `kind` the target's. None when this machine
    has not been calibrated.
    """
    try:
        document = read_json(calibration_path(), what="calibration")
        if {name: document[name] for name in this_machine()} != this_machine():
            return None
        target = document["targets"][kind]
        ceiling, held, tried = (
            int(value)
            for value in (
                target["statements_per_s"],
                target["sessions"]["held"],
                target["sessions"]["tried"],
            )
        )
        measured_at = str(document["measured_at"])
    except (Unreadable, KeyError, TypeError, ValueError):
        return None
    warnings = []
    rate = -(-planned["peak_rate_per_s"] // workers)
    if rate > NEAR * ceiling:
        warnings.append(
            f"{rate:,} statements/s for each worker are above {NEAR:.0%} of the {ceiling:,}/s that "
            "one worker reached in `fourstep calibrate`"
        )
    sessions = -(-planned["peak_sessions"] // workers)
    # Where nothing gave way, what was not tried is all that can be warned of.
    if sessions > (NEAR * held if held < tried else held):
        warnings.append(
            f"{sessions:,} open sessions for each worker, and `fourstep calibrate` saw one worker "
            f"hold {held:,} of {tried:,}"
        )
    return {
        "measured_at": measured_at,
        "statements_per_s": ceiling,
        "sessions": {"held": held, "tried": tried},
        "warnings": warnings,
    }
