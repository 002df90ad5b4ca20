"""Texts and bind values of statements as bytes, straight from Arrow's buffers."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import pyarrow as pa

Asked = tuple[bytes, list[bytes | None] | None]
"""Text and bind values; no bind values are None where the simple protocol was used."""


class Texts:
    """The `sql` and `params` of a workload's statements, by row."""

    def __init__(self, statements: pa.Table) -> None:
        batches = statements.select(["sql", "params"]).to_batches()
        self._firsts = [0, *accumulate(map(len, batches))]
        self._blocks = []
        for batch in batches:
            _, ends, data = batch["sql"].buffers()
            offsets = memoryview(ends).cast("i")[batch["sql"].offset :]
            bound = batch["params"].is_valid().to_numpy(zero_copy_only=False).tobytes()
            self._blocks.append((offsets, memoryview(data or b""), bound, batch["params"]))

    def __getitem__(self, row: int) -> Asked:
        block = bisect_right(self._firsts, row) - 1
        at = row - self._firsts[block]
        offsets, data, bound, params = self._blocks[block]
        sql = bytes(data[offsets[at] : offsets[at + 1]])
        if not bound[at]:
            return sql, None
        return sql, [b if b is None else b.encode() for b in params[at].as_py()]
