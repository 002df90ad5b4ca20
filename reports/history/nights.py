"""All nights of a history in order of time, what was acknowledged, and which files are damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from replay.artefact import read_json, write_json, write_table
from replay.errors import Unreadable, UsageError
from reports.history.night import SCHEMA, SCHEMA_VERSION, Night
from reports.history.place import Place

_ACKNOWLEDGED = "acknowledged-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Nights in a row that can be compared. `changed` says what began it."""

    nights: list[Night]
    changed: list[dict[str, str | None]]


@dataclass(slots=True, kw_only=True)
class Nights:
    """A history as read: `acknowledged` has a reason by run_id, `damaged` one by name of file."""

    nights: list[Night] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    def has(self, run_id: str) -> bool:
        """Whether this run is one of the nights."""
        return any(night.run_id == run_id for night in self.nights)

    def segments(self) -> list[Segment]:
        """All of them; a night with another key than the night before begins a new one."""
        found: list[Segment] = []
        for night in self.nights:
            before = found[-1].nights[-1] if found else night
            if not found or before.key != night.key:
                found.append(Segment(nights=[], changed=list(_changed(before, night))))
            found[-1].nights.append(night)
        return found


def _changed(before: Night, after: Night) -> Iterator[dict[str, str | None]]:
    for part in dict.fromkeys([*after.key, *before.key]):
        one, two = before.key.get(part), after.key.get(part)
        if one != two and part == "workload" and before.workload == after.workload:
            part = f"workload under the same name {after.workload}"
        if one != two:
            yield {"part": part, "before": one, "after": two}


def read_nights(place: Place) -> Nights:
    """Read every file; one that is no whole night counts as damaged and is left out."""
    found = Nights()
    for name, path in place.files().items():
        try:
            if name.endswith(".parquet"):
                found.nights.append(Night.from_table(pq.read_table(path, partitioning=None)))
            elif name.startswith(_ACKNOWLEDGED):
                told = read_json(path, what="history")
                found.acknowledged[told["run_id"]] = told["why"]
        except (pa.ArrowException, OSError, ValueError, KeyError, Unreadable) as error:
            found.damaged[name] = str(error).splitlines()[0]
    found.nights.sort(key=lambda night: (night.started_at, night.run_id))
    return found


def add_night(place: Place, night: Night) -> bool:
    """Write a night's file; False, and nothing done, where the run is there already."""
    if read_nights(place).has(night.run_id):
        return False
    batches = night.as_table().to_batches()
    place.put(night.file, lambda path: write_table(path, SCHEMA, batches))
    return True


def acknowledge(place: Place, run_id: str, *, why: str) -> None:
    """Write down that what had become worse by this night is known.

    Raises:
        UsageError: no such night.
    """
    found = read_nights(place)
    if not found.has(run_id):
        latest = found.nights[-1].run_id if found.nights else "none"
        raise UsageError(f"no night `{run_id}` in `{place.uri}`", hint=f"the latest is {latest}")
    document = {"schema_version": SCHEMA_VERSION, "run_id": run_id, "why": why}
    document |= {"acknowledged_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    place.put(f"{_ACKNOWLEDGED}{run_id}.json", lambda path: write_json(path, document))
