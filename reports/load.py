"""Reads a run into columns: one number per sample and column, no object per sample.

About 50 bytes a sample, so that 20 million of them fit in one gigabyte. Files are read a batch
at a time for the same reason; only the columns a report needs are decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.errors import Unreadable, UsageError
from replay.run import STATUSES, Ledger, Run, read_stream
from replay.workload import Workload
from reports.stats.estimate import Int64s

MISSING = np.iinfo(np.int64).min
"""Stands for null in columns of times."""

SESSION_KINDS = frozenset({"begin", "commit", "rollback", "set"})
"""Kinds that ask nothing of the data: in the ledger and the errors, not in latencies."""

_TIMES = ("due_us", "ready_us", "sent_us", "first_row_us", "done_us", "captured_us")
_TEXTS = ("template_id", "status", "sqlstate", "error", "kind")
_COLUMNS = ["statement_id", *_TEXTS, *_TIMES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What is known of a template; `sql` is None when the workload is gone."""

    template_id: str
    kind: str
    sql: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One run as columns of equal length n, in no particular order; a measure not loaded is empty.

    `template` indexes `templates`, `status` indexes `replay.run.STATUSES`, `failure` indexes
    `failures` (sqlstate, text or reason of a skip), -1 for none. Times are microseconds,
    `MISSING` for null.
    `failed_before` is true where 1.0 answered this statement with an error, when it was captured
    or in the baseline run. `failing_statements` are the ids that failed in this run, ascending.
    """

    run: Run
    workload: Workload | None
    templates: tuple[Template, ...]
    failures: tuple[tuple[str, str], ...]
    template: npt.NDArray[np.int32]
    status: npt.NDArray[np.int8]
    failure: npt.NDArray[np.int32]
    failed_before: npt.NDArray[np.bool_]
    failing_statements: Int64s
    due_us: Int64s
    response_us: Int64s
    service_us: Int64s
    first_row_us: Int64s
    lag_us: Int64s
    backlog_us: Int64s
    captured_us: Int64s

    def __len__(self) -> int:
        return len(self.status)

    @property
    def document(self) -> Mapping[str, Any]:
        """run.json."""
        return self.run.document

    @property
    def length_us(self) -> int:
        """How long the timetable is; from the samples where run.json does not say."""
        stated = (self.document.get("timetable") or {}).get("length_us")
        if stated:
            return int(stated)
        due = self.due_us[self.due_us != MISSING]
        return int(due.max()) + 1 if len(due) else 1

    def is_status(self, *names: str) -> npt.NDArray[np.bool_]:
        """True (n) where a sample ended as one of `names`."""
        return np.isin(self.status, [STATUSES.index(name) for name in names])

    def ledger(self) -> Ledger:
        """The ledger counted from the samples; what was planned and left none is `unknown`."""
        counts = np.bincount(self.status, minlength=len(STATUSES))
        ended = dict(zip(STATUSES, (int(c) for c in counts), strict=True))
        skipped: Counter[str] = Counter()
        codes, numbers = np.unique(self.failure[self.is_status("skipped")], return_counts=True)
        for code, number in zip(codes, numbers, strict=True):
            skipped[(self.failures[code][1] if code >= 0 else "") or "unknown"] += int(number)
        del ended["skipped"]
        ledger = Ledger(planned=self.run.planned, skipped=skipped, **ended)
        ledger.unknown += max(0, ledger.planned - ledger.ended - ledger.unknown)
        return ledger

    def asks_data(self) -> npt.NDArray[np.bool_]:
        """True (n) except for kinds that only steer the session, such as `begin`."""
        wanted = np.array([t.kind not in SESSION_KINDS for t in self.templates], dtype=bool)
        return wanted[self.template] if len(wanted) else np.zeros(0, dtype=bool)


def load(
    path: Path, *, baseline: Evidence | None = None, measures: Collection[str] = ()
) -> Evidence:
    """Read a run and, where it can be found, its workload.

    `measures` names what is wanted besides the response time: `service`, `first_row`. Columns
    not asked for stay empty.

    What failed in `baseline`, another run of the same workload, counts as failed on 1.0.

    Raises:
        Unreadable: the run is not one, or a sample file is damaged.
        UsageError: the baseline replayed another workload.
    """
    run = Run(path)
    if baseline is not None:
        _refuse_other_workload(run, baseline.run)
    workload = _open_workload(run)
    failed_before = _failed_before(workload)
    if baseline is not None:
        failed_before = _with_ids(failed_before, baseline.failing_statements)
    columns = _Columns(
        rows=_count_rows(path), failed_before=failed_before, measures=frozenset(measures)
    )
    for batch in _batches(path):
        columns.add(batch)
    # Decoding leaves some hundred megabytes with Arrow that nothing else here would use.
    pa.default_memory_pool().release_unused()
    return columns.finish(run, workload)


def _refuse_other_workload(candidate: Run, baseline: Run) -> None:
    ours, theirs = (run.document["workload"] for run in (candidate, baseline))
    if ours["sha256"] != theirs["sha256"]:
        raise UsageError(
            f"`{baseline.path}` replayed another workload than `{candidate.path}`: "
            f"`{theirs['uri']}` (sha256 {theirs['sha256'][:12]}) is not "
            f"`{ours['uri']}` (sha256 {ours['sha256'][:12]})",
            hint="replay the same workload against both places",
        )


def _open_workload(run: Run) -> Workload | None:
    """The workload the run names, if it is still there and still the same."""
    reference = run.document.get("workload") or {}
    uri = str(reference.get("uri", ""))
    if not uri or uri.startswith("s3://"):
        return None
    path = Path(uri.removeprefix("file://"))
    for place in (path, run.path / path):
        if (place / "manifest.json").is_file():
            workload = Workload(place)
            return workload if workload.sha256 == reference.get("sha256") else None
    return None


def _failed_before(workload: Workload | None) -> npt.NDArray[np.bool_]:
    """True (statements) where the captured statement carries an error."""
    if workload is None:
        return np.zeros(0, dtype=bool)
    flags = np.zeros(len(workload), dtype=bool)
    try:
        with pq.ParquetFile(workload.statements_path) as file:
            for batch in file.iter_batches(columns=["statement_id", "error"]):
                failed = batch.filter(pc.is_valid(batch["error"]))["statement_id"]
                flags[failed.to_numpy()] = True
    except (OSError, pa.ArrowException, IndexError) as error:
        raise Unreadable(f"`{workload.statements_path}` is damaged") from error
    return flags


def _with_ids(flags: npt.NDArray[np.bool_], ids: Int64s) -> npt.NDArray[np.bool_]:
    """`flags` with those of `ids` set, longer where an id lies beyond."""
    if len(ids) == 0:
        return flags
    wider = np.zeros(max(len(flags), int(ids[-1]) + 1), dtype=bool)
    wider[: len(flags)] = flags
    wider[ids] = True
    return wider


def _count_rows(path: Path) -> int:
    try:
        whole = sum(int(pq.read_metadata(place).num_rows) for place in _parquet(path))
        return whole + sum(int(read_stream(place).num_rows) for place in _streams(path))
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(f"`{path / 'samples'}` holds a damaged file") from error


def _parquet(path: Path) -> list[Path]:
    return sorted((path / "samples").glob("*.parquet"))


def _streams(path: Path) -> list[Path]:
    return sorted((path / "samples").glob("*.arrows"))


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    for place in _parquet(path):
        try:
            with pq.ParquetFile(place, read_dictionary=list(_TEXTS)) as file:
                yield from file.iter_batches(batch_size=1 << 20, columns=_COLUMNS)
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(f"`{place}` is damaged") from error
    for place in _streams(path):
        yield from read_stream(place).select(_COLUMNS).to_batches(max_chunksize=1 << 20)


@dataclass
class _Columns:
    """Columns being filled, with the vocabularies met so far."""

    rows: int
    failed_before: npt.NDArray[np.bool_]
    measures: frozenset[str]
    filled: int = 0
    templates: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    failing: list[Int64s] = field(default_factory=list)
    out: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = ("due", "response", "lag", "backlog", "captured", *sorted(self.measures))
        self.out = {f"{name}_us": np.empty(self.rows, dtype=np.int64) for name in times} | {
            "template": np.empty(self.rows, dtype=np.int32),
            "status": np.empty(self.rows, dtype=np.int8),
            "failure": np.empty(self.rows, dtype=np.int32),
            "failed_before": np.empty(self.rows, dtype=bool),
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Append one batch of samples."""
        rows = slice(self.filled, self.filled + batch.num_rows)
        self.filled = rows.stop
        self._put_times(rows, batch)
        self._put_vocabulary(rows, batch)
        statement = batch["statement_id"].to_numpy(zero_copy_only=False)
        if len(self.failed_before):
            known = (statement >= 0) & (statement < len(self.failed_before))
            safe = np.where(known, statement, 0)
            self.out["failed_before"][rows] = self.failed_before[safe] & known
        else:
            self.out["failed_before"][rows] = False
        failing = np.isin(self.out["status"][rows], _FAILING)
        self.failing.append(np.unique(statement[failing]))

    def _put_times(self, rows: slice, batch: pa.RecordBatch) -> None:
        due, ready, sent, first, done, captured = (
            pc.fill_null(batch[name], MISSING).to_numpy(zero_copy_only=False) for name in _TIMES
        )
        could = np.where(ready == MISSING, due, np.maximum(due, ready))
        put = self.out
        put["due_us"][rows] = due
        put["response_us"][rows] = _less(done, due)
        if "service" in self.measures:
            put["service_us"][rows] = _less(done, sent)
        if "first_row" in self.measures:
            put["first_row_us"][rows] = _less(first, due)
        put["lag_us"][rows] = _less(sent, could)
        put["backlog_us"][rows] = np.where(ready == MISSING, 0, np.maximum(ready - due, 0))
        put["captured_us"][rows] = captured

    def _put_vocabulary(self, rows: slice, batch: pa.RecordBatch) -> None:
        coded = {name: _encode(batch[name]) for name in _TEXTS}
        codes, words = coded["template_id"]
        fresh = [w for w in words if w not in self.templates]
        for word in fresh:
            self.templates[word] = len(self.templates)
        self.out["template"][rows] = _translate(codes, [self.templates[w] for w in words])
        if fresh:
            self._learn_kinds(codes, words, *coded["kind"])
        codes, words = coded["status"]
        self.out["status"][rows] = _translate(codes, [STATUSES.index(w) for w in words])
        self.out["failure"][rows] = -1
        noted = np.flatnonzero(np.isin(self.out["status"][rows], _NOTED))
        if len(noted):
            self.out["failure"][rows.start + noted] = self._encode_failures(
                noted, *coded["sqlstate"], *coded["error"]
            )

    def _encode_failures(
        self,
        noted: npt.NDArray[np.intp],
        state_codes: npt.NDArray[Any],
        states: list[str],
        text_codes: npt.NDArray[Any],
        texts: list[str],
    ) -> npt.NDArray[np.int32]:
        pairs = np.stack([state_codes[noted], text_codes[noted]], axis=1)
        distinct, which = np.unique(pairs, axis=0, return_inverse=True)
        codes = [
            self.failures.setdefault(
                (states[state] if state >= 0 else "", texts[text] if text >= 0 else ""),
                len(self.failures),
            )
            for state, text in distinct.tolist()
        ]
        return np.asarray(codes, dtype=np.int32)[which.ravel()]

    def _learn_kinds(
        self, codes: npt.NDArray[Any], words: list[str], kinds: npt.NDArray[Any], names: list[str]
    ) -> None:
        present, first = np.unique(codes, return_index=True)
        for code, at in zip(present, first, strict=True):
            self.kinds.setdefault(words[code], names[kinds[at]] if kinds[at] >= 0 else "other")

    def finish(self, run: Run, workload: Workload | None) -> Evidence:
        """The columns, frozen, with the text of templates where the workload has it."""
        texts: dict[str, str] = {}
        if workload is not None:
            table = workload.templates(["template_id", "sql"])
            texts = dict(
                zip(table["template_id"].to_pylist(), table["sql"].to_pylist(), strict=True)
            )
        # A stream may end earlier on the second reading than on the first, never later.
        columns = {name: array[: self.filled] for name, array in self.out.items()}
        for name in ("service_us", "first_row_us"):
            columns.setdefault(name, np.zeros(0, dtype=np.int64))
        return Evidence(
            run=run,
            workload=workload,
            templates=tuple(
                Template(template_id=word, kind=self.kinds.get(word, "other"), sql=texts.get(word))
                for word in self.templates
            ),
            failures=tuple(self.failures),
            failing_statements=np.unique(np.concatenate([np.zeros(0, np.int64), *self.failing])),
            **columns,
        )


_FAILING = [STATUSES.index("error"), STATUSES.index("timeout")]
_NOTED = [*_FAILING, STATUSES.index("skipped")]


def _less(later: Int64s, earlier: Int64s) -> Int64s:
    known = (later != MISSING) & (earlier != MISSING)
    return np.where(known, np.where(known, later, 0) - np.where(known, earlier, 0), MISSING)


def _encode(column: pa.Array) -> tuple[npt.NDArray[Any], list[str]]:
    """Codes (n, -1 for null) and the words they stand for."""
    coded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return codes, coded.dictionary.to_pylist()


def _translate(codes: npt.NDArray[Any], meaning: list[int]) -> npt.NDArray[Any]:
    # The last entry answers code -1, a null.
    translated: npt.NDArray[Any] = np.array([*meaning, -1])[codes]
    return translated
