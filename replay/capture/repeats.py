"""Records that a server logs twice, found by what stands before them in the same process."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools, Ints

_REMEMBERED_US = 5_000_000
"""A process's last record of a block is compared with its next if it is not older than this."""


class Repeats:
    """Finds pairs of equal neighbours within each process of one log.

    Equal are process, transaction, stamp and the whole text. Of a run of equal records every second
    one is a repeat, since a statement may truly be sent several times within a second.
    """

    def __init__(self) -> None:
        self._keys: list[Ints] = [np.zeros(0, dtype=np.int64)] * 3
        self._texts: pa.StringArray = pa.array([], type=pa.string())

    def find(self, pid: Ints, xid: Ints, at_us: Ints, texts: pa.StringArray) -> Bools:
        """Which of the next records repeat the one before them."""
        remembered = len(self._texts)
        keys = [np.concatenate(pair) for pair in zip(self._keys, (pid, xid, at_us), strict=True)]
        texts = pa.concat_arrays([self._texts, texts])
        order = np.argsort(keys[0], kind="stable")
        pid, xid, at_us = (key[order] for key in keys)
        equal = (pid[1:] == pid[:-1]) & (xid[1:] == xid[:-1]) & (at_us[1:] == at_us[:-1])
        near = np.flatnonzero(equal)
        before, after = (texts.take(pa.array(order[rows])) for rows in (near, near + 1))
        equal[near] = mask(pc.equal(before, after))
        place = np.arange(len(order))
        begins = np.concatenate([[True], ~equal])[: len(order)]
        odd = (place - np.maximum.accumulate(np.where(begins, place, 0))) % 2 == 1
        last = np.append(pid[1:] != pid[:-1], True)[: len(order)]
        recent = at_us >= at_us.max(initial=0) - _REMEMBERED_US
        kept = order[last & ~odd & recent]
        self._keys = [key[kept] for key in keys]
        self._texts = texts.take(pa.array(kept))
        repeated = np.zeros(len(order), dtype=np.bool_)
        repeated[order] = odd
        return repeated[remembered:]
