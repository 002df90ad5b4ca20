"""A workload and a run made of seeded numbers, written with the real writers and schemas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.artefact import write_json
from replay.run import SAMPLES, Ledger
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

START = datetime(2024, 6, 10, 8, 0, tzinfo=UTC)

QUESTIONS = (
    "SELECT campaign_id, sum(clicks) FROM facts WHERE day = ? GROUP BY campaign_id",
    "SELECT count(*) FROM impressions WHERE advertiser_id = ? AND day BETWEEN ? AND ?",
    "SELECT a.name, sum(f.spend) FROM facts f JOIN advertisers a USING (advertiser_id) GROUP BY 1",
    "SELECT * FROM campaigns WHERE campaign_id = ?",
    "SELECT date_trunc(?, day), avg(ctr) FROM daily_rates WHERE advertiser_id = ? GROUP BY 1",
    "SELECT region, sum(impressions) FROM facts WHERE day >= ? GROUP BY region ORDER BY 2 DESC",
    "SELECT creative_id, clicks FROM creatives WHERE campaign_id IN (?) LIMIT ?",
    "BEGIN",
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to make; ratios multiply the latency of 2.0 per template.

    Statements go round `users`. A copy that `scale` adds comes two seconds later; below 1 some
    sessions are left out.
    Of a soak, latencies `rise` over its length and `step` up in its middle, by these logarithms.
    With more `loops` the workload begins again each time its `seconds` are over.
    With `digests` a template has one answer, but for that of its `other_answers` last statements.
    """

    statements: int = 6000
    seconds: float = 1800.0
    templates: int = 7
    seed: int = 7
    scale: float = 1.0
    speed: float = 1.0
    slowdown: float = 1.0
    slow_template: Mapping[int, float] = field(default_factory=dict)
    new_errors: int = 0
    existing_errors: int = 0
    resolved_errors: int = 0
    timeouts: int = 0
    skipped: int = 0
    cancelled: int = 0
    lost: int = 0
    lag_us: float = 400.0
    cpu_p95: float | None = 0.31
    starved_us: int | None = None
    with_captured: bool = True
    finished: bool = True
    digests: bool = False
    other_answers: int = 0
    run_id: str = "r-20240611-b81"
    questions: tuple[str, ...] = QUESTIONS
    users: tuple[str | None, ...] = ("report",)
    soak: bool = False
    rise: float = 0.0
    step: float = 0.0
    loops: int = 1
    slow_user: Mapping[str, float] = field(default_factory=dict)


def template_id(code: int) -> str:
    """A stable 16-digit id."""
    return f"{(code + 1) * 0x9C41D2A07BE31F:016x}"[-16:]


def write_workload(path: Path, plan: Plan) -> Workload:
    """A workload of `plan.statements` statements over `plan.seconds`."""
    random = np.random.default_rng(plan.seed)
    n = plan.statements
    due = np.sort(random.uniform(0, plan.seconds, n))
    code = _codes(random, plan)
    duration = _latency(random, code)
    failed = set(range(plan.existing_errors)) | {n - 1 - i for i in range(plan.resolved_errors)}
    rows = {
        "session_id": [f"s{i % 40}" for i in range(n)],
        "seq": list(range(n)),
        "started_at": [START + timedelta(seconds=float(s)) for s in due],
        "duration_us": [int(d) if plan.with_captured else None for d in duration],
        "rows": [1] * n,
        "error": ["42P01" if i in failed else None for i in range(n)],
        "user": [plan.users[i % len(plan.users)] for i in range(n)],
        "database": ["ads"] * n,
        "application": ["dashboards"] * n,
        "kind": [_kind(plan, int(c)) for c in code],
        "template_id": [template_id(int(c)) for c in code],
        "sql": [plan.questions[int(c) % len(plan.questions)] for c in code],
        "params": [None] * n,
        "origin": [f"log.csv:{i + 1}" for i in range(n)],
    }
    with WorkloadWriter(path) as writer:
        if n:
            writer.add_statements(pa.table(rows, schema=INCOMING))
        for number in range(plan.templates):
            writer.add_template(
                TemplateText(
                    template_id=template_id(number),
                    sql=plan.questions[number % len(plan.questions)],
                    kind=_kind(plan, number),
                    tables=["facts"],
                )
            )
        return writer.commit(
            {
                "dialect": "postgres",
                "sources": [],
                "timestamps": {"meaning": "start", "resolution_us": 1},
                "counts": CaptureCounts(records_read=n, captured=n).as_json(),
                "redaction": "literals",
            }
        )


def write_run(path: Path, workload: Workload, plan: Plan) -> Path:
    """A run of the workload, with what `plan` says went wrong."""
    (path / "samples").mkdir(parents=True)
    statements = workload.statements(["started_at", "template_id", "kind", "duration_us", "error"])
    random = np.random.default_rng(plan.seed + 1)
    n = len(workload)
    micros = statements["started_at"].cast(pa.int64()).to_numpy()
    due = micros - (micros[0] if n else 0)
    clones, copies = [], math.ceil(plan.scale)
    for number in range(copies * plan.loops):
        loop, clone = divmod(number, copies)
        shift_us = clone * 2_000_000 + loop * plan.seconds * 1_000_000
        shifted = ((due + shift_us) / plan.speed).astype(np.int64)
        columns = _columns(random, plan, statements, shifted) | {"clone": [number] * n}
        copied = np.arange(n) % 40 < 40 * (plan.scale - clone)
        clones.append(pa.table(columns, schema=SAMPLES).filter(pa.array(copied)))
    planned = pa.concat_tables(clones)
    table = planned.slice(0, len(planned) - plan.lost)
    pq.write_table(table, path / "samples" / "worker-0.parquet")
    ledger = Ledger.of_samples(len(planned), iter([table]))
    length_us = pc.max(planned["due_us"]).as_py() if n else 0
    write_json(path / "run.json", _document(workload, plan, ledger, length_us))
    return path


def write_both(directory: Path, plan: Plan) -> Path:
    """A workload and a run beside each other; returns the run."""
    workload = write_workload(directory / "workload", plan)
    return write_run(directory / plan.run_id, workload, plan)


def _codes(random: np.random.Generator, plan: Plan) -> np.ndarray[Any, np.dtype[np.int64]]:
    weight = 1 / np.arange(1, plan.templates + 1)
    return random.choice(plan.templates, size=plan.statements, p=weight / weight.sum())


def _latency(
    random: np.random.Generator, code: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    centre = 30_000 * (1 + code % 5) ** 1.5
    return centre * random.lognormal(0, 0.6, len(code))


def _kind(plan: Plan, code: int) -> str:
    return "begin" if plan.questions[code % len(plan.questions)] == "BEGIN" else "select"


def _columns(
    random: np.random.Generator,
    plan: Plan,
    statements: pa.Table,
    due: np.ndarray[Any, np.dtype[np.int64]],
) -> dict[str, Any]:
    n = len(due)
    ids = statements["template_id"].to_pylist()
    known = {template_id(number): number for number in range(plan.templates)}
    code = np.array([known[name] for name in ids], dtype=np.int64)
    factor = np.array([plan.slow_template.get(int(c), 1.0) for c in code])
    took = _latency(random, code) * plan.slowdown * factor
    took *= [plan.slow_user.get(plan.users[i % len(plan.users)] or "", 1.0) for i in range(n)]
    passed = due / max(1, int(due.max(initial=0)))
    took *= np.exp(plan.rise * passed + plan.step * (passed >= 0.5))
    lag = np.maximum(random.exponential(plan.lag_us, n), 1).astype(np.int64)
    status = ["ok"] * n
    state: list[str | None] = [None] * n
    error: list[str | None] = [None] * n
    failures: Counter[str] = Counter()

    def mark(at: int, name: str, sqlstate: str | None, text: str | None) -> None:
        status[at], state[at], error[at] = name, sqlstate, text
        failures[name] += 1

    for i in range(plan.existing_errors):
        mark(i, "error", "42P01", "relation does not exist")
    first = plan.existing_errors
    for kind, number, sqlstate, text in (
        ("error", plan.new_errors, "42883", "function ? does not exist"),
        ("timeout", plan.timeouts, "57014", "canceling statement due to statement timeout"),
        ("skipped", plan.skipped, None, "writes"),
        ("cancelled", plan.cancelled, None, "the run was stopped"),
    ):
        for i in range(number):
            mark(first + i, kind, sqlstate, text)
        first += number
    sent = due + lag
    done = sent + took.astype(np.int64)
    gone = [name in ("skipped", "cancelled") for name in status]
    return {
        "statement_id": list(range(n)),
        "clone": [0] * n,
        "session_id": [f"s{i % 40}" for i in range(n)],
        "seq": list(range(n)),
        "template_id": ids,
        "kind": statements["kind"].to_pylist(),
        "worker": ["worker-0"] * n,
        "due_us": due.tolist(),
        "ready_us": [None if g else int(d) for g, d in zip(gone, due, strict=True)],
        "sent_us": [None if g else int(s) for g, s in zip(gone, sent, strict=True)],
        "first_row_us": [None if g else int(d) - 1 for g, d in zip(gone, done, strict=True)],
        "done_us": [None if g else int(d) for g, d in zip(gone, done, strict=True)],
        "status": status,
        "sqlstate": state,
        "error": error,
        "rows": [None if g else 1 for g in gone],
        "digest": [
            None if g or not plan.digests else "f" * 32 if i >= n - plan.other_answers else 2 * name
            for i, (g, name) in enumerate(zip(gone, ids, strict=True))
        ],
        "captured_us": statements["duration_us"].to_pylist(),
        "diverged": [False] * len(statements),
        "backend_pid": [None if g else 1_000 + i % 40 for i, g in enumerate(gone)],
    }


def _document(workload: Workload, plan: Plan, ledger: Ledger, length_us: int) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run_id": plan.run_id,
        "tool_version": "0.1.0",
        "versions": {"python": "3.11", "locust": "2.47"},
        "workload": {"uri": str(workload.path), "sha256": workload.sha256},
        "target": {
            "kind": "redshift",
            "host": "cluster.example",
            "database": "ads",
            "server_version": "8.0.2",
        },
        "dials": {
            "mode": "open",
            "scale": plan.scale,
            "speed": plan.speed,
            "seed": plan.seed,
            "statement_timeout_s": 300,
            "lag_budget_ms": 250,
            "digest": plan.digests,
            "roll_s": 600.0 * plan.soak,
        },
        "started_at": "2024-06-11T09:00:00Z",
        "ended_at": "2024-06-11T09:30:00Z" if plan.finished else None,
        "window_us": length_us,
        "timetable": {
            "statements": ledger.planned,
            "sessions": 40,
            "length_us": length_us,
            "peak_sessions": 40,
            "period_us": round(plan.seconds * 1e6 / plan.speed) if plan.loops > 1 else None,
        },
        "workers": [
            {
                "worker": "worker-0",
                "shard": 0,
                "statements": ledger.planned,
                "rows_written": ledger.planned - plan.lost,
                "sha256": "0" * 64,
                "max_lag_us": 9000,
                "cpu_p95": plan.cpu_p95,
                "starved_p99_us": plan.starved_us,
                "clock_offset_us": 0,
                "lost": False,
            }
        ],
        "ledger": ledger.as_json(),
        "ended_by": "done" if plan.finished else None,
    }
