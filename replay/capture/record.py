"""What a reader finds in a log: one row per log record, in columns, in the order of the log.

The seam between log formats and the assembly of sessions. A reader says where records begin in a
block of bytes and what a column of them holds; it does not loop over records in Python, so that a
log is read at the speed of Arrow's compute kernels. A new format is a new reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.capture.source import Source

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class What(IntEnum):
    """What a record is to a replay."""

    STATEMENT = 0
    """Carries SQL that the server ran."""
    FAILURE = 1
    """Carries SQL that failed, perhaps told before by a STATEMENT of its session."""
    OUTCOME = 2
    """Says how the last STATEMENT of its session ended."""
    STEP = 3
    """A timed part of the session's next extended STATEMENT: its parsing or its binding."""
    CONNECT = 4
    DISCONNECT = 5
    RESTART = 6
    """The server started: no session goes on."""
    SKIPPED = 7
    """Understood and not replayed."""
    QUARANTINED = 8
    """Not understood."""


RECORDS = pa.schema(
    [
        ("line", pa.int64()),  # where the record begins in its file, from 1
        ("what", pa.int8()),
        ("reason", pa.string()),  # why it is no statement; null for STATEMENT and FAILURE
        ("excerpt", pa.string()),  # of QUARANTINED: its form, with none of its values
        ("session", pa.string()),  # whatever tells sessions apart
        ("at_us", pa.int64()),  # the stamp, microseconds since the epoch, UTC
        ("ends", pa.bool_()),  # the stamp is when the statement ended, not when it began
        ("duration_us", pa.int64()),
        ("rows", pa.int64()),
        ("error", pa.string()),
        ("user", pa.string()),
        ("database", pa.string()),
        ("application", pa.string()),
        ("sql", pa.string()),
        ("params", pa.list_(pa.string())),
        ("extended", pa.bool_()),  # sent by the extended protocol, whose steps are timed apart
    ]
)
"""Columns of a record; all but `line` and `what` may be null. No record of a log is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    """What a user may say of a log's form."""

    zone: tzinfo | None = None
    """Overrides the zone that stamps name."""
    log_line_prefix: str | None = None
    columns: Path | None = None
    chosen: bool = False
    """The user named the format: no evidence is asked for."""
    since: datetime | None = None
    until: datetime | None = None
    """Statements outside are not wanted: a reader that can spares reading them."""


class Recognised(NamedTuple):
    """A reader that fits a log."""

    reader: Reader
    evidence: str
    """What in the log tells its format, in a user's words: `line 1 has …`."""
    rank: int = 0
    """Logs of a lower rank are read before others, whatever their time."""


class Reader(Protocol):
    """One log format. One object reads all logs of a capture that have this format."""

    name: ClassVar[str]
    """What `--format` calls it."""

    @property
    def dialect(self) -> str:
        """sqlglot's name of the SQL in it."""

    @property
    def meaning(self) -> str:
        """What stamps mean: `start`, `end`, or `derived` when starts are ends minus durations."""

    @property
    def unique_sessions(self) -> bool:
        """`session` never names two sessions; else it is a pid or a thread that is used again."""

    @property
    def resolution_us(self) -> int:
        """How fine stamps are: 1, 1000 or 1000000 microseconds."""

    @property
    def notes(self) -> set[str]:
        """What a user must know of the logs read so far, each with the setting to change."""

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """A reader for the log that begins like this, or None where it is in another format."""

    def adopt(self, other: Self) -> bool:
        """Whether this reader reads what `other` was made for; it may learn from it."""

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every record of a log as tables of RECORDS, in the log's order.

        Raises:
            Unreadable: the log cannot be opened or goes away.
        """


def records_of(count: int, columns: Mapping[str, Any]) -> pa.Table:
    """A table of RECORDS from the columns that a format has; the others are null.

    A column is an Arrow array, anything `pa.array` takes, or one value for all rows.
    """
    arrays = []
    for field in RECORDS:
        value = columns.get(field.name)
        if isinstance(value, (pa.Array, pa.ChunkedArray)):
            array = value if value.type == field.type else value.cast(field.type)
        elif isinstance(value, (list, np.ndarray)):
            array = pa.array(value, type=field.type)
        else:
            array = pa.repeat(pa.scalar(value, type=field.type), count)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=RECORDS)


def quarantined(lines: Ints, reason: str, excerpts: list[str] | None = None) -> pa.Table:
    """Records that are not understood; excerpts show their form and none of their values."""
    what = int(What.QUARANTINED)
    columns = {"line": lines, "what": what, "reason": reason, "excerpt": excerpts or ""}
    return records_of(len(lines), columns)


NO_RECORDS = RECORDS.empty_table()
