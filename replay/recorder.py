"""What the engine notes of its statements, until it is on disk."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from replay.offsets import Ints
from replay.samples import (
    CLONE,
    DUE_US,
    FIELDS,
    INDEX,
    NONE,
    STATUS,
    Notes,
    Rows,
    SampleStream,
    rows_of,
)
from replay.session import Session
from replay.waiter import in_thread

logger = logging.getLogger(__name__)

OnRows = Callable[[Rows, Notes], None]
"""Told of what ended, twice a second, for live statistics; must be quick: sessions wait for it."""


class Recorder:
    """Keeps samples in memory for half a second, then on disk.

    `flat` and `notes` are the engine's to add to, see `replay.samples`.
    """

    def __init__(
        self, stream: SampleStream, on_rows: Sequence[OnRows], *, on_failure: Callable[[], None]
    ) -> None:
        self.flat = array("q")
        self.notes: Notes = {}
        self.failure: str | None = None
        """Why samples could not be recorded, if they could not; `on_failure` was called then."""
        self._stream = stream
        self._on_rows = on_rows
        self._on_failure = on_failure

    @property
    def rows(self) -> int:
        """Samples on disk."""
        return self._stream.rows

    @property
    def closing(self) -> dict[str, Any]:
        """What the master is told of the samples when all are written."""
        return {"rows_written": self._stream.rows, "files": self._stream.files}

    def unsent(
        self,
        session: Session,
        index: int,
        due_us: int,
        status: int,
        told: tuple[str | None, str] | None = None,
    ) -> None:
        """A statement that was not sent; `told` is SQLSTATE and text, or nothing and a reason."""
        if told is not None:
            self.notes[index, session.clone] = (*told, None)
        ready_us = NONE if session.flight is None else session.ready_us
        status |= session.state.mark
        unsent = (NONE, NONE, NONE, status, NONE, NONE)
        self.flat.extend((index, session.clone, due_us, ready_us, *unsent))

    def unsent_rows(
        self, index: Ints, clone: Ints, due_us: Ints, status: Ints, reasons: Mapping[int, str]
    ) -> None:
        """Many of them at once; `reasons` of those that are skipped, by planned index."""
        rows = np.full((len(index), FIELDS), NONE, dtype=np.int64)
        rows[:, INDEX], rows[:, CLONE], rows[:, DUE_US], rows[:, STATUS] = (
            index, clone, due_us, status,
        )  # fmt: skip
        self.flat.frombytes(rows.tobytes())
        clones = dict(zip(index.tolist(), clone.tolist(), strict=True)) if reasons else {}
        self.notes |= {(at, clones[at]): (None, why, None) for at, why in reasons.items()}

    def write(self) -> None:
        """Put on disk what was noted, while other greenlets run, and tell who wants to know."""
        if not self.flat:
            return
        flat, self.flat = self.flat, array("q")
        notes, self.notes = self.notes, {}
        rows = rows_of(flat)
        try:
            in_thread(lambda: self._stream.append(rows, notes))
        except Exception as error:
            # Kept for the next try, which on a full disk has the reserve to write into.
            self.flat = flat + self.flat
            self.notes = notes | self.notes
            if self.failure is None:
                logger.error("samples cannot be written (%s): ending the run", error)
                self.failure = f"samples cannot be written: {error}"
                self._on_failure()
            return
        for tell in self._on_rows:
            tell(rows, notes)

    def close(self) -> None:
        """Write what is left and turn the stream into its final file."""
        for _ in range(2):
            self.write()
        try:
            in_thread(self._stream.finish)
        except OSError as error:
            self.failure = self.failure or f"samples cannot be closed: {error}"
