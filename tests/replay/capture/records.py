"""What a reader makes of bytes, as rows that tests can look at."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

import pyarrow as pa

from replay.capture import blocks
from replay.capture.blocks import BlockReader, read_records
from replay.capture.formats import recognise
from replay.capture.record import ReaderOptions, What
from replay.capture.source import Source


def rows_of(
    data: bytes | str, *, log_format: str = "auto", block_bytes: int = 1 << 22, **options: Any
) -> list[dict[str, Any]]:
    """Every record of a log as a dict of RECORDS, `what` as its enum; in blocks of this size."""
    data = data.encode() if isinstance(data, str) else data
    found = recognise(data, ReaderOptions(**options), log_format=log_format)
    assert found is not None, "no format fits"
    if not isinstance(found.reader, BlockReader):
        source = Source(uri="test", name="test", open_raw=lambda: io.BytesIO(data))
        tables = list(found.reader.read(source))
    else:
        with mock.patch.object(blocks, "BLOCK_BYTES", block_bytes):
            tables = list(read_records(io.BytesIO(data), found.reader))
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    for row in rows:
        row["what"] = What(row["what"])
    return rows
