"""What a reader finds in a log, before it is known what of it is worth replaying.

The seam between log formats and the assembly of sessions: a reader yields events in the order of
the file, one per log record, and the assembler decides. A new format is a new reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Statement:
    """A record that carries SQL.

    Times are microseconds since the epoch, UTC. `ended_at_us` is set where the log stamps ends,
    `started_at_us` where it stamps starts.
    """

    line: int
    session_id: str
    sql: str
    started_at_us: int | None = None
    ended_at_us: int | None = None
    duration_us: int | None = None
    params: list[str | None] | None = None
    error: str | None = None
    extended: bool = False
    """Sent by the extended protocol, whose earlier steps the log may time on their own."""
    user: str | None = None
    database: str | None = None
    application: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A timed part of a statement that is still to come: its parsing or its binding.

    Binding tells the values; if the execution fails, no other record does.
    """

    line: int
    session_id: str
    name: str
    duration_us: int
    sql: str = ""
    params: list[str | None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record that says how an earlier statement of the session ended."""

    line: int
    session_id: str
    duration_us: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is understood and not replayed."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that is not understood. `excerpt` shows its form and none of its values."""

    line: int
    reason: str
    excerpt: str


Event = Statement | Step | Outcome | Skipped | Quarantined


class Reader(Protocol):
    """One log format."""

    name: str
    """What `--format` calls it."""
    stamp: str
    """What its stamps mean: `start`, `end`, or `derived` when starts are ends minus durations."""
    resolution_us: int
    dialect: str

    def recognises(self, head: bytes) -> str | None:
        """The evidence that a log beginning like this is of this format, or None."""

    def read(self, stream: BinaryIO) -> Iterator[Event]:
        """Every record of the log as one event."""
