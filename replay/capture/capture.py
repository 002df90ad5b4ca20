"""Capture: logs in, workload out, every record accounted for.

Rows are collected in columns and handed to the writer a batch at a time, so memory does not grow
with the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from replay.capture.postgres_csv import PostgresCsv
from replay.capture.record import Quarantined, Reader, Skipped
from replay.capture.sessions import Placed, Sessions
from replay.capture.source import Source, find_sources
from replay.capture.stamp import zone_named
from replay.errors import Unreadable, UsageError
from replay.kind import tables_and_kind
from replay.template import Templater
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

FORMATS = ("auto", PostgresCsv.name)
_ROWS_AT_ONCE = 50_000
_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which statements to keep; what is left out is counted by reason."""

    since: datetime | None = None
    until: datetime | None = None
    users: frozenset[str] = frozenset()
    databases: frozenset[str] = frozenset()
    applications: frozenset[str] = frozenset()
    include: re.Pattern[str] | None = None
    exclude: re.Pattern[str] | None = None

    def reason_against(self, placed: Placed) -> str | None:
        """Why this statement is left out, or None."""
        statement = placed.statement
        if self.since is not None and placed.started_at_us < self.since.timestamp() * 1e6:
            return "outside window"
        if self.until is not None and placed.started_at_us >= self.until.timestamp() * 1e6:
            return "outside window"
        for wanted, value, name in (
            (self.users, statement.user, "user"),
            (self.databases, statement.database, "database"),
            (self.applications, statement.application, "application"),
        ):
            if wanted and value not in wanted:
                return f"other {name}"
        if self.include is not None and not self.include.search(statement.sql):
            return "not included"
        if self.exclude is not None and self.exclude.search(statement.sql):
            return "excluded"
        return None


def capture(
    names: Sequence[str],
    out: Path,
    *,
    log_format: str = "auto",
    timezone: str | None = None,
    keep: Filter | None = None,
    progress: Callable[[int], None] = lambda records: None,
) -> Workload:
    """Capture the logs behind `names` into a workload at `out`.

    `progress` is called with the number of records read so far, about once a batch.

    Raises:
        Unreadable: a source cannot be read, or nothing in any of them is usable.
        UsageError: the format is unknown, or stamps are in a zone that needs naming.
    """
    sources = find_sources(names)
    reader = _reader(log_format, timezone)
    with WorkloadWriter(out) as writer:
        assembly = _Assembly(writer=writer, reader=reader, keep=keep or Filter(), progress=progress)
        for source in sources:
            assembly.take(source, check_format=log_format == "auto")
        return assembly.commit(sources)


def _reader(log_format: str, timezone: str | None) -> PostgresCsv:
    if log_format not in FORMATS:
        raise UsageError(
            f"`{log_format}` is not a format", hint=f"choose one of {', '.join(FORMATS)}"
        )
    return PostgresCsv(zone=None if timezone is None else zone_named(timezone))


@dataclass(kw_only=True)
class _Assembly:
    writer: WorkloadWriter
    reader: Reader
    keep: Filter
    progress: Callable[[int], None]
    counts: CaptureCounts = field(default_factory=CaptureCounts)
    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in INCOMING.names}
    )
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.templater = Templater(dialect=self.reader.dialect)

    def take(self, source: Source, *, check_format: bool) -> None:
        """Read one log to its end, or to where its compression breaks."""
        sessions = Sessions()
        with source.opened() as stream:
            if check_format and not self.reader.recognises(stream.peek(_HEAD_BYTES)):
                raise Unreadable(
                    f"`{source.uri}` is in no format that can be read here",
                    hint=f"formats are {', '.join(FORMATS[1:])}; if it is one of them, say so "
                    "with --format",
                )
            self._read(source, stream, sessions)
        if source.damage is not None:
            self.counts.records_read += 1
            source.records += 1
            self._quarantine(source, Quarantined(0, "compression damaged", source.damage))
        for placed in sessions.rest():
            self._keep(source, placed)

    def _read(self, source: Source, stream: BinaryIO, sessions: Sessions) -> None:
        for event in self.reader.read(stream):
            self.counts.records_read += 1
            source.records += 1
            if isinstance(event, Skipped):
                self.counts.skipped[event.reason] += 1
            elif isinstance(event, Quarantined):
                self._quarantine(source, event)
            else:
                complete, reason = sessions.add(event)
                if reason is not None:
                    self.counts.skipped[reason] += 1
                for placed in complete:
                    self._keep(source, placed)

    def commit(self, sources: list[Source]) -> Workload:
        """Write what is left and the manifest."""
        self._flush()
        counts = self.counts
        if not counts.captured:
            found = dict(chain(counts.skipped.most_common(3), counts.quarantined.most_common(3)))
            raise Unreadable(
                f"no statement could be captured from {counts.records_read} records"
                + (f" ({', '.join(f'{reason}: {n}' for reason, n in found.items())})"
                   if found else ""),
                hint="the server must log statements: log_min_duration_statement = 0, then reload",
            )  # fmt: skip
        if not counts.balanced:
            raise AssertionError(f"capture lost records: {counts}")
        return self.writer.commit(
            {
                "dialect": self.reader.dialect,
                "sources": [source.as_json(log_format=self.reader.name) for source in sources],
                "timestamps": {
                    "meaning": self.reader.stamp,
                    "resolution_us": self.reader.resolution_us,
                },
                "counts": counts.as_json(),
                "redaction": "none",
            }
        )

    def _quarantine(self, source: Source, event: Quarantined) -> None:
        self.counts.quarantined[event.reason] += 1
        self.writer.add_quarantined(
            origin=f"{source.name}:{event.line}", reason=event.reason, excerpt=event.excerpt
        )

    def _keep(self, source: Source, placed: Placed) -> None:
        reason = self.keep.reason_against(placed)
        if reason is not None:
            self.counts.skipped[reason] += 1
            return
        statement = placed.statement
        template_id, text = self.templater.template(statement.sql)
        if template_id not in self.kinds:
            self._learn(template_id, text, statement.sql)
        self.counts.captured += 1
        columns = self.columns
        columns["session_id"].append(statement.session_id)
        columns["seq"].append(placed.seq)
        columns["started_at"].append(placed.started_at_us)
        columns["duration_us"].append(statement.duration_us)
        columns["rows"].append(None)
        columns["error"].append(statement.error)
        columns["user"].append(statement.user)
        columns["database"].append(statement.database)
        columns["application"].append(statement.application)
        columns["kind"].append(self.kinds[template_id])
        columns["template_id"].append(template_id)
        columns["sql"].append(statement.sql)
        columns["params"].append(statement.params)
        columns["origin"].append(f"{source.name}:{statement.line}")
        if len(columns["seq"]) >= _ROWS_AT_ONCE:
            self._flush()
            self.progress(self.counts.records_read)

    def _flush(self) -> None:
        arrays = [
            pa.array(self.columns[column.name], type=column.type) for column in INCOMING
        ]  # fmt: skip
        self.writer.add_statements(pa.RecordBatch.from_arrays(arrays, schema=INCOMING))
        for values in self.columns.values():
            values.clear()

    def _learn(self, template_id: str, text: str, sql: str) -> None:
        kind, tables = tables_and_kind(sql, self.reader.dialect)
        self.kinds[template_id] = kind
        self.writer.add_template(
            TemplateText(template_id=template_id, sql=text, kind=kind, tables=tables)
        )
