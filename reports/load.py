"""Reads a run and its workload: what all statistics are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import FourstepError, UsageError
from replay.run import STATUSES, Ledger, Run
from replay.store import fetch, is_remote
from replay.workload import Workload
from reports.callers import Callers, read_callers
from reports.samples import MISSING, read_samples
from reports.stats.estimate import Bools, Int64s
from reports.stats.slices import column, looked_up, slices

SESSION_KINDS = frozenset({"begin", "commit", "rollback", "set"})
"""Kinds that ask nothing of the data: in the ledger and the errors, not in latencies."""


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
    `failures` (sqlstate, text or reason of a skip), -1 for none. Times are microseconds, `MISSING`
    for null, in 32 bits where they fit, see `reports.samples`. `original` is false for the copies
    that `--scale` adds. `failed_before` is true where 1.0 answered this statement with an error,
    when it was captured or in the baseline run. `failing_statements` are the ids that failed in
    this run, ascending.
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
    parts: tuple[Evidence, ...] = ()
    """The runs of several that this one stands for, one after the other; see `reports.pool`."""

    def __len__(self) -> int:
        return len(self.status)

    @property
    def document(self) -> Mapping[str, Any]:
        """run.json."""
        return self.run.document

    @property
    def runs(self) -> tuple[Evidence, ...]:
        """Each run alone."""
        return self.parts or (self,)

    @property
    def run_code(self) -> npt.NDArray[np.int16]:
        """Which of `runs` each sample (n) is of."""
        lengths = [len(run) for run in self.runs]
        return np.repeat(np.arange(len(lengths), dtype=np.int16), lengths)

    @property
    def service_us(self) -> Int64s:
        """done − sent (n), `MISSING` where nothing was sent or nothing came back."""
        service_us = column(len(self), self.response_us.dtype)
        for part in slices(len(self)):
            response_us, lag_us = self.response_us[part], self.lag_us[part]
            known = (response_us != MISSING) & (lag_us != MISSING)
            # Response time is backlog, then lag, then service time.
            spent = response_us - self.backlog_us[part] - lag_us
            service_us[part] = np.where(known, spent, MISSING)
        return service_us

    @property
    def length_us(self) -> int:
        """How long the timetable is; from the samples where run.json does not say."""
        stated = (self.document.get("timetable") or {}).get("length_us")
        return max(1, int(stated or self.due_us.max(initial=0) + 1))

    @property
    def period_us(self) -> int | None:
        """After how long the workload began again; None where it was replayed once."""
        stated = (self.document.get("timetable") or {}).get("period_us")
        return stated if stated and stated < self.length_us else None

    def dial(self, name: str, default: float) -> float:
        """A number among the run's dials, such as `scale`."""
        value = (self.document.get("dials") or {}).get(name)
        return default if value is None else float(value)

    def is_status(self, *names: str) -> Bools:
        """True (n) where a sample ended as one of `names`."""
        found = np.zeros(len(self), dtype=bool)
        for name in names:
            found |= self.status == STATUSES.index(name)
        return found

    def asks_data(self) -> Bools:
        """True (n) except for kinds that only steer the session, such as `begin`."""
        wanted = np.array([t.kind not in SESSION_KINDS for t in self.templates], dtype=bool)
        return looked_up(wanted, self.template)

    def ledger(self) -> Ledger:
        """The ledger counted from the samples; what was planned and left none is `unknown`."""
        ended = {name: int(self.is_status(name).sum()) for name in STATUSES}
        skipped: Counter[str] = Counter()
        codes, numbers = np.unique(self.failure[self.is_status("skipped")], return_counts=True)
        for code, number in zip(codes, numbers, strict=True):
            skipped[self.failures[code][1] or "unknown"] += int(number)
        del ended["skipped"]
        planned = [each.run.planned for each in self.runs]
        known = None if None in planned else sum(filter(None, planned))
        return Ledger(planned=0, skipped=skipped, **ended).account_for(known)


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
    `tag` is a key in statements' comments, see `reports.callers`. A damaged sample file is used up
    to the damage; the ledger has what is beyond as unknown.

    Raises:
        Unreadable: the run is not one.
        UsageError: the baseline replayed another workload.
    """
    run = Run(path)
    if baseline is not None:
        difference = other_workload(run, baseline.run)
        if difference and not force:
            raise UsageError(difference, hint=FORCE)
        baseline = None if difference else baseline
    workload = _open_workload(run)
    tables: dict[str, npt.NDArray[Any]] = {"failed_before": _failed_before(workload, baseline)}
    callers = None if workload is None else read_callers(workload, tag=tag)
    if callers is not None:
        tables["caller"] = callers.code
    samples = read_samples(path, tables)
    if callers is not None:
        callers = replace(callers, code=samples.columns.pop("caller"))
    return Evidence(
        run=run,
        workload=workload,
        templates=_templates(samples.kinds, workload),
        failures=tuple(samples.failures),
        failing_statements=np.unique(np.concatenate([np.zeros(0, np.int64), *samples.failing])),
        callers=callers,
        parts=(),
        **samples.columns,
    )


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


def _failed_before(workload: Workload | None, baseline: Evidence | None) -> Bools:
    """True where 1.0 failed the statement, in its log or in the baseline run; False at the end."""
    failed = np.zeros(1, dtype=bool)
    if workload is not None:
        # Statements are numbered from 0 in the order of the file.
        logged = workload.statements(["error"])["error"].is_valid().to_numpy()
        failed = np.append(logged, False)
    if baseline is not None and len(ids := baseline.failing_statements):
        failed = np.append(failed, np.zeros(max(0, int(ids[-1]) + 2 - len(failed)), dtype=bool))
        failed[ids] = True
    return failed


def _templates(kinds: Mapping[str, str], workload: Workload | None) -> tuple[Template, ...]:
    texts: dict[str, str] = {}
    if workload is not None:
        rows = workload.templates(["template_id", "sql"]).to_pylist()
        texts = {row["template_id"]: row["sql"] for row in rows}
    return tuple(
        Template(template_id=name, kind=kind, sql=texts.get(name)) for name, kind in kinds.items()
    )
