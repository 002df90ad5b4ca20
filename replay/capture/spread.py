"""Stamps of whole seconds spread within their second, in the log's order.

Where a log tells no more than the second, all its statements would be due at once and the replay
would be a row of bursts. The records of a second are dealt evenly over it with a seeded jitter.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

SECOND_US = 1_000_000


class Spread:
    """Spreads the records of one log; what shares the block's last second waits for the next."""

    def __init__(self, *, seed: int = 0) -> None:
        self._jitter = np.random.default_rng(seed)
        self._waiting: pa.Table | None = None

    def take(self, records: pa.Table, *, last: bool) -> pa.Table:
        """The records whose second is over, with `at_us` within it; records without one pass."""
        if self._waiting is not None:
            records = pa.concat_tables([self._waiting, records])
            self._waiting = None
        if not len(records):
            return records
        stamped = records["at_us"].combine_chunks()
        # A record without a stamp stays with its neighbours.
        at_us = stamped.fill_null(0).to_numpy()
        second = np.maximum.accumulate(at_us) // SECOND_US
        if not last:
            done = int(np.searchsorted(second, second[-1]))
            self._waiting = records.slice(done)
            records, at_us, second = records.slice(0, done), at_us[:done], second[:done]
            stamped = stamped.slice(0, done)
        _, first, count = np.unique(second, return_index=True, return_counts=True)
        place = np.arange(len(second)) - np.repeat(first, count)
        share = (place + self._jitter.random(len(second))) / np.repeat(count, count)
        spread = at_us // SECOND_US * SECOND_US + (share * SECOND_US).astype(np.int64)
        column = pa.array(spread, mask=np.asarray(stamped.is_null()))
        at = records.schema.get_field_index("at_us")
        return records.set_column(at, records.schema.field(at), column)
