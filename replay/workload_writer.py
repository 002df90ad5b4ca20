"""Writes a workload: rows in any order go in, sorted and hashed files come out.

Apart from reading because only who writes needs DuckDB, which sorts outside memory: a Locust worker
forks after its imports, and DuckDB's binding fills the terminal with complaints when such a
process ends.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import replay
from replay.artefact import sha256_of, write_json
from replay.errors import UsageError
from replay.unsorted import Unsorted
from replay.workload import SCHEMA_VERSION, STATEMENTS, TEMPLATES, Workload

EXCERPT_CHARACTERS = 200
_MOST_EXACT = 4_000_000


class TemplateText(NamedTuple):
    """What is known of a template before its statements are counted."""

    template_id: str
    sql: str
    kind: str
    tables: Sequence[str]
    coverage: str | None = None
    note: str | None = None
    source_sql: str | None = None


class WorkloadWriter:
    """Writes a workload beside its place and moves it there whole.

    Use as a context manager: leaving it normally commits, leaving it by an exception leaves
    nothing behind. An existing workload at `path` is replaced; any other directory is refused.

    Raises:
        UsageError: `path` is taken by something that is not a workload.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not (path / "manifest.json").is_file() and any(path.iterdir()):
            raise UsageError(
                f"`{path}` exists and is not a workload",
                hint="choose another directory for -o",
            )
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        self._aside.chmod(0o755)
        self._unsorted = Unsorted(self._aside / "unsorted.arrow")
        self._quarantine = (self._aside / "quarantine.jsonl").open("w", encoding="utf-8")
        self._templates: dict[str, TemplateText] = {}

    def add_statements(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append rows of schema `INCOMING`, in any order."""
        self._unsorted.add(
            pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        )

    def add_template(self, template: TemplateText) -> None:
        """Make a template known; the first text given for an id stays."""
        self._templates.setdefault(template.template_id, template)

    def add_quarantined(self, *, origin: str, reason: str, excerpt: str) -> None:
        """Keep a record that could not be used; `excerpt` must already be redacted."""
        row = {"origin": origin, "reason": reason, "excerpt": excerpt[:EXCERPT_CHARACTERS]}
        self._quarantine.write(json.dumps(row, ensure_ascii=False) + "\n")

    def add_file(self, name: str, content: Any) -> None:  # noqa: ANN401  whatever JSON can hold
        """Put a further file beside the others: text as it is, anything else as JSON."""
        path = self._aside / name
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            write_json(path, content)

    def commit(self, manifest: Mapping[str, Any]) -> Workload:
        """Sort, hash, rename into place; returns the workload as a reader sees it.

        `manifest` gives what only the writer's caller knows: `dialect`, `sources`,
        `timestamps`, `counts`, `redaction`, and what else it wants kept.
        """
        self._quarantine.close()
        rows = self._write_sorted()
        self._unsorted.close()
        (self._aside / "unsorted.arrow").unlink()
        totals = self._sum_up(rows)
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "tool_version": replay.__version__,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **manifest,
            **totals,
            "sha256": {
                name: sha256_of(self._aside / name)
                for name in ("statements.parquet", "templates.parquet")
            },
        }
        write_json(self._aside / "manifest.json", document)
        if self._path.exists():
            shutil.rmtree(self._path)
        self._aside.replace(self._path)
        return Workload(self._path)

    def discard(self) -> None:
        """Remove what was written aside, if anything is left of it."""
        self._unsorted.close()
        self._quarantine.close()
        shutil.rmtree(self._aside, ignore_errors=True)

    def __enter__(self) -> WorkloadWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    def _write_sorted(self) -> int:
        """Number the rows in their order; returns how many they are."""
        first = 0
        path = self._aside / "statements.parquet"
        with pq.ParquetWriter(path, STATEMENTS, compression="zstd") as file:
            for rows in self._unsorted.sorted():
                ids = pa.array(np.arange(first, first + len(rows), dtype=np.int64))
                file.write_table(pa.Table.from_arrays([ids, *rows.columns], schema=STATEMENTS))
                first += len(rows)
        return first

    def _sum_up(self, rows: int) -> dict[str, Any]:
        texts = pa.Table.from_pylist(
            [text._asdict() for text in self._templates.values()],
            schema=pa.schema(
                [TEMPLATES.field(name) for name in TemplateText._fields],
            ),
        )
        # Exact quantiles keep every duration in memory.
        quantile = "quantile_disc" if rows <= _MOST_EXACT else "approx_quantile"
        with duckdb.connect() as database:
            database.execute("SET memory_limit = '200MB'")
            database.execute("SET TimeZone = 'UTC'")
            database.execute("SET temp_directory = ?", [os.fspath(self._aside / "spill")])
            database.register("texts", texts)
            database.execute(
                "CREATE VIEW statements AS SELECT * FROM read_parquet(?)".replace(
                    "?", _quoted(self._aside / "statements.parquet")
                )
            )
            database.execute(
                f"""
                COPY (
                    WITH counted AS (
                        SELECT template_id, count(*) AS statements, sum(duration_us) AS total_us,
                               {quantile}(duration_us, [0.50, 0.95]) AS quantiles
                        FROM statements GROUP BY template_id
                    )
                    SELECT template_id, sql, kind, tables,
                           coalesce(statements, 0) AS statements,
                           coalesce(total_us, 0)::BIGINT AS total_duration_us,
                           quantiles[1]::BIGINT AS p50_us, quantiles[2]::BIGINT AS p95_us,
                           coverage, note, source_sql
                    FROM texts LEFT JOIN counted USING (template_id)
                    ORDER BY total_duration_us DESC, statements DESC, template_id
                ) TO {_quoted(self._aside / "templates.parquet")} (FORMAT parquet, COMPRESSION zstd)
                """
            )
            row = database.execute(
                """
                SELECT count(*), count(DISTINCT session_id), count(DISTINCT template_id),
                       min(started_at)::TIMESTAMP::VARCHAR,
                       max(started_at + to_microseconds(coalesce(duration_us, 0)))
                           ::TIMESTAMP::VARCHAR
                FROM statements
                """
            ).fetchone()
        shutil.rmtree(self._aside / "spill", ignore_errors=True)
        assert row is not None
        statements, sessions, templates, first, last = row
        return {
            "window": {"from": _iso(first), "to": _iso(last)},
            "statements": statements,
            "sessions": sessions,
            "templates": templates,
        }


def _quoted(path: Path) -> str:
    return "'" + os.fspath(path).replace("'", "''") + "'"


def _iso(stamp: str | None) -> str | None:
    return None if stamp is None else stamp.replace(" ", "T") + "Z"
