"""A workload of many templates to measure `prepare` with: monthly reports, lists and dates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.kind import tables_and_kind
from replay.template import normalise
from replay.workload import INCOMING, CaptureCounts
from replay.workload_writer import TemplateText, WorkloadWriter

TEMPLATES = 500
_QUESTION = (
    "select customer_{number}, date_trunc('month', hour)::date as month,"
    " sum(spend)::numeric(12, 2) as spend, count(*) from report_{number}"
    " where hour >= '{first:%Y-%m-%d}' and hour < '{last:%Y-%m-%d}' and country = '{country}'"
    " and clicks > {clicks} and campaign in ({campaigns})"
    " group by 1, 2 order by 3 desc limit {limit}"
)
_BEGINS = datetime(2026, 4, 1, tzinfo=UTC)
_BATCH = 50_000


def write_wide(path: Path, statements: int) -> Path:
    """Write a workload of so many statements, a thousand a second; returns where."""
    rows = _rows(statements)
    with WorkloadWriter(path) as writer:
        known: set[str] = set()
        while batch := list(islice(rows, _BATCH)):
            for row in batch:
                if row["template_id"] not in known:
                    known.add(row["template_id"])
                    text = normalise(row["sql"]).text
                    _, tables = tables_and_kind(row["sql"])
                    writer.add_template(TemplateText(row["template_id"], text, "select", tables))
            writer.add_statements(pa.Table.from_pylist(batch, schema=INCOMING))
        writer.commit(
            {
                "dialect": "postgres",
                "sources": [],
                "timestamps": {"meaning": "start", "resolution_us": 1_000},
                "counts": CaptureCounts(records_read=statements, captured=statements).as_json(),
                "redaction": "none",
            }
        )
    return path


def _rows(statements: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(1)
    template_ids: dict[int, str] = {}
    for at in range(statements):
        number = draw.randrange(TEMPLATES)
        first = _BEGINS - timedelta(days=draw.randrange(30, 300))
        sql = _QUESTION.format(
            number=number,
            first=first,
            last=first + timedelta(days=draw.randrange(1, 30)),
            country=draw.choice(("France", "Spain", "O''Neil")),
            clicks=draw.randrange(100_000),
            campaigns=", ".join(f"'c{draw.randrange(999)}'" for _ in range(draw.randrange(1, 9))),
            limit=draw.choice((10, 20, 50)),
        )
        if number not in template_ids:
            template_ids[number] = normalise(sql).template_id
        yield {
            "session_id": f"s{draw.randrange(2_000)}",
            "seq": at,
            "started_at": _BEGINS + timedelta(milliseconds=at),
            "duration_us": draw.randrange(100_000),
            "rows": 1,
            "error": None,
            "user": f"u{draw.randrange(40)}",
            "database": "reports",
            "application": "bench",
            "kind": "select",
            "template_id": template_ids[number],
            "sql": sql,
            "params": None,
            "origin": f"log:{at}",
        }
