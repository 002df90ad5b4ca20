"""Reading what the server says of a run, after it, and keeping that with the run.

    RUN/server/queries.parquet   figures of each statement
    RUN/server/usage.json        what is billed
    RUN/server/metrics.parquet   CloudWatch's minutes
    RUN/server/events.jsonl      restarts, resizes, vacuums

Nothing that fails here touches the run's own results: it is noted in run.json, with the remedy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from replay.artefact import write_json, write_table, write_text
from replay.errors import FourstepError, UndecidedRun, UsageError
from replay.inside.clock import Reading, ours_us, read_clock
from replay.inside.events import read_events
from replay.inside.history import read_history
from replay.inside.joined import join_rows
from replay.inside.metrics import read_metrics
from replay.inside.patience import Patience
from replay.inside.usage import read_usage
from replay.inside.views import Views
from replay.run import EVENTS, SAMPLES, Run
from replay.target.redshift import version_in

FACTS = ("redshift_version", "node_type", "nodes", "base_rpu", "status")
"""What must not change while a run is on."""
AGAIN = "`fourstep inside RUN --host URL` reads it again"
_NOTHING: dict[str, Any] = {
    "source": None, "read_at": None, "settled": False, "rows": 0, "joined": 0, "row_reasons": {},
    "samples": 0, "with_figures": 0, "sample_reasons": {}, "clock": None, "versions": [],
    "before": {}, "after": dict.fromkeys(FACTS), "changed": False, "failures": [],
}  # fmt: skip
"""The `server` object before anything was read."""
_SAMPLES = "statement_id clone template_id kind sent_us done_us backend_pid status".split()
_MARGIN_US = 1_000_000

Result = TypeVar("Result")


def look_inside(
    path: Path,
    *,
    views: Callable[[], Views],
    patience: Patience,
    before: Reading | None = None,
    facts: Callable[[], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Read everything, write RUN/server and the `server` object of run.json, and return that.

    `views` opens them. At the end of a run `before` is the clock as it was read before it, and
    `facts` tells of FACTS as they are now; a later reading has what the one at the end kept, and
    replaces it by what tells of more statements only.

    Raises:
        UsageError: the run sent nothing that the server could tell of.
        OSError: the run cannot be written to.
    """
    run = Run(path)
    target, samples = run.document["target"], _sent(run)
    if not samples.num_rows or not run.document.get("zero_at"):
        hint = "name a run that did, made by this program or a later one"
        raise UsageError(f"`{path}` sent no statement that says when", hint=hint)
    zero = datetime.fromisoformat(run.document["zero_at"])
    span = pc.min(samples["sent_us"]).as_py(), pc.max(samples["done_us"]).as_py()
    window = (zero + timedelta(microseconds=span[0]), zero + timedelta(microseconds=span[1]))
    server: dict[str, Any] = _NOTHING | {"before": {name: target.get(name) for name in FACTS}}
    server |= run.document.get("server") or {}
    kept = (server["clock"] or {}).get("before")
    before = before or (Reading(**kept) if kept else None)
    failures: list[dict[str, str | None]] = []

    def attempt(what: str, work: Callable[[], Result]) -> Result | None:
        try:
            patience.check()
            return work()
        except Exception as error:
            # Whatever it is, the run itself is safe on disk.
            why = str(error) if isinstance(error, FourstepError) else repr(error)
            failures.append({"what": what, "why": why, "hint": getattr(error, "hint", None)})
            return None

    def history(opened: Views) -> None:
        after = read_clock(opened)
        readings = [before, after] if before else [after]
        error_us = max(reading.error_us for reading in readings)
        offset, margin = (
            timedelta(microseconds=us) for us in (after.offset_us, _MARGIN_US + 2 * error_us)
        )
        told = read_history(
            opened,
            group=(target.get("session") or {}).get("query_group"),
            window=(_utc(window[0] + offset - margin), _utc(window[1] + offset + margin)),
            expected=pc.sum(pc.equal(samples["status"], "ok")).as_py(),
            patience=patience,
        )
        rows = told.rows
        for name in ("started_us", "ended_us"):
            at_us = ours_us(rows[name].to_numpy(), readings) - round(zero.timestamp() * 1e6)
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(at_us))
        joined = join_rows(samples, rows, error_us=error_us)
        if joined.queries.num_rows < server["with_figures"]:
            raise UndecidedRun("it tells of fewer statements than before; those figures stay")
        _write(path / "server" / "queries.parquet", joined.queries)
        clock: dict[str, Any] = {"offset_us": after.offset_us, "error_us": error_us}
        clock["drift_us"] = before and after.offset_us - before.offset_us
        server.update(
            clock=clock | {"before": before and before._asdict()},
            source=told.source,
            settled=told.settled,
            rows=joined.rows,
            joined=joined.rows - sum(joined.row_reasons.values()),
            row_reasons=joined.row_reasons,
            samples=joined.samples,
            with_figures=joined.queries.num_rows,
            sample_reasons=joined.sample_reasons,
            versions=told.versions,
        )
        if told.usage_limits:
            why = f"usage limits were reached: {', '.join(told.usage_limits)}"
            failures.append({"what": "limits", "why": why, "hint": "raise them and run again"})
        if not told.settled:
            raise UndecidedRun("rows still came, or none had, when the wait was over", hint=AGAIN)
        if not joined.queries.num_rows:
            hint = "connect without a pooler in between: it gives process numbers of its own"
            raise UndecidedRun("no row is of a session of this run", hint=hint)

    (path / "server").mkdir(exist_ok=True)
    if facts is not None:
        now = attempt("facts", facts) or {}
        server["after"] = {name: now.get(name) for name in FACTS}
    opened = attempt("connection", views)
    if opened is not None:
        patience.cancel = opened.cancel
        if facts is not None:
            attempt("version", lambda: server["after"].update(redshift_version=_version(opened)))
        attempt("history", lambda: history(opened))
        usage = read_usage(
            opened,
            serverless=bool(target.get("workgroup")),
            window=window,
            patience=patience,
            attempt=attempt,
        )
        if usage["settled"] or not (path / "server" / "usage.json").exists():
            write_json(path / "server" / "usage.json", usage)
    events = read_events(opened, target, window=window, zero=zero, attempt=attempt)
    if events or not (path / EVENTS).exists():
        write_text(path / EVENTS, "".join(f"{json.dumps(event)}\n" for event in events))
    if opened is not None:
        patience.cancel = None
        opened.close()
    if target.get("cluster") or target.get("workgroup"):
        metrics = attempt("metrics", lambda: read_metrics(target, window=window, zero=zero))
        if metrics is not None:
            _write(path / "server" / "metrics.parquet", metrics)
    pairs = [{server[when][name] for when in ("before", "after")} - {None} for name in FACTS]
    server["changed"] = any(len(pair) > 1 for pair in (*pairs, server["versions"]))
    server |= {"failures": failures, "read_at": f"{datetime.now(UTC):%FT%TZ}"}
    write_json(path / "run.json", run.document | {"server": server})
    return server


def written_names(path: Path) -> list[str]:
    """What a reading wrote, as names in the run."""
    return ["run.json", *(f"server/{file.name}" for file in (path / "server").iterdir())]


def in_words(server: Mapping[str, Any]) -> list[str]:
    """What a user is told of a reading."""
    lines = []
    if server["source"]:
        lines.append(
            f"the server told of {server['with_figures']:,} of {server['samples']:,} statements "
            f"({server['source']}; {server['rows']:,} rows, {server['joined']:,} joined)"
        )
    if server["changed"]:
        lines.append("version, nodes or RPU changed while the run was on: it is INVALID")
    for failure in server["failures"]:
        remedy = f"; {failure['hint']}" if failure["hint"] else ""
        lines.append(f"not read: {failure['what']}: {failure['why']}{remedy}")
    return lines


def _sent(run: Run) -> pa.Table:
    """Samples that were sent and answered: what the server can tell of."""
    batches = run.sample_batches(_SAMPLES)
    schema = pa.schema([SAMPLES.field(name) for name in _SAMPLES])
    return pa.Table.from_batches(
        (batch.filter(pc.is_valid(batch["done_us"])) for batch in batches), schema
    )


def _version(views: Views) -> str | None:
    return version_in(views.rows("SELECT version()").column(0)[0].as_py())


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _write(path: Path, table: pa.Table) -> None:
    write_table(path, table.schema, table.to_batches())
