"""Redshift's system views as a log: what was asked of 1.0, how long it took and how it ended.

A statement's stamp is its start, in microseconds; its duration is its time in the server, planning
and queueing included. `line` is the query's id, or a transaction's for what STL views give none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import ReaderOptions, Recognised
from replay.capture.redshift.connections import Connections
from replay.capture.redshift.statements import statement_records
from replay.capture.redshift.views import ASKED, EVENTS, MAGIC, STL, Row, Views, ViewSource
from replay.capture.source import Source
from replay.capture.stamp import stamps_us
from replay.errors import Unreadable

_NO_CONNECTIONS = (
    "no connection log could be read: the user may see only its own statements, sessions are told "
    "apart by process, user and database, and applications are unknown; capture as a superuser, or "
    "ALTER USER … SYSLOG ACCESS UNRESTRICTED"
)
_RUNNING = pa.array(["planning", "queued", "running", "returning"])
_NUMBERS = "origin line pid xid duration_us rows".split()
_ESCAPE = re.compile(rb"\\([nr\\])")
_MEANING = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
_LEADS = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""First bytes of UTF-8's characters and how many bytes these have."""
_PID, _DATABASE = ASKED.index("pid"), ASKED.index("database")


@dataclass
class RedshiftSys:
    """Reads system views."""

    options: ReaderOptions

    name: ClassVar[str] = "redshift-sys"
    dialect: str = "redshift"
    meaning: str = "start"
    unique_sessions: bool = True
    resolution_us: int = 1
    notes: set[str] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a URL of system views."""
        return Recognised(cls(options), "it is a URL of system views") if head == MAGIC else None

    def adopt(self, other: Self) -> bool:
        """Servers have nothing in common, but neither has reading them."""
        return True

    def read(self, source: Source) -> Iterator[pa.Table]:
        """Connections, then what was asked in order of its start.

        Raises:
            Unreachable: the server does not let us in.
            Unreadable: it stops answering.
            UsageError: it has no system views.
        """
        if not isinstance(source, ViewSource):
            raise Unreadable(f"`{source.uri}` is no system view")
        views, connections = Views(source), Connections()
        since, until = self.options.since, self.options.until
        if views.generation is STL:
            self.notes.add(
                "the server has no SYS views; the STL views that were read keep 2 to 5 days and do "
                "not tell returned rows"
            )
        with views.session:
            # One may have begun long before the statements that are wanted.
            seen = 0
            try:
                for rows in views.pages(views.generation.connections, None, until):
                    lines = np.arange(seen, seen + len(rows)) + 1
                    yield connections.see(_columns(rows, EVENTS), lines)
                    seen += len(rows)
            except Unreadable:
                seen = 0
            if not seen:
                self.notes.add(_NO_CONNECTIONS)
            databases: dict[int, bytes] = {}
            for rows in views.pages(views.generation.asked, since, until):
                yield _records(rows, connections, databases, views.generation.chunk_bytes)


def _records(
    rows: Sequence[Row], connections: Connections, databases: dict[int, bytes], width: int
) -> pa.Table:
    """What was asked, told in chunks, as rows of RECORDS; `databases` are those of processes."""
    databases |= {row[_PID]: row[_DATABASE] for row in rows if row[_DATABASE]}
    asked: list[Row] = []
    texts: list[str | None] = []
    for one, chunks in groupby(rows, key=lambda row: row[: len(ASKED)]):
        asked.append((*one[:_DATABASE], databases.get(one[_PID])))
        texts.append(text_of([chunk[len(ASKED) :] for chunk in chunks], width=width))
    columns, sql = _columns(asked, ASKED), pa.array(texts, type=pa.string())
    took_us = pc.subtract(columns["ended_us"], columns["at_us"])
    status, query = columns["status"], pc.equal(columns["origin"], 0)
    pid, xid = (columns[name].cast(pa.string()) for name in ("pid", "xid"))
    key = pc.binary_join_element_wise(pid, xid, sql, ":")
    again = pc.and_not(pc.is_in(key, key.filter(query), skip_nulls=True), query)
    return statement_records(
        {
            **columns,
            "duration_us": pc.coalesce(columns["duration_us"], took_us),
            # The message would hold the user's values.
            "error": pc.if_else(pc.equal(status, "success"), pa.scalar(None, pa.string()), status),
            "sql": sql,
        },
        connections,
        resolution_us=1,
        skipped={
            "still running": mask(pc.is_in(status, _RUNNING)),
            "logged twice": mask(again),
        },
        broken={"text missing or incomplete": mask(sql.is_null())},
    )


def _columns(rows: Sequence[Row], names: Sequence[str]) -> dict[str, pa.Array]:
    """Columns from rows; short values come without the spaces they are padded with."""
    columns: dict[str, pa.Array] = {}
    for name, values in zip(names, zip(*rows, strict=True) if rows else [()] * 99, strict=False):
        if name in _NUMBERS:
            columns[name] = pa.array(values, type=pa.int64())
            continue
        texts = pc.ascii_trim_whitespace(pa.array(values, type=pa.binary()).cast(pa.string()))
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        columns[name] = stamps_us(texts) if name.endswith("_us") else texts
    return columns


def text_of(chunks: Sequence[tuple[int | None, bytes | None]], *, width: int) -> str | None:
    """The text in chunks `(sequence, bytes)`; None for what is incomplete or no text.

    All but the last are `width` bytes long: one that is shorter has lost spaces at its end, which
    may be part of a literal, or had no room for the next one's first character. A chunk may end
    within an escape or a character.
    """
    ordered = sorted(chunks)
    parts = [chunk or b"" for _, chunk in ordered]
    if [sequence for sequence, _ in ordered] != list(range(len(ordered))):
        return None
    filled = [_filled(part, then, width) for part, then in pairwise(parts)]
    escaped = b"".join([*filled, parts[-1]]).rstrip(b" ")
    try:
        # A run of backslashes pairs from its left, as the server wrote it.
        return _ESCAPE.sub(lambda found: _MEANING[found[1]], escaped).decode() or None
    except UnicodeDecodeError:
        return None


def _filled(chunk: bytes, then: bytes, width: int) -> bytes:
    needed = next((size for lead, size in _LEADS if then[:1] >= bytes([lead])), 1)
    return chunk if width - len(chunk) < needed else chunk.ljust(width)
