"""The warm-up: one statement of each template before a run's zero, its times kept apart.

Redshift compiles a query's segments when it first sees them, and keeps them for the cluster: a
measurement without a warm-up is one of the compiler (Amazon Redshift developer guide, "Query
performance").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.artefact import write_table
from replay.dials import Dials
from replay.engine import Engine
from replay.plan import Plan
from replay.samples import Planned, SampleStream
from replay.target.target import Target
from replay.timetable import Timetable
from replay.variation import Variation
from replay.workload import coded

FILE = "warm_up.parquet"
AT_ONCE = 8
SCHEMA = pa.schema(
    [
        ("template_id", pa.string()),
        ("sent_us", pa.int64()),
        ("duration_us", pa.int64()),
        ("status", pa.string()),
        ("sqlstate", pa.string()),
        ("rows", pa.int64()),
    ]
)
"""`sent_us` counts from the warm-up's own beginning; null where nothing was sent."""


def warm_up(
    plan: Plan,
    run_dir: Path,
    *,
    target: Target,
    statement_timeout_s: float,
    unsupported: frozenset[str],
    goes_on: Callable[[], bool],
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Ask one question of each template of a plan that was read; writes FILE into the run.

    What may write is not sent, nor what makes no sense outside of its session. Returns the
    `warm_up` object of run.json. Ends early once `goes_on` says no.
    """
    codes = coded(plan.statements["template_id"]).indices.to_numpy()[plan.timetable.row]
    row = plan.timetable.row[np.unique(codes, return_index=True)[1]]
    nothing = np.zeros_like(row)
    timetable = Timetable(
        row=row,
        due_us=nothing,
        starts=np.arange(len(row) + 1),
        clone=nothing,
        think_us=nothing[:0],
    )
    pool = Dials(
        mode="pool",
        draw="statements",
        users=AT_ONCE,
        vary="none",
        statement_timeout_s=statement_timeout_s,
    )
    with TemporaryDirectory(prefix=".warm_up.", dir=run_dir) as place:
        planned = Planned(timetable, plan.statements)
        stream = SampleStream(Path(place), worker="warm_up", planned=planned)
        engine = Engine(
            timetable,
            plan.statements,
            connect=target.connect,
            credentials=target.credentials,
            dials=pool,
            unsupported=unsupported,
            stream=stream,
            variation=Variation(plan.statements, timetable, pool, dialect="postgres"),
        )
        began_ns = time.monotonic_ns()
        engine.play(zero_ns=began_ns)
        while not engine.finished.wait(timeout=0.2):
            progress(f"warm-up: {engine.recorder.rows:,} of {len(row):,} templates")
            if not goes_on():
                engine.drain(grace_s=0)
        table = pq.read_table(stream.path)
    table = table.filter(pc.not_equal(table["status"], "skipped"))
    table = table.append_column("duration_us", pc.subtract(table["done_us"], table["sent_us"]))
    write_table(run_dir / FILE, SCHEMA, table.select(SCHEMA.names).to_batches())
    ok = pc.sum(pc.equal(table["status"], "ok")).as_py() or 0
    ended_ns = time.monotonic_ns()
    counts = {"templates": len(table), "ok": ok, "error": len(table) - ok}
    return counts | {"duration_us": (ended_ns - began_ns) // 1_000}
