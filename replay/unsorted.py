"""Statements in any order, given back in order of time without holding them all.

A log is nearly in order already: only long statements, stamped at their end, and logs of several
servers mix far apart. So each batch is sorted by itself as it comes and kept on disk, and the
rows of one stretch of time are then a slice of each batch that reaches into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from replay.workload import INCOMING

_ROWS_AT_ONCE = 50_000
"""About so many rows are sorted at a time; memory is a few times theirs."""
_EVERY = 500
"""One start in so many is remembered, to cut time into stretches of equal rows."""
_PACKED = ipc.IpcWriteOptions(compression="lz4")
_ORDER = [(name, "ascending") for name in ("started_at", "session_id", "seq")]


class Unsorted:
    """Rows of schema INCOMING in a file at `path`: add them all, then read them once, sorted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: list[tuple[int, int]] = []
        self._firsts: list[int] = []
        self._starts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []

    def add(self, rows: pa.Table) -> None:
        """Append rows, in any order."""
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows.slice(begin, _ROWS_AT_ONCE)
            part = part.take(pc.sort_indices(part["started_at"])).combine_chunks()
            starts = part["started_at"].cast(pa.int64()).to_numpy()
            self._firsts.append(int(starts[0]))
            self._starts.append(starts[::_EVERY].copy())
            begins = self._file.tell()
            # A stream for each batch: Arrow's file reader keeps every batch it has read.
            with ipc.new_stream(self._file, INCOMING, options=_PACKED) as stream:
                stream.write_table(part, max_chunksize=_ROWS_AT_ONCE)
            self._places.append((begins, self._file.tell() - begins))
        # Arrow keeps what is freed, at times several times what is in use.
        pa.default_memory_pool().release_unused()

    def close(self) -> None:
        """Nothing is added or read any more."""
        self._file.close()

    def _batch(self, number: int) -> pa.RecordBatch:
        begins, size = self._places[number]
        self._file.seek(begins)
        return ipc.open_stream(self._file.read(size)).read_next_batch()

    def sorted(self) -> Iterator[pa.Table]:
        """All rows in order of `started_at`, `session_id`, `seq`."""
        if not self._firsts:
            return
        bounds = np.sort(np.concatenate(self._starts))[:: _ROWS_AT_ONCE // _EVERY]
        # The first stretch begins before all rows, the last never ends.
        ends = [*bounds[1:].tolist(), np.iinfo(np.int64).max]
        firsts = np.array(self._firsts)
        done = np.zeros(len(firsts), dtype=np.int64)
        for end in ends:
            parts = []
            for number in np.flatnonzero(firsts < end):
                batch = self._batch(int(number))
                starts = batch["started_at"].cast(pa.int64()).to_numpy()
                stop = int(np.searchsorted(starts, end))
                parts.append(batch.slice(done[number], stop - done[number]))
                done[number] = stop
                firsts[number] = starts[stop] if stop < len(starts) else np.iinfo(np.int64).max
            if parts:
                rows = pa.Table.from_batches(parts)
                yield rows.take(pc.sort_indices(rows, sort_keys=_ORDER))
        pa.default_memory_pool().release_unused()
