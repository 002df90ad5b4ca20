"""The legs of a run: played in one go, or gone on with after it was stopped or killed.

A later leg keeps the run's axis of time. It begins at the last instant that the samples tell of:
what was due then is due when it begins. What was due before and left no sample stays unknown.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from replay.artefact import sha256_of, write_table
from replay.dials import Dials
from replay.errors import UsageError
from replay.plan import PLANS, Plan
from replay.run import SAMPLES, Run, batches_of, files_of, sample_files
from replay.samples import RESERVES
from replay.workload import Workload

_TIMES = ("due_us", "sent_us", "done_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What a run was before this leg: nothing for a new one."""

    from_us: int = 0
    """Where this leg begins on the run's axis of time."""
    earlier: list[dict[str, Any]] = field(default_factory=list)
    """Entries of `legs` in run.json."""
    workers: list[dict[str, Any]] = field(default_factory=list)
    started_at: str | None = None


def refuse_other(run: Run, workload: Workload, dials: Dials, *, ingest: bool) -> None:
    """A leg must ask what the run would have asked.

    Raises:
        UsageError: it has another workload or other dials, or no times to go on from.
    """
    if run.document["workload"]["sha256"] != workload.sha256:
        raise UsageError(
            f"`{run.path}` replays another workload than `{workload.path}`",
            hint="give --resume the options that the run was begun with",
        )
    before, now = run.document["dials"], dials.as_json()
    other = [name for name in now if before.get(name) != now[name]]
    if other:
        raise UsageError(
            f"`{run.path}` was begun with another {', '.join(f'`{name}`' for name in other)}",
            hint="give --resume the options that the run was begun with",
        )
    if dials.mode != "open" or dials.pace != "captured" or ingest:
        raise UsageError(
            "`--resume` is for runs by captured times, without --mode pool, --pace think, --ingest",
            hint="begin another run",
        )


def go_on(run: Run, plan: Plan) -> Legs:
    """Where a stopped or killed run is gone on with; its files say it, not its run.json.

    Raises:
        UsageError: it is still being written, or nothing of it is left to play.
    """
    for reserve in (run.path / "samples").glob(RESERVES):
        with reserve.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"`{run.path}` is still being written",
                    hint="wait: workers end ten seconds after their master",
                ) from error
    document = run.document
    earlier = [dict(leg) for leg in document.get("legs") or []]
    batches = run.sample_batches(_TIMES)
    told = (pc.max(batch[name]).as_py() for batch in batches for name in ("sent_us", "done_us"))
    begun_us = earlier[-1]["from_us"] if earlier else 0
    until_us = max((us for us in told if us is not None), default=begun_us)
    from_us = max(begun_us, until_us + 1)
    if not (plan.timetable.due_us >= from_us).any():
        raise UsageError(f"nothing of `{run.path}` is left to play", hint="`fourstep report` it")
    if earlier:
        earlier[-1]["until_us"] = until_us
    workers = [dict(worker) for worker in document["workers"]]
    return Legs(
        from_us=from_us, earlier=earlier, workers=workers, started_at=document["started_at"]
    )


def clear(run: Path, legs: Legs, *, own_plan: Path) -> None:
    """Take from the samples what this leg will play, and what a killed leg left lying about.

    A leg that was stopped has a sample for all that it did not send.
    """
    samples, renewed = run / "samples", dict[str, dict[str, Any]]()
    for left in (*samples.glob("unknown.parquet"), *samples.glob(RESERVES)):
        left.unlink()
    for plan in run.glob(f"{PLANS}*"):
        if plan != own_plan:
            rmtree(plan)

    def done(batch: pa.RecordBatch) -> pa.Array:
        return pc.or_(pc.is_valid(batch["sent_us"]), pc.less(batch["due_us"], legs.from_us))

    for path in chain(*sample_files(run)):
        if all(done(batch).false_count == 0 for batch in batches_of(path, _TIMES)):
            continue
        parquet = path.with_suffix(".parquet")
        kept = [batch.filter(done(batch)) for batch in batches_of(path, SAMPLES.names)]
        write_table(parquet, SAMPLES, kept)
        if path != parquet:
            path.unlink()
        rows, sha256 = sum(map(len, kept)), sha256_of(parquet)
        renewed[path.name] = {"file": parquet.name, "sha256": sha256, "rows": rows}
    for worker in legs.workers:
        worker["files"] = [renewed.get(file["file"], file) for file in files_of(worker)]
        worker |= {name: file[name] for file in worker["files"] for name in ("file", "sha256")}
