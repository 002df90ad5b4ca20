"""The end of a run: every planned statement gets its sample, and the ledger is counted on disk.

What no worker recorded, because it was lost or its disk was full, is written as `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.artefact import write_table
from replay.errors import ExitCode
from replay.offsets import Ints
from replay.plan import Plan
from replay.run import SAMPLES, Ledger, Run
from replay.samples import Planned

_LAG = ("sent_us", "due_us", "ready_us")
_COLUMNS = ("statement_id", "clone", "status", "error", *_LAG)
_ROWS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a run came to, from its samples on disk."""

    ledger: Ledger
    lag_p50_us: int | None
    lag_p99_us: int | None

    @property
    def in_words(self) -> list[str]:
        """What a user is told after a run."""
        lines = [self.ledger.in_words]
        if self.lag_p50_us is not None and self.lag_p99_us is not None:
            lines.append(
                f"tool lag p50 {self.lag_p50_us / 1e3:.2f} ms, p99 {self.lag_p99_us / 1e3:.2f} ms"
            )
        return lines

    def judge(
        self,
        ended_by: str,
        *,
        lag_budget_us: float,
        starved_us: int,
        worker_lost: bool,
        aborted: str | None = None,
        resumed: bool = False,
    ) -> tuple[ExitCode, str | None]:
        """The run's exit code, and why the run cannot give a GO if it cannot.

        `starved_us` is the worst worker's p99 of how late its event loop was, `aborted` says which
        rule ended the run.
        """
        if ended_by == "interrupted":
            return ExitCode.INTERRUPTED, None
        reasons = []
        continued = ended_by == "done" and worker_lost
        if ended_by in ("worker-lost", "disk-full"):
            reasons.append(f"the run ended by {ended_by}")
        if self.ledger.unknown and not continued and not resumed:
            reasons.append(f"{self.ledger.unknown:,} planned statements are unknown")
        if self.lag_p99_us is not None and self.lag_p99_us > lag_budget_us:
            reasons.append("p99 of the tool's lag is above --lag-budget-ms")
        if starved_us > lag_budget_us:
            reasons.append(
                f"a worker's event loop was late by {starved_us / 1e3:.0f} ms at p99, above "
                "--lag-budget-ms: use more workers"
            )
        if reasons:
            return ExitCode.UNDECIDED, f"INVALID: {'; '.join(reasons)}"
        if aborted:
            return ExitCode.UNDECIDED, f"INCONCLUSIVE at best: aborted by {aborted}"
        if self.ledger.unknown and resumed:
            return ExitCode.UNDECIDED, (
                f"INCONCLUSIVE at best: {self.ledger.unknown:,} planned statements are unknown "
                "from before the run was gone on with"
            )
        if continued:
            gone = self.ledger.unknown + self.ledger.cancelled
            return ExitCode.UNDECIDED, (
                f"INCONCLUSIVE at best: a worker was lost, and {gone:,} planned statements with it"
            )
        return ExitCode.DONE, None


def settle(run: Run, plan: Plan, *, endless: bool = False, lost: int = 0) -> Settlement:
    """Complete the samples and count them, reading a bounded number at a time.

    A disk too full for the samples of what is unknown does not matter: the ledger counts as
    unknown whatever was planned and has no sample. A pool that draws without end plans what it
    draws, so what has left no sample cannot be named: `lost` is how many may have been in flight.
    """
    lags_us = [np.empty(0, dtype=np.int64)]
    seen = _Seen(plan)

    def noted() -> Iterator[pa.RecordBatch]:
        for batch in run.sample_batches(_COLUMNS):
            lags_us.append(_lag_us(batch))
            if not endless:
                seen.add(batch)
            yield batch

    ledger = Ledger.of_samples(None if endless else plan.timetable.statements, noted())
    if endless:
        ledger.planned, ledger.unknown = ledger.planned + lost, ledger.unknown + lost
    elif len(missing := seen.missing()):
        of = Planned(plan.timetable, plan.statements)
        parts = (missing[at : at + _ROWS] for at in range(0, len(missing), _ROWS))
        with suppress(OSError):
            write_table(run.path / "samples" / "unknown.parquet", SAMPLES, map(of.unknown, parts))
    lag_us = np.concatenate(lags_us)
    return Settlement(
        ledger=ledger,
        lag_p50_us=_quantile(lag_us, 0.50),
        lag_p99_us=_quantile(lag_us, 0.99),
    )


class _Seen:
    """Which planned statements have a sample."""

    def __init__(self, plan: Plan) -> None:
        self._timetable = timetable = plan.timetable
        planned = np.zeros(len(plan.statements), dtype=np.bool_)
        planned[timetable.row] = True
        self._number = np.cumsum(planned) - 1
        shape = (timetable.clone.max(initial=0) + 1, planned.sum())
        self._seen = np.zeros(shape, dtype=np.bool_)

    def add(self, batch: pa.RecordBatch) -> None:
        number = self._number[batch["statement_id"].to_numpy()]
        self._seen[batch["clone"].to_numpy(), number] = True

    def missing(self) -> Ints:
        """Planned indexes without one."""
        timetable = self._timetable
        clone = timetable.clone_of(np.arange(timetable.statements))
        return np.flatnonzero(~self._seen[clone, self._number[timetable.row]])


def _lag_us(batch: pa.RecordBatch) -> Ints:
    sent = batch.filter(pc.is_valid(batch["sent_us"]))
    columns = (sent[name].to_numpy(zero_copy_only=False) for name in _LAG)
    sent_us, due_us, ready_us = columns
    return np.asarray(sent_us - np.maximum(due_us, ready_us), dtype=np.int64)


def _quantile(values: Ints, p: float) -> int | None:
    return int(np.quantile(values, p, method="inverted_cdf")) if len(values) else None
