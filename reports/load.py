"""Reads a run into columns: one number per sample and column, no object per sample.

About 50 bytes a sample, so that 20 million of them fit in one gigabyte. One column is decoded at a
time for the same reason, and only those a report needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.errors import FourstepError, Unreadable, UsageError
from replay.run import SAMPLES, STATUSES, Ledger, Run, read_stream, sample_files
from replay.store import fetch, is_remote
from replay.workload import Workload
from reports.callers import Callers, read_callers
from reports.stats.estimate import Bools, Int64s

MISSING = np.iinfo(np.int64).min
"""Stands for null in columns of times."""

SESSION_KINDS = frozenset({"begin", "commit", "rollback", "set"})
"""Kinds that ask nothing of the data: in the ledger and the errors, not in latencies."""

_TEXTS = ("template_id", "status", "sqlstate", "error", "kind")
_TIMES = ("due_us", "ready_us", "sent_us", "done_us", "captured_us")
_COLUMNS = ["statement_id", "clone", *_TEXTS, *_TIMES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What is known of a template; `sql` is None when the workload is gone."""

    template_id: str
    kind: str
    sql: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One run as columns of equal length n, in no particular order.

    `template` indexes `templates`, `status` indexes `replay.run.STATUSES`, `failure` indexes
    `failures` (sqlstate, text or reason of a skip), -1 for none. Times are microseconds,
    `MISSING` for null. `original` is false for the copies that `--scale` adds.
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
    original: Bools
    failed_before: Bools
    failing_statements: Int64s
    due_us: Int64s
    response_us: Int64s
    lag_us: Int64s
    backlog_us: Int64s
    captured_us: Int64s
    callers: Callers | None
    """Who asked; None where the workload is gone."""

    def __len__(self) -> int:
        return len(self.status)

    @property
    def document(self) -> Mapping[str, Any]:
        """run.json."""
        return self.run.document

    @property
    def service_us(self) -> Int64s:
        """done − sent (n), `MISSING` where nothing was sent or nothing came back."""
        known = (self.response_us != MISSING) & (self.lag_us != MISSING)
        # Response time is backlog, then lag, then service time.
        spent = np.where(known, self.backlog_us + self.lag_us, 0)
        return np.where(known, self.response_us - spent, MISSING)

    @property
    def length_us(self) -> int:
        """How long the timetable is; from the samples where run.json does not say."""
        stated = (self.document.get("timetable") or {}).get("length_us")
        return max(1, int(stated or self.due_us.max(initial=0) + 1))

    def dial(self, name: str, default: float) -> float:
        """A number among the run's dials, such as `scale`."""
        value = (self.document.get("dials") or {}).get(name)
        return default if value is None else float(value)

    def is_status(self, *names: str) -> Bools:
        """True (n) where a sample ended as one of `names`."""
        return np.isin(self.status, [STATUSES.index(name) for name in names])

    def asks_data(self) -> Bools:
        """True (n) except for kinds that only steer the session, such as `begin`."""
        wanted = np.array([t.kind not in SESSION_KINDS for t in self.templates], dtype=bool)
        return wanted[self.template]

    def ledger(self) -> Ledger:
        """The ledger counted from the samples; what was planned and left none is `unknown`."""
        counts = np.bincount(self.status, minlength=len(STATUSES))
        ended = dict(zip(STATUSES, (int(c) for c in counts), strict=True))
        skipped: Counter[str] = Counter()
        codes, numbers = np.unique(self.failure[self.is_status("skipped")], return_counts=True)
        for code, number in zip(codes, numbers, strict=True):
            skipped[self.failures[code][1] or "unknown"] += int(number)
        del ended["skipped"]
        return Ledger(planned=0, skipped=skipped, **ended).account_for(self.run.planned)


FORCE = "replay the same workload in both, or add `--force`, which marks the result"


def load(
    path: Path,
    *,
    baseline: Evidence | None = None,
    force: bool = False,
    tag: str | None = None,
) -> Evidence:
    """Read a run and, where it can be found, its workload.

    What failed in `baseline`, another run of the same workload, counts as failed on 1.0. With
    `force` it may be of another workload; then its statements have nothing to do with these.
    `tag` is a key in statements' comments, see `reports.callers`.

    Raises:
        Unreadable: the run is not one, or a sample file is damaged.
        UsageError: the baseline replayed another workload.
    """
    run = Run(path)
    if baseline is not None:
        difference = other_workload(run, baseline.run)
        if difference and not force:
            raise UsageError(difference, hint=FORCE)
        baseline = None if difference else baseline
    workload = _open_workload(run)
    samples = _Samples(path)
    template, ids = samples.words("template_id")
    status = samples.status()
    statement = samples.numbers("statement_id")
    failing = np.isin(status, [STATUSES.index("error"), STATUSES.index("timeout")])
    failure, failures = samples.failures(failing | (status == STATUSES.index("skipped")))
    original, failed = samples.numbers("clone") == 0, _failed_before(statement, workload, baseline)
    failing_statements = np.unique(statement[failing])
    callers = None if workload is None else read_callers(workload, statement, tag=tag)
    del statement
    return Evidence(
        run=run,
        workload=workload,
        templates=_templates(ids, samples.kinds(template, len(ids)), workload),
        failures=failures,
        template=template,
        status=status,
        failure=failure,
        original=original,
        failed_before=failed,
        failing_statements=failing_statements,
        callers=callers,
        **samples.times(),
    )


class _Samples:
    """The sample files of a run, read one column at a time.

    Parquet is read again for each column; a stream, left by a run that is on or was cut off, once,
    because it may end elsewhere on a second reading.
    """

    def __init__(self, run: Path) -> None:
        self.directory = run / "samples"
        self.files, streams = sample_files(run)
        self.streams = [
            pa.Table.from_batches(read_stream(path), SAMPLES).select(_COLUMNS) for path in streams
        ]

    def column(self, name: str) -> pa.ChunkedArray:
        """One column over all files; texts as a dictionary."""
        encode = [name] if name in _TEXTS else []
        try:
            parts = [
                pq.read_table(file, columns=[name], read_dictionary=encode)[name]
                for file in self.files
            ]
        except (OSError, KeyError, pa.ArrowException) as error:
            raise Unreadable(f"`{self.directory}` holds a damaged file") from error
        parts += [table[name] for table in self.streams]
        if encode:
            wanted = pa.dictionary(pa.int32(), pa.string())
            chunks = [chunk.cast(wanted) for part in parts for chunk in part.chunks]
            return pa.chunked_array(chunks, wanted).unify_dictionaries()
        chunks = [chunk for part in parts for chunk in part.chunks]
        return pa.chunked_array(chunks, SAMPLES.field(name).type)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of numbers (n), `MISSING` for null."""
        column = self.column(name)
        filled = pc.fill_null(column, MISSING) if column.null_count else column
        numbers: npt.NDArray[Any] = filled.to_numpy()
        return numbers

    def words(self, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
        """A column of texts as codes (n, -1 for null) and the words they stand for."""
        column = self.column(name)
        codes = [pc.fill_null(chunk.indices, -1).to_numpy() for chunk in column.chunks]
        words = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        return np.concatenate([np.zeros(0, np.int32), *codes]), words

    def status(self) -> npt.NDArray[np.int8]:
        """How each sample ended (n), as an index of `STATUSES`."""
        codes, words = self.words("status")
        return np.array([STATUSES.index(word) for word in words], dtype=np.int8)[codes]

    def kinds(self, template: npt.NDArray[np.int32], templates: int) -> list[str]:
        """The kind of each template; its samples all have the same."""
        codes, words = self.words("kind")
        kind = np.full(templates, -1, dtype=np.int32)
        kind[template] = codes
        return [words[code] if code >= 0 else "other" for code in kind]

    def failures(self, noted: Bools) -> tuple[npt.NDArray[np.int32], tuple[tuple[str, str], ...]]:
        """Codes (n, -1 where not `noted`) of distinct pairs of sqlstate and text, and the pairs."""
        (states, state_words), (texts, text_words) = self.words("sqlstate"), self.words("error")
        pairs = np.stack([states[noted], texts[noted]], axis=1)
        distinct, which = np.unique(pairs, axis=0, return_inverse=True)
        codes = np.full(len(noted), -1, dtype=np.int32)
        codes[noted] = which.ravel()
        # Code -1, a null, picks the empty word at the end.
        named = [([*state_words, ""][s], [*text_words, ""][t]) for s, t in distinct.tolist()]
        return codes, tuple(named)

    def times(self) -> dict[str, Int64s]:
        """The columns of times (n) that are compared, from those that were measured."""
        due, ready, sent = (self.numbers(name) for name in ("due_us", "ready_us", "sent_us"))
        could = np.where(ready == MISSING, due, np.maximum(due, ready))
        lag = _less(sent, could)
        backlog = np.where(ready == MISSING, 0, could - due)
        del ready, sent, could
        return {
            "due_us": due,
            "lag_us": lag,
            "backlog_us": backlog,
            "response_us": _less(self.numbers("done_us"), due),
            "captured_us": self.numbers("captured_us"),
        }


def _less(later: Int64s, earlier: Int64s) -> Int64s:
    known = (later != MISSING) & (earlier != MISSING)
    return np.where(known, np.where(known, later, 0) - np.where(known, earlier, 0), MISSING)


def other_workload(run: Run, other: Run) -> str | None:
    """How the workloads of two runs differ, in a sentence; None when they replayed the same."""
    ours, theirs = (each.document["workload"] for each in (run, other))
    if ours["sha256"] == theirs["sha256"]:
        return None
    return (
        f"`{other.path}` replayed another workload than `{run.path}`: "
        f"`{theirs['uri']}` (sha256 {theirs['sha256'][:12]}) is not "
        f"`{ours['uri']}` (sha256 {ours['sha256'][:12]})"
    )


def _open_workload(run: Run) -> Workload | None:
    """The workload the run names, if it is still there and still the same."""
    reference = run.document["workload"]
    if is_remote(reference["uri"]):
        # Who reads the report may not be let in; it does without statements' texts.
        with suppress(FourstepError):
            workload = Workload(fetch(reference["uri"]))
            return workload if workload.sha256 == reference["sha256"] else None
        return None
    path = Path(reference["uri"].removeprefix("file://"))
    for place in (path, run.path / path):
        if (place / "manifest.json").is_file():
            workload = Workload(place)
            return workload if workload.sha256 == reference["sha256"] else None
    return None


def _failed_before(
    statement: Int64s, workload: Workload | None, baseline: Evidence | None
) -> Bools:
    """True (n) where 1.0 failed the statement, in its log or in the baseline run."""
    failed = np.zeros(int(statement.max(initial=-1)) + 1, dtype=bool)
    if workload is not None:
        # Statements are numbered from 0 in the order of the file.
        logged = workload.statements(["error"])["error"].is_valid().to_numpy()
        failed[: len(logged)] = logged[: len(failed)]
    if baseline is not None:
        ids = baseline.failing_statements
        failed[ids[ids < len(failed)]] = True
    return failed[statement]


def _templates(ids: list[str], kinds: list[str], workload: Workload | None) -> tuple[Template, ...]:
    texts: dict[str, str] = {}
    if workload is not None:
        rows = workload.templates(["template_id", "sql"]).to_pylist()
        texts = {row["template_id"]: row["sql"] for row in rows}
    return tuple(
        Template(template_id=name, kind=kind, sql=texts.get(name))
        for name, kind in zip(ids, kinds, strict=True)
    )
