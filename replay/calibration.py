"""What one worker of this machine can do, kept by `fourstep calibrate` and remembered by runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replay.artefact import read_json
from replay.errors import Unreadable

NEAR = 0.7
"""A run that needs more than this share of a worker's ceiling is warned."""


def calibration_path() -> Path:
    """`$XDG_STATE_HOME/fourstep/calibration.json`, by default below `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fourstep" / "calibration.json"


def this_machine() -> dict[str, Any]:
    """What a calibration must share with whoever uses it."""
    return {"schema_version": 1, "host": socket.gethostname(), "cpus": os.cpu_count()}


def compared(
    kind: str, planned: Mapping[str, int | None], *, workers: int
) -> dict[str, Any] | None:
    """The `calibration` object of run.json, for its `timetable` and its target's `kind`.

    None when this machine has not been calibrated.
    """
    try:
        document = read_json(calibration_path(), what="calibration")
        found, measured_at = document["targets"][kind], document["measured_at"]
        ceiling, held, tried = (int(found[name]) for name in ("statements_per_s", "held", "tried"))
    except (Unreadable, LookupError, TypeError, ValueError):
        return None
    if not this_machine().items() <= document.items():
        return None
    warnings = []
    peaks = (planned[name] or 0 for name in ("peak_rate_per_s", "peak_sessions"))
    rate, sessions = (-(-peak // workers) for peak in peaks)
    if rate > NEAR * ceiling:
        warnings.append(f"{rate:,} statements/s a worker, and one reached {ceiling:,}/s")
    # Where nothing gave way, what was not tried is all that can be warned of.
    if sessions > (NEAR * held if held < tried else held):
        warnings.append(f"{sessions:,} open sessions a worker, and one held {held:,} of {tried:,}")
    ceilings = {"statements_per_s": ceiling, "held": held, "tried": tried}
    return {"measured_at": measured_at, **ceilings, "warnings": warnings}
