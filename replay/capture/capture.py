"""Capture: logs in, workload out, every record accounted for.

Tables of records pass from a reader through the assembly of sessions, filter, redaction and
templates to the writer, a block at a time, so memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.ahead import ahead
from replay.capture.findings import Findings
from replay.capture.log import EMPTY, Log, find_logs
from replay.capture.record import RECORDS, Reader, ReaderOptions, What
from replay.capture.redact import Redactor
from replay.capture.sessions import Sessions
from replay.capture.source import Source, find_sources
from replay.capture.spread import SECOND_US, Spread
from replay.capture.stamp import zone_named
from replay.capture.templater import Templater
from replay.errors import Unreadable
from replay.filter import Filter
from replay.kind import tables_and_kind
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

_NO_RECORDS = RECORDS.append(pa.field("origin", pa.string())).empty_table()
_TWIN = "also logged as"
_Span = tuple[int | None, int | None]
_CONTINUES_WITHIN_US = 2 * SECOND_US
"""A log that begins this little before another ends goes on with its sessions."""


def capture(
    names: Sequence[str],
    out: Path,
    *,
    log_format: str = "auto",
    timezone: str | None = None,
    log_line_prefix: str | None = None,
    columns: Path | None = None,
    keep: Filter | None = None,
    redact: str = "secrets",
    progress: Callable[[int], None] = lambda records: None,
    tell: Callable[[str], None] = lambda line: None,
) -> Workload:
    """Capture the logs behind `names` into a workload at `out`.

    `progress` is called with the number of records read so far, once a block; `tell` with what
    each log was recognised by.

    Raises:
        Unreadable: a source cannot be read, or nothing in any of them is usable.
        Unreachable: AWS or a database does not answer.
        UsageError: the format is unknown, or stamps are in a zone that needs naming.
    """
    options = ReaderOptions(
        zone=None if timezone is None else zone_named(timezone),
        log_line_prefix=log_line_prefix,
        columns=columns,
        since=keep.since if keep else None,
        until=keep.until if keep else None,
    )
    logs, useless = find_logs(find_sources(names), options, log_format=log_format)
    for log in logs:
        tell(f"{log.source.uri}: {log.reader.name}, {log.evidence}")
    redactor = Redactor(redact, dialect=logs[0].reader.dialect)
    with WorkloadWriter(out) as writer:
        assembly = _Assembly(writer, logs[0], keep=keep or Filter(), redactor=redactor)
        for source, reason in useless:
            assembly.set_aside(source, reason)
        for log in logs:
            for records_read in assembly.take(log):
                progress(records_read)
        return assembly.commit([source for source, _ in useless])


class _Assembly:
    """What all logs of a capture go into."""

    def __init__(
        self, writer: WorkloadWriter, first: Log, *, keep: Filter, redactor: Redactor
    ) -> None:
        self._writer = writer
        self._reader = first.reader
        self._keep = keep
        self._redactor = redactor
        self._counts = CaptureCounts()
        self._findings = Findings()
        self._templater = Templater(dialect=first.reader.dialect)
        self._kinds: list[str] = []
        self._streams: list[_Stream] = []
        self._logs: list[Log] = []
        self._main_spans: dict[str, _Span] = {}

    def set_aside(self, source: Source, reason: str, excerpt: str = "") -> None:
        """Count what cannot be read of a log as one record."""
        if reason == EMPTY:
            return
        source.records += 1
        self._counts.records_read += 1
        self._counts.quarantined[reason] += 1
        self._writer.add_quarantined(origin=f"{source.name}:0", reason=reason, excerpt=excerpt)

    def take(self, log: Log) -> Iterator[int]:
        """Read one log to its end, or to where it breaks; yields how many records were read."""
        stream = self._stream_of(log)
        spread: Spread | None = None
        self._logs.append(log)
        try:
            for records in ahead(log.reader.read(log.source)):
                # Some formats tell only while they are read how fine stamps are.
                if spread is None and log.reader.resolution_us >= SECOND_US:
                    spread = Spread(seed=len(self._logs) - 1)
                self._take_records(log, records, stream, spread)
                yield self._counts.records_read
        except Unreadable as error:
            self.set_aside(log.source, "cannot be read to its end", type(error.__cause__).__name__)
        if log.source.damage is not None:
            self.set_aside(log.source, "compression damaged", log.source.damage)
        if spread is not None:
            self._place(stream, spread.take(_NO_RECORDS, last=True), last=False)

    def _take_records(
        self, log: Log, records: pa.Table, stream: _Stream, spread: Spread | None
    ) -> None:
        log.source.records += len(records)
        self._counts.records_read += len(records)
        records = self._without_twins(log, records)
        self._findings.see_records(log.source.uri, records)
        stream.see(records)
        self._count(log, records)
        lines = records["line"].cast(pa.string())
        origin = pc.binary_join_element_wise(log.source.name, lines, ":")
        records = records.append_column("origin", origin)
        if spread is not None:
            records = spread.take(records, last=False)
        self._place(stream, records, last=False)

    def _count(self, log: Log, records: pa.Table) -> None:
        what = records["what"].to_numpy()
        for kind, counter in (
            (what == What.QUARANTINED, self._counts.quarantined),
            (what != What.QUARANTINED, self._counts.skipped),
        ):
            reasons = pc.drop_null(records["reason"].filter(pa.array(kind)))
            for pair in pc.value_counts(reasons).to_pylist():
                counter[pair["values"]] += pair["counts"]
        bad = records.filter(pa.array(what == What.QUARANTINED))
        for line, reason, excerpt in zip(
            *(bad[name].to_pylist() for name in ("line", "reason", "excerpt")), strict=True
        ):
            self._writer.add_quarantined(
                origin=f"{log.source.name}:{line}", reason=reason, excerpt=excerpt or ""
            )

    def _without_twins(self, log: Log, records: pa.Table) -> pa.Table:
        """Where a server logs the same in two formats at a time, only one of them counts.

        One server's formats begin with the same word: postgres-csv, postgres-stderr.
        """
        main = self._logs[0].reader
        if log.reader.name.partition("-")[0] != main.name.partition("-")[0]:
            return records
        at_us = records["at_us"]
        if log.reader is main:
            span = pc.min_max(at_us.filter(pc.is_valid(records["sql"])))
            known = self._main_spans.get(log.source.uri, (None, None))
            spanned = _wider(known, (span["min"].as_py(), span["max"].as_py()))
            self._main_spans[log.source.uri] = spanned
            return records
        twins = pa.array(np.zeros(len(records), dtype=np.bool_))
        for low, high in self._main_spans.values():
            if low is not None:
                within = pc.and_(pc.greater_equal(at_us, low), pc.less_equal(at_us, high))
                twins = pc.or_(twins, pc.fill_null(within, False))
        twins = pc.and_(twins, pc.less(records["what"], int(What.SKIPPED)))
        reason = pa.scalar(f"{_TWIN} {main.name}", pa.string())
        for name, value in (("what", pa.scalar(int(What.SKIPPED), pa.int8())), ("reason", reason)):
            at = records.schema.get_field_index(name)
            column = pc.if_else(twins, value, records[name])
            records = records.set_column(at, records.schema.field(at), column)
        return records

    def _place(self, stream: _Stream, records: pa.Table, *, last: bool) -> None:
        statements, skipped = stream.sessions.take(records, last=last)
        self._counts.skipped += skipped
        statements, left_out = self._keep.keep(statements)
        self._counts.skipped += left_out
        if not len(statements):
            return
        self._findings.see_statements(statements)
        statements = self._redactor.redact(statements)
        numbers = self._templater.templates(statements["sql"].combine_chunks())
        self._learn()
        for name, values in (("template_id", self._templater.ids), ("kind", self._kinds)):
            column = pa.array(values, type=pa.string()).take(pa.array(numbers))
            statements = statements.append_column(name, column)
        self._counts.captured += len(statements)
        self._writer.add_statements(statements.select(INCOMING.names).cast(INCOMING))

    def _learn(self) -> None:
        """What new templates do."""
        templater = self._templater
        for number in range(len(self._kinds), len(templater.ids)):
            kind, tables = tables_and_kind(templater.examples[number], self._reader.dialect)
            self._kinds.append(kind)
            self._writer.add_template(
                TemplateText(templater.ids[number], templater.texts[number], kind, tables)
            )

    def _stream_of(self, log: Log) -> _Stream:
        """The stream that a log continues, or a new one.

        Where sessions have unique names all logs of a format are one stream; else rotated logs
        follow each other, and logs of the same time are of different servers.
        """
        alike = [stream for stream in self._streams if stream.reader is log.reader]
        unique = log.reader.unique_sessions
        for stream in sorted(alike, key=lambda each: -each.last_us):
            if unique or stream.last_us <= log.first_us + _CONTINUES_WITHIN_US:
                return stream
        prefix = f"{len(alike)}:" if alike else ""
        stream = _Stream(log.reader, Sessions(unique=unique, prefix=prefix))
        self._streams.append(stream)
        return stream

    def _told_twins(self) -> list[str]:
        twins = sum(n for reason, n in self._counts.skipped.items() if reason.startswith(_TWIN))
        if not twins:
            return []
        return [
            f"{twins:,} records of the time of a {self._reader.name} log stand in logs of another "
            "format, and are taken for the same server's; if they are not, capture them by "
            "themselves"
        ]

    def commit(self, useless: Sequence[Source]) -> Workload:
        """Write what is left and the manifest."""
        for stream in self._streams:
            self._place(stream, _NO_RECORDS, last=True)
        counts = self._counts
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
        reader = self._reader
        return self._writer.commit(
            {
                "dialect": reader.dialect,
                "sources": [
                    *(log.source.as_json(log_format=log.reader.name) for log in self._logs),
                    *(source.as_json(log_format=None) for source in useless),
                ],
                "timestamps": {"meaning": reader.meaning, "resolution_us": reader.resolution_us},
                "counts": counts.as_json(),
                "findings": [*self._findings.lines(reader), *self._told_twins()],
                "redaction": self._redactor.mode,
            }
        )


class _Stream:
    """Logs that continue each other, and their sessions."""

    def __init__(self, reader: Reader, sessions: Sessions) -> None:
        self.reader = reader
        self.sessions = sessions
        self.last_us = 0

    def see(self, records: pa.Table) -> None:
        """Remember the latest stamp."""
        self.last_us = max(self.last_us, pc.max(records["at_us"]).as_py() or 0)


def _wider(span: _Span, other: _Span) -> _Span:
    lows = [low for low in (span[0], other[0]) if low is not None]
    highs = [high for high in (span[1], other[1]) if high is not None]
    return min(lows, default=None), max(highs, default=None)
