"""Logs in Parquet, whose columns a map explains."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from replay.capture.blocks import mask
from replay.capture.column_map import read_column_map
from replay.capture.record import Bools, ReaderOptions, Recognised, quarantined
from replay.capture.source import Source
from replay.capture.tabular import FIRST_ROWS, Tabular
from replay.errors import Unreadable

_MAGIC = b"PAR1"
_BATCH_ROWS = 8_192
_COPY_BYTES = 1 << 20


@dataclass
class TabularParquet(Tabular):
    """Reads Parquet, batches of a row group at a time; `line` is the row's number, from 1."""

    name: ClassVar[str] = "parquet"

    _resolutions: set[int] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: Parquet's first bytes. Its columns are told at its end.

        Raises:
            UsageError: the map is missing or wrong.
        """
        if options.columns is None and not options.chosen:
            return None
        table = read_column_map(options.columns)
        if not head.startswith(_MAGIC):
            return None
        return Recognised(cls(table, options.zone), "its first bytes are Parquet's")

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Every row of a log as tables of RECORDS; those of a damaged row group are quarantined.

        Raises:
            Unreadable: the log cannot be opened or is no Parquet file.
            UsageError: it lacks columns of the map, or the map does not fit them.
        """
        self.begin(source.uri)
        with _seekable(source) as stream:
            try:
                file = parquet.ParquetFile(
                    stream, buffer_size=_COPY_BYTES, page_checksum_verification=True
                )
            except (pa.ArrowInvalid, OSError) as error:
                raise Unreadable(f"`{source.uri}` is no whole Parquet file") from error
            if absent := self.columns.absent(known := _paths(file.schema_arrow)):
                names = ", ".join(f"`{name}`" for name in known[:50])
                raise self.columns.wrong(", ".join(absent), hint=f"it has {names}")
            yield from self._groups(file)

    def _groups(self, file: Any) -> Iterator[pa.Table]:  # noqa: ANN401  pyarrow has no types
        begin = 1
        for group in range(file.num_row_groups):
            behind = begin + file.metadata.row_group(group).num_rows
            batches = file.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=list(self.columns.columns.values())
            )
            while begin < behind:
                try:
                    batch = next(batches)
                except (pa.ArrowException, OSError, StopIteration):
                    yield quarantined(np.arange(begin, behind), "row group damaged")
                    break
                yield self._batch(batch, begin)
                begin += len(batch)
            begin = behind

    def _batch(self, batch: pa.RecordBatch, begin: int) -> pa.Table:
        lines = np.arange(begin, begin + len(batch))
        columns = {key: _plain(batch, name) for key, name in self.columns.columns.items()}
        readable = np.ones(len(batch), dtype=np.bool_)
        for key, column in columns.items():
            if pa.types.is_binary(column.type):
                columns[key], sound = _as_text(column)
                readable &= sound
        bad = quarantined(lines[~readable], "not text: invalid UTF-8 or a NUL byte")
        kept = {key: column.filter(pa.array(readable)) for key, column in columns.items()}
        if begin == 1:
            self._resolutions.add(self.look({k: each[:FIRST_ROWS] for k, each in kept.items()}))
            self.resolution_us = min(self._resolutions)
        rows = self.records(lines[readable], kept)
        return pa.concat_tables([rows, bad]).sort_by("line") if len(bad) else rows


@contextmanager
def _seekable(source: Source) -> Iterator[BinaryIO]:
    """The log as a file that can be sought in: itself, or a copy; counted and hashed."""
    path = Path(source.uri)
    local = path.is_file() and _begins_as_parquet(path)
    with path.open("rb") if local else tempfile.TemporaryFile() as file:
        with source.opened() as stream:
            while data := stream.read(_COPY_BYTES):
                if not local:
                    file.write(data)
        file.seek(0)
        yield file


def _begins_as_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _paths(fields: Iterable[pa.Field], prefix: str = "") -> list[str]:
    """The names of columns, and dotted paths to the members of structs."""
    found = []
    for field_ in fields:
        found.append(prefix + field_.name)
        if pa.types.is_struct(field_.type):
            found += _paths(field_.type, f"{prefix}{field_.name}.")
    return found


def _plain(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column or a member of a struct; texts as bytes, for they may be no UTF-8."""
    if name in batch.schema.names:
        column = batch.column(name)
    else:
        first, *rest = name.split(".")
        column = pc.struct_field(batch.column(first), rest)
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text or pa.types.is_string_view(kind) or pa.types.is_large_binary(kind):
        column = column.cast(pa.binary())
    return column


def _as_text(column: pa.BinaryArray) -> tuple[pa.StringArray, Bools]:
    """Bytes as text, and which of them are text."""
    sound = np.ones(len(column), dtype=np.bool_)
    try:
        texts = column.cast(pa.string())
        if not mask(pc.match_substring(texts, "\0")).any():
            return texts, sound
    except pa.ArrowInvalid:
        pass
    sound = np.array([value is None or _is_text(value) for value in column.to_pylist()])
    return pc.if_else(pa.array(sound), column, pa.scalar(None, pa.binary())).cast(
        pa.string()
    ), sound


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False
