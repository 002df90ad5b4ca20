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
        self._blocks = [_block(batch) for batch in batches]

    def __getitem__(self, row: int) -> Asked:
        block = bisect_right(self._firsts, row) - 1
        at = row - self._firsts[block]
        ends, data, bound, params = self._blocks[block]
        sql = bytes(data[ends[at] : ends[at + 1]])
        if bound is None or not bound[at]:
            return sql, None
        return sql, [b if b is None else b.encode() for b in params[at].as_py()]


def _block(batch: pa.RecordBatch) -> tuple[memoryview, memoryview, bytes | None, pa.Array]:
    """Offsets and data of the texts, one byte for each row that has bind values, and those."""
    sql, params = batch["sql"], batch["params"]
    _, ends, data = sql.buffers()
    bound = None
    if params.null_count < len(params):
        bound = params.is_valid().to_numpy(zero_copy_only=False).tobytes()
    return memoryview(ends).cast("i")[sql.offset :], memoryview(data or b""), bound, params
