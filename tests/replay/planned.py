"""Small workloads, written down as who says what when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from replay.kind import tables_and_kind
from replay.template import normalise
from replay.workload import INCOMING, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

EPOCH_US = round(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp() * 1e6)


def write_workload(
    path: Path,
    said: list[tuple[float, str, str]],
    *,
    kind: str | None = None,
    duration_us: int = 1_000,
    unsupported: tuple[str, ...] = (),
    user: str | None = None,
    rows_of_1_0: tuple[int | None, ...] = (),
) -> Workload:
    """A workload of `(second, session, sql)`; `kind` overrides what parsing would say.

    Each statement took `duration_us` on 1.0; `rows_of_1_0` gives the numbers of rows, if any.
    """
    seq: dict[str, int] = {}
    rows: list[dict[str, object]] = []
    with WorkloadWriter(path) as writer:
        for second, session_id, sql in said:
            found = normalise(sql)
            parsed, tables = tables_and_kind(sql)
            seq[session_id] = seq.get(session_id, -1) + 1
            rows.append(
                {
                    "session_id": session_id,
                    "seq": seq[session_id],
                    "started_at": EPOCH_US + round(second * 1e6),
                    "duration_us": duration_us,
                    "kind": kind or parsed,
                    "template_id": found.template_id,
                    "sql": sql,
                    "user": user,
                    "rows": rows_of_1_0[len(rows)] if rows_of_1_0 else None,
                    "origin": f"test:{len(rows) + 1}",
                }
            )
            writer.add_template(
                TemplateText(
                    template_id=found.template_id,
                    sql=found.text,
                    kind=kind or parsed,
                    tables=tables,
                    coverage="unsupported" if sql in unsupported else None,
                )
            )
        writer.add_statements(pa.RecordBatch.from_pylist(rows, schema=INCOMING))
        return writer.commit(
            {
                "dialect": "postgres",
                "sources": [],
                "timestamps": {"meaning": "start", "resolution_us": 1},
                "counts": {
                    "records_read": len(rows),
                    "captured": len(rows),
                    "skipped": {},
                    "quarantined": {},
                },
                "redaction": "none",
            }
        )
