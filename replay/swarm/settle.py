"""The end of a run: every planned statement gets its sample, and the ledger is counted on disk.

What no worker recorded, because it was lost or its disk was full, is written as `unknown`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from replay.artefact import write_table
from replay.errors import ExitCode
from replay.offsets import Ints
from replay.run import SAMPLES, Ledger, Run
from replay.samples import Planned, describe_planned
from replay.timetable import Timetable


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
        self, ended_by: str, *, lag_budget_us: float, starved_us: int
    ) -> tuple[ExitCode, str | None]:
        """The run's exit code, and why the run is INVALID if it is.

        `starved_us` is the worst worker's p99 of how late its event loop was.
        """
        if ended_by == "interrupted":
            return ExitCode.INTERRUPTED, None
        reasons = []
        if ended_by in ("worker-lost", "disk-full"):
            reasons.append(f"the run ended by {ended_by}")
        if self.ledger.unknown:
            reasons.append(f"{self.ledger.unknown:,} planned statements are unknown")
        if self.lag_p99_us is not None and self.lag_p99_us > lag_budget_us:
            reasons.append("p99 of the tool's lag is above --lag-budget-ms")
        if starved_us > lag_budget_us:
            reasons.append(
                f"a worker's event loop was late by {starved_us / 1e3:.0f} ms at p99, above "
                "--lag-budget-ms: use more workers"
            )
        return (ExitCode.UNDECIDED, "; ".join(reasons)) if reasons else (ExitCode.DONE, None)


def settle(run: Run, timetable: Timetable, statements: pa.Table) -> Settlement:
    """Complete the samples and count them.

    A disk too full for the samples of what is unknown does not matter: the ledger counts as
    unknown whatever was planned and has no sample.
    """
    samples = run.samples()
    ledger = Ledger.of_samples(timetable.statements, iter([samples]))
    planned = describe_planned(timetable, statements)
    missing = _missing(planned, samples)
    if len(missing):
        table = pa.Table.from_batches([planned.unknown(missing)], schema=SAMPLES)
        with suppress(OSError):
            write_table(run.path / "samples" / "unknown.parquet", table)
    lag_us = _lag_us(samples)
    return Settlement(
        ledger=ledger,
        lag_p50_us=_quantile(lag_us, 0.50),
        lag_p99_us=_quantile(lag_us, 0.99),
    )


def _missing(planned: Planned, samples: pa.Table) -> Ints:
    """Planned indexes without a sample."""
    above = int(planned.statement_id.max(initial=0)) + 1
    wanted = planned.clone * above + planned.statement_id
    found = (
        samples["clone"].to_numpy().astype(np.int64) * above + samples["statement_id"].to_numpy()
    )
    return np.flatnonzero(~np.isin(wanted, found))


def _lag_us(samples: pa.Table) -> Ints:
    sent = samples.filter(pa.compute.is_valid(samples["sent_us"]))
    columns = (sent[name].to_numpy() for name in ("sent_us", "due_us", "ready_us"))
    sent_us, due_us, ready_us = columns
    return np.asarray(sent_us - np.maximum(due_us, ready_us), dtype=np.int64)


def _quantile(values: Ints, p: float) -> int | None:
    return int(np.quantile(values, p, method="inverted_cdf")) if len(values) else None
