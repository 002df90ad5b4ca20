"""The workload: what users asked of 1.0, as a directory.

    WORKLOAD/
        manifest.json         where it came from and its ledger
        statements.parquet    one row per captured statement, in order of time
        templates.parquet     one row per template: a statement with its literals taken out
        quarantine.jsonl      records that could not be used, and why

`capture` and `prepare` both write one; `replay` and `report` read either. Rows go in as Arrow
batches in any order and come out sorted; DuckDB sorts outside memory.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

import replay
from replay.artefact import read_json, sha256_of, write_json
from replay.errors import Unreadable, UsageError

SCHEMA_VERSION = 1

_TIMESTAMP = pa.timestamp("us", tz="UTC")

STATEMENTS = pa.schema(
    [
        ("statement_id", pa.int64()),
        ("session_id", pa.string()),
        ("seq", pa.int32()),
        ("started_at", _TIMESTAMP),
        ("duration_us", pa.int64()),
        ("rows", pa.int64()),
        ("error", pa.string()),
        ("user", pa.string()),
        ("database", pa.string()),
        ("application", pa.string()),
        ("kind", pa.string()),
        ("template_id", pa.string()),
        ("sql", pa.string()),
        ("params", pa.list_(pa.string())),
        ("origin", pa.string()),
    ]
)
"""Columns of statements.parquet; `statement_id` counts rows in file order."""

INCOMING = pa.schema([column for column in STATEMENTS if column.name != "statement_id"])
"""What a writer is given: the same without `statement_id`, which the sort assigns."""

TEMPLATES = pa.schema(
    [
        ("template_id", pa.string()),
        ("sql", pa.string()),
        ("kind", pa.string()),
        ("tables", pa.list_(pa.string())),
        ("statements", pa.int64()),
        ("total_duration_us", pa.int64()),
        ("p50_us", pa.int64()),
        ("p95_us", pa.int64()),
        ("coverage", pa.string()),
        ("note", pa.string()),
        ("source_sql", pa.string()),
    ]
)
"""Columns of templates.parquet; `coverage` and `note` are null before `prepare`."""

EXCERPT_CHARACTERS = 200


class TemplateText(NamedTuple):
    """What is known of a template before its statements are counted."""

    template_id: str
    sql: str
    kind: str
    tables: Sequence[str]
    coverage: str | None = None
    note: str | None = None
    source_sql: str | None = None


@dataclass(kw_only=True)
class CaptureCounts:
    """The ledger of a capture: every record read is captured, skipped or quarantined.

    The unit is one log record with its continuation lines, not a line of text.
    """

    records_read: int = 0
    captured: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        """True when nothing read is unaccounted for."""
        accounted = self.captured + self.skipped.total() + self.quarantined.total()
        return self.records_read == accounted

    def as_json(self) -> dict[str, Any]:
        """The `counts` object of a manifest; reasons in order of weight."""
        return {
            "records_read": self.records_read,
            "captured": self.captured,
            "skipped": dict(self.skipped.most_common()),
            "quarantined": dict(self.quarantined.most_common()),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CaptureCounts:
        """The inverse of `as_json`."""
        return cls(
            records_read=document["records_read"],
            captured=document["captured"],
            skipped=Counter(document["skipped"]),
            quarantined=Counter(document["quarantined"]),
        )


class Workload:
    """A workload on disk, opened for reading.

    Raises:
        Unreadable: the directory is not a workload, or its schema is newer than this program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = read_json(path / "manifest.json", what="workload")
        version = self.manifest.get("schema_version")
        if version != SCHEMA_VERSION:
            raise Unreadable(
                f"`{path}` has workload schema {version}, this program reads {SCHEMA_VERSION}",
                hint="capture it again, or use the fourstep that wrote it",
            )
        for name in ("statements.parquet", "templates.parquet"):
            if not (path / name).is_file():
                raise Unreadable(f"`{path}` is not a whole workload: `{name}` is missing")

    @property
    def statements_path(self) -> Path:
        """Where statements.parquet lies."""
        return self.path / "statements.parquet"

    @property
    def counts(self) -> CaptureCounts:
        """The capture's ledger."""
        return CaptureCounts.from_json(self.manifest["counts"])

    @property
    def sha256(self) -> str:
        """The hash that identifies what will be replayed: that of statements.parquet."""
        return str(self.manifest["sha256"]["statements.parquet"])

    def __len__(self) -> int:
        return int(self.manifest["statements"])

    def statements(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of statements.parquet in order of `statement_id`."""
        return self._read("statements.parquet", STATEMENTS, columns)

    def statement_batches(self, *, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Statements in order, a bounded number at a time."""
        with pq.ParquetFile(self.statements_path) as file:
            for batch in file.iter_batches(batch_size=rows):
                yield batch.cast(STATEMENTS)

    def templates(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of templates.parquet, most time first."""
        return self._read("templates.parquet", TEMPLATES, columns)

    def _read(self, name: str, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
        path = self.path / name
        wanted = schema.names if columns is None else list(columns)
        try:
            # Who wrote the file decides on nullability and names of list elements; we do not care.
            table = pq.read_table(path, columns=wanted)
            return table.cast(pa.schema([schema.field(name) for name in wanted]))
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(f"`{path}` is damaged") from error


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
        self._unsorted = pq.ParquetWriter(self._aside / "unsorted.parquet", INCOMING)
        self._quarantine = (self._aside / "quarantine.jsonl").open("w", encoding="utf-8")
        self._templates: dict[str, TemplateText] = {}

    def add_statements(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append rows of schema `INCOMING`, in any order."""
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        self._unsorted.write_table(table)

    def add_template(self, template: TemplateText) -> None:
        """Make a template known; the first text given for an id stays."""
        self._templates.setdefault(template.template_id, template)

    def add_quarantined(self, *, origin: str, reason: str, excerpt: str) -> None:
        """Keep a record that could not be used; `excerpt` must already be redacted."""
        row = {"origin": origin, "reason": reason, "excerpt": excerpt[:EXCERPT_CHARACTERS]}
        self._quarantine.write(json.dumps(row, ensure_ascii=False) + "\n")

    def commit(self, manifest: Mapping[str, Any]) -> Workload:
        """Sort, hash, rename into place; returns the workload as a reader sees it.

        `manifest` gives what only the writer's caller knows: `dialect`, `sources`,
        `timestamps`, `counts`, `redaction`, and what else it wants kept.
        """
        self._unsorted.close()
        self._quarantine.close()
        totals = self._sort()
        (self._aside / "unsorted.parquet").unlink()
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

    def _sort(self) -> dict[str, Any]:
        texts = pa.Table.from_pylist(
            [text._asdict() for text in self._templates.values()],
            schema=pa.schema(
                [TEMPLATES.field(name) for name in TemplateText._fields],
            ),
        )
        # Only who writes needs it: a Locust worker forks after its imports, and DuckDB's binding
        # fills the terminal with complaints when such a process ends.
        import duckdb

        with duckdb.connect() as database:
            database.execute("SET memory_limit = '300MB'")
            database.execute("SET TimeZone = 'UTC'")
            database.execute("SET temp_directory = ?", [os.fspath(self._aside / "spill")])
            database.register("texts", texts)
            database.execute(
                "CREATE VIEW unsorted AS SELECT * FROM read_parquet(?)".replace(
                    "?", _quoted(self._aside / "unsorted.parquet")
                )
            )
            database.execute(
                f"""
                COPY (
                    SELECT row_number() OVER (ORDER BY started_at, session_id, seq) - 1
                               AS statement_id, *
                    FROM unsorted
                    ORDER BY started_at, session_id, seq
                ) TO {_quoted(self._aside / "statements.parquet")}
                (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100_000)
                """
            )
            database.execute(
                f"""
                COPY (
                    SELECT template_id, texts.sql, texts.kind, tables,
                           count(unsorted.seq) AS statements,
                           coalesce(sum(duration_us), 0)::BIGINT AS total_duration_us,
                           quantile_disc(duration_us, 0.50) AS p50_us,
                           quantile_disc(duration_us, 0.95) AS p95_us,
                           coverage, note, source_sql
                    FROM texts LEFT JOIN unsorted USING (template_id)
                    GROUP BY ALL
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
                FROM unsorted
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
