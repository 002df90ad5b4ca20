"""Small workloads for the tests of prepare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from replay.kind import tables_and_kind
from replay.template import normalise
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

_STARTED = datetime(2026, 4, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One statement of a workload to make."""

    sql: str
    session: str = "s1"
    error: str | None = None
    params: tuple[str | None, ...] | None = None
    duration_us: int = 1_000
    user: str = "analyst"


def make_workload(path: Path, asked: Sequence[Asked], *, dialect: str = "postgres") -> Workload:
    """Write a workload of these statements, one a second."""
    with WorkloadWriter(path) as writer:
        rows = []
        seqs: dict[str, int] = {}
        for number, each in enumerate(asked):
            found = normalise(each.sql, dialect=dialect)
            kind, tables = tables_and_kind(each.sql, dialect)
            writer.add_template(TemplateText(found.template_id, found.text, kind, tables))
            seqs[each.session] = seqs.get(each.session, -1) + 1
            rows.append(
                {
                    "session_id": each.session,
                    "seq": seqs[each.session],
                    "started_at": _STARTED + timedelta(seconds=number),
                    "duration_us": each.duration_us,
                    "rows": 1,
                    "error": each.error,
                    "user": each.user,
                    "database": "reports",
                    "application": "test",
                    "kind": kind,
                    "template_id": found.template_id,
                    "sql": each.sql,
                    "params": None if each.params is None else list(each.params),
                    "origin": f"log.csv:{number + 1}",
                }
            )
        writer.add_statements(pa.Table.from_pylist(rows, schema=INCOMING))
        return writer.commit(
            {
                "dialect": dialect,
                "sources": [],
                "timestamps": {"meaning": "start", "resolution_us": 1_000},
                "counts": CaptureCounts(records_read=len(rows), captured=len(rows)).as_json(),
                "redaction": "none",
            }
        )
