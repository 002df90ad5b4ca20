"""Logs: sources whose format is known, in the order to read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from replay.capture.blocks import BlockReader, strings_at
from replay.capture.formats import FORMATS, READERS, recognise
from replay.capture.record import Reader, ReaderOptions
from replay.capture.source import Source
from replay.errors import Unreadable

EMPTY = "empty"
"""Why a log without a byte is useless: it is no loss, and counts as no record."""
_HEAD_BYTES = 1 << 18
_FIRST_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Log:
    """One log and what reads it."""

    source: Source
    reader: Reader
    evidence: str
    rank: int
    first_us: int
    """The earliest stamp among its first records; 0 where none is known before reading."""


def find_logs(
    sources: Sequence[Source], options: ReaderOptions, *, log_format: str
) -> tuple[list[Log], list[tuple[Source, str]]]:
    """Logs in the order to read them, and sources that are none with the reason.

    Logs of the same format share one reader. The format that tells most comes first, for a server
    may write the same statements in several.

    Raises:
        Unreadable: no source can be used.
        UsageError: `log_format` is unknown, or options do not fit it.
    """
    logs: list[Log] = []
    useless: list[tuple[Source, str]] = []
    failure: Unreadable | None = None
    for source in sources:
        try:
            head = source.head(_HEAD_BYTES)
        except Unreadable as error:
            failure = error
            useless.append((source, "cannot be read"))
            continue
        found = recognise(head, options, log_format=log_format) if head else None
        if found is None:
            useless.append((source, "format not recognised" if head else EMPTY))
            continue
        reader = next((log.reader for log in logs if _same(log.reader, found.reader)), found.reader)
        first_us = _first_us(head, reader) if isinstance(reader, BlockReader) else 0
        logs.append(Log(source, reader, found.evidence, found.rank, first_us))
    if not logs:
        raise failure or Unreadable(
            f"`{sources[0].uri}` is in no format that can be read here",
            hint=f"formats are {', '.join(FORMATS[1:])}; name its own with --format",
        )
    # One workload has one dialect; that of most logs wins.
    dialect = Counter(log.reader.dialect for log in logs).most_common(1)[0][0]
    useless += [
        (log.source, f"SQL of another system: {log.reader.dialect}")
        for log in logs
        if log.reader.dialect != dialect
    ]
    kept = [log for log in logs if log.reader.dialect == dialect]
    order = {reader: place for place, reader in enumerate(READERS)}
    kept.sort(key=lambda log: (log.rank, order[type(log.reader)], log.first_us, log.source.uri))
    return kept, useless


def _same(known: Reader, found: Reader) -> bool:
    return type(known) is type(found) and known.adopt(found)


def _first_us(head: bytes, reader: BlockReader) -> int:
    starts, end = reader.split(head, last=False)
    if not len(starts):
        return 0
    records = strings_at(head[:end], starts)[:_FIRST_RECORDS]
    try:
        texts = records.cast("string")
    except ValueError:
        return 0
    stamps = reader.parse(texts, starts[:_FIRST_RECORDS], last=True)["at_us"]
    return pc.min(stamps).as_py() or 0
