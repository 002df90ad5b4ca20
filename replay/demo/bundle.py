"""The workload that comes with the program: the demo's, captured and prepared.

It is what `locust -f locustfiles/replay.py` replays when nothing else is named.
"""

from __future__ import annotations

from pathlib import Path

from replay.errors import Unreadable


def bundled_workload() -> Path:
    """Its directory.

    Raises:
        Unreadable: the program was installed without it.
    """
    path = Path(__file__).parent / "workload"
    if not (path / "manifest.json").is_file():
        raise Unreadable(
            "no workload was named and the bundled one is missing",
            hint="name one with --workload, or make one with `fourstep demo`",
        )
    return path
