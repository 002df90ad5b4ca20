"""The run: one sample per planned statement, as a directory.

    RUN/
        run.json            what was replayed where, with which dials, by whom, and the ledger
        samples/*.parquet   one file per worker, or one after another
        samples/*.arrows    the same while a worker is writing, or after it died
        client.jsonl        what the processes of the run took, see `replay.swarm.client`

A worker appends Arrow record batches to a stream, so whatever kills it leaves everything up to
the last batch readable. A worker that ends well turns its stream into Parquet.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.artefact import read_json
from replay.errors import Unreadable

SCHEMA_VERSION = 1

STATUSES = ("ok", "error", "timeout", "cancelled", "skipped", "unknown")
"""Every planned statement ends as exactly one of these."""

CLIENT = "client.jsonl"
EVENTS = "server/events.jsonl"
"""Files of a run beside its samples: what its processes took, what happened to the server."""

SAMPLES = pa.schema(
    [
        ("statement_id", pa.int64()),
        ("clone", pa.int32()),
        ("session_id", pa.string()),
        ("seq", pa.int32()),
        ("template_id", pa.string()),
        ("kind", pa.string()),
        ("worker", pa.string()),
        ("due_us", pa.int64()),
        ("ready_us", pa.int64()),
        ("sent_us", pa.int64()),
        ("first_row_us", pa.int64()),
        ("done_us", pa.int64()),
        ("status", pa.string()),
        ("sqlstate", pa.string()),
        ("error", pa.string()),
        ("rows", pa.int64()),
        ("digest", pa.string()),
        ("captured_us", pa.int64()),
        ("diverged", pa.bool_()),
        ("backend_pid", pa.int32()),
    ]
)
"""Columns of samples. Times are microseconds since the run's zero.

`ready_us` is when the session could first have sent the statement as far as the target is
concerned: its previous answer was in, its connection was open. `sent_us - max(due_us, ready_us)`
is the tool's lag, `max(0, ready_us - due_us)` is the target's backlog. `diverged` says that the
session was not in the state that its client on 1.0 had when it sent this, see docs/replay.md.
`backend_pid` is the server's process of the session, as libpq was told at login.
"""


def versions() -> dict[str, str]:
    """The `versions` object of run.json: of what a run's speed depends on."""
    others = ("locust", "gevent", "psycopg", "pyarrow")
    return {"python": platform.python_version(), **{name: version(name) for name in others}}


@dataclass(kw_only=True)
class Ledger:
    """Planned statements by how they ended. Anything planned and not found is `unknown`."""

    planned: int
    ok: int = 0
    error: int = 0
    timeout: int = 0
    cancelled: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    unknown: int = 0

    @property
    def ended(self) -> int:
        """Statements with a known end."""
        return self.ok + self.error + self.timeout + self.cancelled + self.skipped.total()

    @property
    def balanced(self) -> bool:
        """True when planned = ok + error + timeout + cancelled + skipped + unknown."""
        return self.planned == self.ended + self.unknown

    @property
    def in_words(self) -> str:
        """The equation."""
        return (
            f"planned {self.planned:,} = ok {self.ok:,} + error {self.error:,}"
            f" + timeout {self.timeout:,} + cancelled {self.cancelled:,}"
            f" + skipped {self.skipped.total():,} + unknown {self.unknown:,}"
        )

    def as_json(self) -> dict[str, Any]:
        """The `ledger` object of run.json and verdict.json."""
        return {
            "planned": self.planned,
            "ok": self.ok,
            "error": self.error,
            "timeout": self.timeout,
            "cancelled": self.cancelled,
            "skipped": dict(self.skipped.most_common()),
            "unknown": self.unknown,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Ledger:
        """The inverse of `as_json`."""
        return cls(**{**document, "skipped": Counter(document["skipped"])})

    @classmethod
    def of_samples(
        cls, planned: int | None, samples: Iterable[pa.RecordBatch | pa.Table]
    ) -> Ledger:
        """Count samples by status, and see `account_for`."""
        ledger = cls(planned=0)
        for batch in samples:
            for value, count in _value_counts(batch["status"]):
                if value == "skipped":
                    reasons = batch.filter(pc.equal(batch["status"], "skipped"))["error"]
                    ledger.skipped.update(dict(_value_counts(reasons)))
                else:
                    setattr(ledger, value, getattr(ledger, value) + count)
        return ledger.account_for(planned)

    def account_for(self, planned: int | None) -> Ledger:
        """Itself, with what was planned and is not there as `unknown`.

        None where the plan grew while it was drawn: then what is there was planned.
        """
        counted = self.ended + self.unknown
        self.planned = counted if planned is None else planned
        self.unknown += max(0, self.planned - counted)
        return self


def _value_counts(column: pa.Array | pa.ChunkedArray) -> list[tuple[str, int]]:
    return [
        (row["values"].as_py() or "unknown", row["counts"].as_py())
        for row in pc.value_counts(column)
    ]


class Run:
    """A run on disk, opened for reading: finished, still being written, or cut off.

    Raises:
        Unreadable: the directory is not a run, or its schema is newer than this program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document: dict[str, Any] = read_json(path / "run.json", what="run")
        version = self.document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise Unreadable(
                f"`{path}` has run schema {version}, this program reads {SCHEMA_VERSION}",
                hint="report it with the fourstep that wrote it",
            )

    @property
    def run_id(self) -> str:
        """The run's name, unique among runs."""
        return str(self.document["run_id"])

    @property
    def finished(self) -> bool:
        """False while it is being written, and for ever when its writer was killed."""
        return self.document.get("ended_at") is not None

    @property
    def planned(self) -> int | None:
        """How many statements were planned; None while a pool goes on drawing, or died so."""
        if self.document["dials"].get("endless") and not self.finished:
            return None
        return int(self.document["ledger"]["planned"])

    def ledger(self) -> Ledger:
        """The ledger counted from the samples on disk, not the one the writer believed in."""
        return Ledger.of_samples(self.planned, self.sample_batches(("status", "error")))

    def sample_batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of every sample file, a bounded number at a time."""
        for path in chain(*sample_files(self.path)):
            yield from batches_of(path, columns)

    def sample_reader(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The same as Arrow and DuckDB take a stream; to be read once."""
        schema = pa.schema([SAMPLES.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(schema, self.sample_batches(columns))

    def samples(self) -> pa.Table:
        """All samples, in no particular order."""
        return self.sample_reader(SAMPLES.names).read_all()


def files_of(worker: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`file` and `sha256` of each sample file that a worker of run.json closed."""
    return list(worker.get("files") or ([worker] if worker.get("file") else []))


def _completed(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """These columns of a batch; of a run from before a column was added, nulls."""
    for name in {*columns} - {*batch.schema.names}:
        batch = batch.append_column(name, pa.nulls(batch.num_rows, SAMPLES.field(name).type))
    return batch.select(columns)


def batches_of(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of one sample file, up to where it is damaged or its writer died.

    Statements beyond are the ledger's `unknown`.
    """
    batches = read_stream(path) if path.suffix == ".arrows" else _read_table(path, columns)
    with suppress(OSError, pa.ArrowException):
        for batch in batches:
            yield _completed(batch, columns)


def _read_table(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        # A batch of several groups would be lost with the first that is damaged.
        for group in range(file.num_row_groups):
            yield from file.iter_batches(row_groups=[group], columns=list(columns))


def read_stream(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow stream up to its end or to where its writer died."""
    with (
        suppress(OSError, pa.ArrowException),
        pa.OSFile(str(path)) as file,
        pa.ipc.open_stream(file) as stream,
    ):
        yield from stream


def sample_files(run: Path) -> tuple[list[Path], list[Path]]:
    """A run's Parquet files, and its streams; who was killed between the two leaves both."""
    tables, streams = (sorted((run / "samples").glob(end)) for end in ("*.parquet", "*.arrows"))
    return tables, [path for path in streams if path.with_suffix(".parquet") not in tables]
