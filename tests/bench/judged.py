"""The report of a large run: how long `fourstep report` takes, and in how much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from replay.artefact import write_json
from replay.run import SAMPLES, STATUSES, Ledger, versions
from tests.bench.ground import Ground
from tests.bench.measure import FOURSTEP, say, watched

TEMPLATES = 10_000
_WORKERS = 4
_BATCH = 1 << 20
_PER_S = 1_400
"""Statements a second: 20 million of them are four hours."""


def report(ground: Ground) -> None:
    """`fourstep report` over a run of so many statements and ten thousand templates."""
    run = write_long(ground.directory / "long", ground.statements)
    _touch_memory()
    before = psutil.Process().cpu_times()
    command = [*FOURSTEP, "report", str(run), "-o", str(run / "report"), "--exit-zero"]
    found = watched(command, ground.directory)
    after = psutil.Process().cpu_times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    full = ground.statements >= 20_000_000
    say(
        f"{ground.statements:,} samples, {TEMPLATES:,} templates",
        f"{found.took_s:.1f} s", "15 s", met=found.took_s <= 15 if full else None,
    )  # fmt: skip
    say("processor time", f"{cpu_s:.1f} s")
    peak_mb = max(found.peak_mb.values())
    say("memory at most", f"{peak_mb:,.0f} MB", "2 GB", met=peak_mb <= 2048 if full else None)


def _touch_memory() -> None:
    """Have the machine give what memory a report takes.

    A virtual machine may have to ask its host for every page that was not used of late: here up to
    15 s a gigabyte, half a minute for what a report of 20 million needs.
    """
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "b'x' * (2 << 30)"], check=True)


def write_long(path: Path, statements: int) -> Path:
    """A run of so many samples from four workers, as it leaves them; its workload is gone."""
    random = np.random.default_rng(1)
    (path / "samples").mkdir(parents=True)
    weight = 1 / np.arange(1, TEMPLATES + 1)
    names = pa.array([f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(TEMPLATES)])
    length_us = max(1_800, statements // _PER_S) * 1_000_000
    share = -(-statements // _WORKERS)
    ok = 0
    for worker in range(_WORKERS):
        file = path / "samples" / f"worker-{worker}.parquet"
        n = min(share, statements - worker * share)
        due = np.sort(random.integers(0, length_us, n))
        with pq.ParquetWriter(file, SAMPLES, compression="zstd") as writer:
            for start in range(0, n, _BATCH):
                part = due[start : start + _BATCH]
                batch = _batch(random, part, names, weight / weight.sum(), worker)
                ok += int((batch["status"].to_numpy(zero_copy_only=False) == "ok").sum())
                first = worker * share + start
                ids = pa.array(np.arange(first, first + len(part)))
                writer.write_table(
                    pa.table({"statement_id": ids, **batch}).select(SAMPLES.names).cast(SAMPLES)
                )
    ledger = Ledger(planned=statements, ok=ok, error=statements - ok)
    write_json(path / "run.json", _document(ledger, length_us))
    return path


def _batch(
    random: np.random.Generator, due: Any, names: pa.Array, weight: Any, worker: int
) -> dict[str, Any]:
    n = len(due)
    code = random.choice(TEMPLATES, n, p=weight)
    lag = random.exponential(400, n).astype(np.int64)
    centre = 20_000 * (1 + code % 7)
    captured, took = ((centre * random.lognormal(0, 0.6, n)).astype(np.int64) for _ in range(2))
    failed = random.random(n) < 1e-4
    same = {
        "clone": 0, "kind": "select", "worker": f"worker-{worker}", "rows": 1, "diverged": False,
        "backend_pid": 7,
    }  # fmt: skip
    return {
        **{name: pa.repeat(value, n) for name, value in same.items()},
        "session_id": pa.array(code % 5_000).cast(pa.string()),
        "seq": pa.array(np.arange(n)),
        "template_id": names.take(pa.array(code)),
        "due_us": pa.array(due),
        "ready_us": pa.array(due),
        "sent_us": pa.array(due + lag),
        "first_row_us": pa.array(due + lag + took - 1),
        "done_us": pa.array(due + lag + took),
        "status": pa.array(np.where(failed, STATUSES[1], STATUSES[0])),
        "sqlstate": pa.array(["XX000"] * n, mask=~failed),
        "error": pa.array(["internal error"] * n, mask=~failed),
        "digest": pa.nulls(n, pa.string()),
        "captured_us": pa.array(captured),
    }


def _document(ledger: Ledger, length_us: int) -> dict[str, Any]:
    worker = {
        "rows_written": ledger.planned // _WORKERS, "cpu_p95": 0.5, "starved_p99_us": 1_000,
        "lost": False,
    }  # fmt: skip
    return {
        "schema_version": 1,
        "run_id": "long",
        "tool_version": "bench",
        "versions": versions(),
        "workload": {"uri": "gone", "sha256": "0" * 64},
        "target": {"kind": "redshift", "host": "h", "database": "d", "server_version": "8.0.2"},
        "dials": {"mode": "open", "scale": 1, "speed": 1, "seed": 1, "lag_budget_ms": 250},
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T04:00:00Z",
        "window_us": length_us,
        "timetable": {
            "statements": ledger.planned,
            "sessions": 5_000,
            "length_us": length_us,
            "peak_sessions": 100,
        },
        "workers": [worker | {"worker": f"worker-{i}", "shard": i} for i in range(_WORKERS)],
        "ledger": ledger.as_json(),
        "ended_by": "done",
    }
