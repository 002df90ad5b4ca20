"""How one worker's samples get to disk while it replays.

The engine appends ten integers per statement to one flat array; nothing else happens on its
thread. Twice a second the array goes to a thread of its own, which looks up what can be
looked up (session, template, due time), makes an Arrow batch and appends it to a stream: at most
that second is at risk when the process is killed. At the end, and in long runs now and then, the
stream becomes Parquet.
"""

from __future__ import annotations

import fcntl
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.artefact import sha256_of, write_table
from replay.offsets import Ints
from replay.run import SAMPLES, STATUSES, read_stream
from replay.timetable import Timetable
from replay.workload import coded

FIELDS = 10
INDEX, CLONE, DUE_US, READY_US, SENT_US, FIRST_ROW_US, DONE_US, STATUS, ROWS, PID = range(FIELDS)
"""Places in a row of the flat array: the planned index, the session's clone number, times since
the run's zero, the status with DIVERGED added where it applies, rows of the answer, the server's
process."""
NONE = -1
"""Stands for null in the flat array; no time since zero that is recorded is negative but `ready`,
which is clipped to zero."""
DIVERGED = 8

Rows = npt.NDArray[np.int64]
"""Of shape (statements, FIELDS)."""
Notes = dict[tuple[int, int], tuple[str | None, str | None, str | None]]
"""SQLSTATE, error or reason of a skip, digest of the answer: what there is of them, by planned
index and clone number."""
_NOTHING = (None, None, None)

OK, ERROR, TIMEOUT, CANCELLED, SKIPPED, UNKNOWN = range(len(STATUSES))

# Kept free on the disk, so that what is in memory can still be written when it is full.
_RESERVE_BYTES = 8 << 20
RESERVES = ".*.reserve"


class Planned:
    """What is known of a worker's statements before they are sent."""

    def __init__(self, timetable: Timetable, statements: pa.Table) -> None:
        self._timetable = timetable
        self._session_id, self._kind, self._template_id = (
            coded(statements[name]) for name in ("session_id", "kind", "template_id")
        )
        self._seq, self._captured_us = statements["seq"], statements["duration_us"]

    def batch(self, rows: Rows, notes: Notes, *, worker: str) -> pa.RecordBatch:
        """Samples of schema `SAMPLES`."""
        index, clone, due_us, ready_us, sent_us, first_row_us, done_us, status, count, pid = rows.T
        row = pa.array(self._timetable.row[index])
        session_id = self._session_id.take(row).cast(pa.string())
        copies = [f"#{number}" if number else "" for number in clone.tolist()]
        suffix = pa.array(copies, pa.string())
        told = None
        if notes:
            keys = zip(index.tolist(), clone.tolist(), strict=True)
            told = [notes.get(key, _NOTHING) for key in keys]
        return pa.RecordBatch.from_arrays(
            [
                row,
                pa.array(clone, pa.int32()),
                pc.binary_join_element_wise(session_id, suffix, ""),
                self._seq.take(row).combine_chunks(),
                self._template_id.take(row).cast(pa.string()),
                self._kind.take(row).cast(pa.string()),
                pa.repeat(worker, len(index)),
                pa.array(due_us),
                *(_nullable(column) for column in (ready_us, sent_us, first_row_us, done_us)),
                _STATUS_NAMES.take(pa.array(status % DIVERGED)),
                _texts(told, 0, len(index)),
                _texts(told, 1, len(index)),
                _nullable(count),
                _texts(told, 2, len(index)),
                self._captured_us.take(row).combine_chunks(),
                pa.array(status >= DIVERGED),
                _nullable(pid).cast(pa.int32()),
            ],
            schema=SAMPLES,
        )

    def unknown(self, index: Ints) -> pa.RecordBatch:
        """Samples of planned statements of which nothing is known."""
        rows = np.full((len(index), FIELDS), NONE, dtype=np.int64)
        rows[:, INDEX], rows[:, CLONE] = index, self._timetable.clone_of(index)
        rows[:, DUE_US], rows[:, STATUS] = self._timetable.due_us[index], UNKNOWN
        return self.batch(rows, {}, worker="lost")


def rows_of(flat: array[int]) -> Rows:
    """The rows of a flat array, without a copy."""
    return np.frombuffer(flat, dtype=np.int64).reshape(-1, FIELDS)


class SampleStream:
    """One worker's samples on disk. Every method may block: call them off the event loop.

    After every `roll_s` seconds a file is closed and another begun; never where that is zero.
    """

    def __init__(
        self, directory: Path, *, worker: str, planned: Planned, roll_s: float = 0.0
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self.files: list[dict[str, Any]] = []
        """Of those that are closed: `file`, `sha256` and `rows`."""
        self._directory = directory
        self._worker = worker
        self._planned = planned
        self._roll_s = roll_s
        self._until_s = time.monotonic() + roll_s
        self._reserve = directory / f".{worker}.reserve"
        self._reserved = self._reserve.open("wb", buffering=0)
        self._reserved.write(bytes(_RESERVE_BYTES))
        # Seen by who would go on with the run; not every file system has locks.
        with suppress(OSError):
            fcntl.flock(self._reserved, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._part = _Part(self._free_path())

    @property
    def path(self) -> Path:
        """The file that is written now, or was last."""
        return self._part.path

    def append(self, rows: Rows, notes: Notes) -> None:
        """Write one batch.

        Raises:
            OSError: the disk is full or gone. What was appended before stays readable, and the
                reserve is free for one more try.
        """
        batch = self._planned.batch(rows, notes, worker=self._worker)
        try:
            if self._roll_s and time.monotonic() >= self._until_s:
                self._roll()
            self._part.write(batch.serialize())
        except OSError:
            self.release_reserve()
            raise
        self._part.rows += batch.num_rows
        self.rows += batch.num_rows

    def release_reserve(self) -> None:
        """Give the reserved space back, to write what is left on a full disk."""
        self._reserve.unlink(missing_ok=True)
        self._reserved.close()

    def finish(self) -> None:
        """Close the last file.

        Raises:
            OSError: it cannot be read again.
        """
        self.release_reserve()
        self.files.append(self._part.finish())

    def _roll(self) -> None:
        # The next one first: where there is no room for it, this one goes on.
        full, self._part = self._part, _Part(self._free_path())
        self._until_s = time.monotonic() + self._roll_s
        self.files.append(full.finish())

    def _free_path(self) -> Path:
        """Of the next file; a run that is gone on with has some of this worker already."""
        taken = {path.stem for path in self._directory.glob(f"{self._worker}*.*")}
        names: Iterator[str] = (f"{self._worker}-{number:04}" for number in count(1))
        if not self._roll_s:
            names = chain([self._worker], names)
        name = next(name for name in names if name not in taken)
        return self._directory / f"{name}.arrows"


class _Part:
    """One file of a stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._good_bytes = 0
        self._file = path.open("wb", buffering=0)
        try:
            self.write(SAMPLES.serialize())
        except OSError:
            path.unlink()
            raise

    def write(self, message: pa.Buffer) -> None:
        """Append a whole message, or nothing."""
        view = memoryview(message)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            # A part of a message would hide every later one from readers.
            self._file.truncate(self._good_bytes)
            self._file.seek(self._good_bytes)
            raise
        self._good_bytes += len(message)

    def finish(self) -> dict[str, Any]:
        """Turn it into Parquet: name of `file`, its `sha256` and `rows`."""
        self._file.close()
        parquet = self.path.with_suffix(".parquet")
        # Without room for a second copy the stream stays: it is as good, and readers know it.
        with suppress(OSError):
            write_table(parquet, SAMPLES, read_stream(self.path))
            self.path.unlink()
            self.path = parquet
        return {"file": self.path.name, "sha256": sha256_of(self.path), "rows": self.rows}


_STATUS_NAMES = pa.array(STATUSES)


def _nullable(column: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(column, mask=column == NONE)


def _texts(
    told: list[tuple[str | None, str | None, str | None]] | None, place: int, length: int
) -> pa.Array:
    if told is None:
        return pa.nulls(length, pa.string())
    return pa.array([texts[place] for texts in told], pa.string())
