"""The samples of a run as columns: one number per sample and column, no object per sample.

All files are read once, a batch at a time, into columns of the narrowest type: about 35 bytes a
sample, so that 20 million of them take 700 megabytes and nothing else of their length is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from replay.run import SAMPLES, STATUSES, batches_of, sample_files
from reports.stats.estimate import Bools, Int64s
from reports.stats.slices import column

MISSING = np.iinfo(np.int32).min
"""Stands for null in columns of times, whatever their width; no time is 36 minutes below zero."""

_FAR = np.iinfo(np.int32).max // 3
"""Times from here on need 64 bits; sums of three others do not: 12 minutes."""

_MOST_CODES = np.iinfo(np.int16).max

_TEXTS = ("template_id", "status", "sqlstate", "error", "kind")
_TIMES = ("due_us", "ready_us", "sent_us", "done_us", "captured_us")
_DIFFERENCES = ("response_us", "lag_us", "backlog_us", "captured_us")
_COLUMNS = ["statement_id", "clone", *_TEXTS, *_TIMES]
_CODED = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    SAMPLES.field(name).with_type(_CODED) if name in _TEXTS else SAMPLES.field(name)
    for name in _COLUMNS
)
_ROWS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """`columns` (n) by the name they have in `reports.load.Evidence`, where they are told.

    `kinds` maps the id of a template to its kind, in the order of the codes of `template`; so does
    `failures` with those of `failure`.
    """

    columns: dict[str, npt.NDArray[Any]]
    kinds: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    failing: list[Int64s] = field(default_factory=list)
    """Statements that failed, some at a time."""


def read_samples(run: Path, by_statement: Mapping[str, npt.NDArray[Any]]) -> Samples:
    """Read all files; of one that is damaged or was cut off, what is before.

    `by_statement` are columns besides, each by a table of what the statement of a sample has there;
    the last of a table is for statements beyond.
    """
    files, streams = sample_files(run)
    form = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns={*_TEXTS}))
    # A stream once, because it may end elsewhere on a second reading.
    tables = [_up_to_damage(path) for path in streams]
    try:
        stored = ds.dataset([str(file) for file in files], _SCHEMA, format=form) if files else None
        samples = _read(stored, tables, by_statement)
    except (OSError, pa.ArrowException):
        tables += [_up_to_damage(file) for file in files]
        samples = _read(None, tables, by_statement)
    pa.default_memory_pool().release_unused()
    return samples


def _up_to_damage(path: Path) -> pa.Table:
    schema = pa.schema([SAMPLES.field(name) for name in _COLUMNS])
    return pa.Table.from_batches(batches_of(path, _COLUMNS), schema)


def _read(
    stored: ds.Dataset | None, tables: list[pa.Table], by_statement: Mapping[str, npt.NDArray[Any]]
) -> Samples:
    n = sum(map(len, tables)) + (stored.count_rows() if stored else 0)
    samples, start = _empty(n, by_statement), 0
    for batch in _batches(stored, tables):
        part = slice(start, start + batch.num_rows)
        _fill(samples, batch, part, by_statement)
        start = part.stop
    return samples


def _empty(n: int, by_statement: Mapping[str, npt.NDArray[Any]]) -> Samples:
    types: dict[str, npt.DTypeLike] = {
        "template": np.int16, "status": np.int8, "failure": np.int16, "original": np.bool_,
        "due_us": np.int64, **dict.fromkeys(_DIFFERENCES, np.int32),
        **{name: table.dtype for name, table in by_statement.items()},
    }  # fmt: skip
    return Samples(columns={name: column(n, dtype) for name, dtype in types.items()})


def _batches(stored: ds.Dataset | None, tables: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    if stored is not None:
        # Arrow decodes a batch or two ahead in threads of its own; with more, memory grows.
        yield from stored.to_batches(
            columns=_COLUMNS, batch_size=_ROWS, batch_readahead=2, fragment_readahead=1
        )
    for table in tables:
        yield from table.select(_COLUMNS).to_batches(max_chunksize=_ROWS)


def _fill(
    samples: Samples, batch: pa.RecordBatch, part: slice, by_statement: Mapping[str, Any]
) -> None:
    columns = samples.columns
    statement = batch["statement_id"].to_numpy(zero_copy_only=False)
    for name, table in by_statement.items():
        columns[name][part] = table[np.minimum(statement, len(table) - 1)]
    columns["original"][part] = batch["clone"].to_numpy(zero_copy_only=False) == 0
    _set(columns, "template", part, _templates(samples, batch), _MOST_CODES, ["template"])
    codes, words = _coded(batch["status"])
    status = np.array([_STATUS.get(word, _STATUS["unknown"]) for word in words], np.int8)[codes]
    columns["status"][part] = status
    failed = (status == _STATUS["error"]) | (status == _STATUS["timeout"])
    samples.failing.append(np.unique(statement[failed]))
    failures = _failures(samples, batch, failed | (status == _STATUS["skipped"]))
    _set(columns, "failure", part, failures, _MOST_CODES, ["failure"])
    for name, times in _times(batch).items():
        _set(columns, name, part, times, _FAR, _DIFFERENCES)


def _set(
    columns: dict[str, npt.NDArray[Any]],
    name: str,
    part: slice,
    values: npt.NDArray[np.signedinteger],
    limit: int,
    alike: Sequence[str],
) -> None:
    """Set a part of a column; from `limit` on, the columns `alike` get as wide as the values."""
    if columns[name].dtype != values.dtype:
        far = (values >= limit) | ((values <= -limit) & (values != MISSING))
        if far.any():
            columns |= {each: _widened(columns[each], values.dtype) for each in alike}
    columns[name][part] = values


def _widened(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    found = column(len(values), dtype)
    found[:] = values
    return found


_STATUS = {name: code for code, name in enumerate(STATUSES)}


def _coded(column: pa.Array) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Codes (n) of a column of texts and the words they stand for; the last one, "", for null."""
    if column.type != _CODED:
        column = column.dictionary_encode().cast(_CODED)
    words = column.dictionary.to_pylist()
    return column.indices.fill_null(len(words)).to_numpy(), [*words, ""]


def _templates(samples: Samples, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
    """The template of each row (n); its kind is that of any of its rows, all have the same."""
    (codes, words), (kinds, kind_words) = _coded(batch["template_id"]), _coded(batch["kind"])
    kind = np.full(len(words), -1, np.int32)
    kind[codes] = kinds
    # The dictionary may have words of other batches.
    used = np.flatnonzero(kind >= 0)
    for at in used.tolist():
        samples.kinds.setdefault(words[at], kind_words[kind[at]] or "other")
    shared = {word: code for code, word in enumerate(samples.kinds)}
    lookup = np.zeros(len(words), np.int32)
    lookup[used] = [shared[words[at]] for at in used.tolist()]
    return lookup[codes]


def _failures(samples: Samples, batch: pa.RecordBatch, noted: Bools) -> npt.NDArray[np.int32]:
    """The failure of each row (n), -1 where not `noted`: a pair of sqlstate and text."""
    found = np.full(len(noted), -1, np.int32)
    if not noted.any():
        return found
    (states, state_words), (texts, text_words) = _coded(batch["sqlstate"]), _coded(batch["error"])
    pairs = states[noted].astype(np.int64) * len(text_words) + texts[noted]
    distinct, which = np.unique(pairs, return_inverse=True)
    both = (divmod(pair, len(text_words)) for pair in distinct.tolist())
    named = [(state_words[state], text_words[text]) for state, text in both]
    known = samples.failures
    found[noted] = np.array([known.setdefault(pair, len(known)) for pair in named])[which]
    return found


def _times(batch: pa.RecordBatch) -> dict[str, Int64s]:
    """The times (n) that are compared, from those that were measured."""
    due, ready, sent, done, captured = (
        (batch[name].fill_null(MISSING) if batch[name].null_count else batch[name]).to_numpy()
        for name in _TIMES
    )
    # Without `ready` a statement could be sent when it was due.
    could = np.maximum(due, ready)
    return {
        "due_us": due,
        "lag_us": _less(sent, could),
        "backlog_us": could - due,
        "response_us": _less(done, due),
        "captured_us": captured,
    }


def _less(later: Int64s, earlier: Int64s) -> Int64s:
    return np.where((later != MISSING) & (earlier != MISSING), later - earlier, MISSING)
