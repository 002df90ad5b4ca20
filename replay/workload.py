"""The workload: what users asked of 1.0, as a directory.

    WORKLOAD/
        manifest.json         where it came from and its ledger
        statements.parquet    one row per captured statement, in order of time
        templates.parquet     one row per template: a statement with its literals taken out
        quarantine.jsonl      records that could not be used, and why

`capture` and `prepare` both write one, see replay.workload_writer; `replay` and `report` read
either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.artefact import read_json
from replay.errors import Unreadable

SCHEMA_VERSION = 1

_TIMESTAMP = pa.timestamp("us", tz="UTC")
CODED = pa.dictionary(pa.int32(), pa.string())

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

TEXTS = pa.schema([STATEMENTS.field("sql"), STATEMENTS.field("params")])
"""Columns of what was said; most of a workload's bytes."""

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


def coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of texts in one piece, as codes and a dictionary."""
    words = (column if column.type == CODED else column.dictionary_encode()).unify_dictionaries()
    return words.chunk(0) if words.num_chunks == 1 else words.combine_chunks()


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

    def coded_statements(self, columns: Sequence[str]) -> pa.Table:
        """The same columns, each in one piece, texts as codes and a dictionary."""
        fields = [STATEMENTS.field(name) for name in columns]
        schema = pa.schema(f.with_type(CODED) if f.type == pa.string() else f for f in fields)
        table = self._read("statements.parquet", schema, columns)
        return table.unify_dictionaries().combine_chunks()

    def statement_batches(
        self, schema: pa.Schema = STATEMENTS, *, rows: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """Statements in order, a bounded number at a time; `schema` chooses columns."""
        try:
            with pq.ParquetFile(self.statements_path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=schema.names):
                    yield batch.cast(schema)
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(f"`{self.statements_path}` is damaged") from error

    def templates(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of templates.parquet, most time first."""
        return self._read("templates.parquet", TEMPLATES, columns)

    def unsupported(self) -> frozenset[str]:
        """Ids of templates that `prepare` could not bring to the target."""
        templates = self.templates(["template_id", "coverage"])
        chosen = templates.filter(pc.equal(templates["coverage"], "unsupported"))
        return frozenset(chosen["template_id"].to_pylist())

    def _read(self, name: str, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
        path = self.path / name
        wanted = schema.names if columns is None else list(columns)
        try:
            # Who wrote the file decides on nullability and names of list elements; we do not care.
            coded = [name for name in wanted if schema.field(name).type == CODED]
            table = pq.read_table(path, columns=wanted, read_dictionary=coded)
            return table.cast(pa.schema([schema.field(name) for name in wanted]))
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(f"`{path}` is damaged") from error
