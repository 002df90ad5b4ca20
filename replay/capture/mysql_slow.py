"""The slow query log of MySQL, Percona Server and MariaDB.

An entry is written when its statement has ended. Its record runs from its first header line, which
is `# Time:` or, within the same second, `# User@Host:`, to the next record; a server's banner is a
record of its own. Formats: MySQL manual, 7.4.5; Percona Server manual, slow query log; MariaDB
manual, slow query log.

`SET timestamp=` tells the second of the end in MariaDB and before MySQL 8.0.14, where stamps may be
left out; later servers write the second of the start, and a full stamp each time (MySQL worklog
12393).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import median
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture import mysql_log
from replay.capture.blocks import BlockReader, extract, mask
from replay.capture.mysql_entry import Entries, entry_starts
from replay.capture.record import (
    NO_RECORDS,
    Ints,
    ReaderOptions,
    Recognised,
    What,
    records_of,
)

_ENTRY = re.compile(
    rb"^(?:# Time: .*)?# User@Host: .*\n(?:#.*\n){0,9}?# Query_time: \d", re.M | re.I
)
_TIMES = re.compile(rb"^# Time: (\d[^#\n]+)", re.M)
_ONLY_BANNERS = re.compile(rf"(?:{mysql_log.BANNER})+".encode())
_TIME_AND_SET = re.compile(
    rb"^# Time: (\d{6} [^#\n]+)(?:\n?#.*\n)+?(?:use .*\n)?SET .*?timestamp=(\d+)", re.M
)
_TIMES_COMPARED = 20
_QUARTER_US = 900_000_000

_COMMAND = r"^# administrator command: (?P<value>.*)$"
_IMMEDIATE = r"(?i)^\s*execute\s+immediate\b"
_FIRST_WORD = re.compile(r"\s*([A-Za-z]{2,20})\b")
_NO_TEXT = pa.scalar(None, pa.string())

_LOGGED_TWICE = "EXECUTE IMMEDIATE of a statement with an entry of its own"
_SAMPLED = (
    "the log holds only a sample of the load (log_slow_rate_limit), whose rates must be weighted "
    "again; set log_slow_rate_limit = 1"
)
_NO_ERRORS = (
    "the log does not say which statements failed; set log_slow_extra = ON (MySQL 8.0.14 and later)"
)


@dataclass
class MysqlSlow(BlockReader):
    """Reads slow logs."""

    options: ReaderOptions
    resolution_us: int = 1_000_000
    ahead_us: int = 0
    """How far stamps that name no zone are ahead of UTC, as far as `SET timestamp` lines tell."""

    name: ClassVar[str] = "mysql-slow"
    dialect: str = "mysql"
    meaning: str = "derived"
    unique_sessions: bool = False
    notes: set[str] = field(default_factory=set)
    _last_us: int | None = None
    _database: str | None = None

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: an entry's header; or banners and nothing else, which both logs may hold."""
        if found := _ENTRY.search(head):
            line = head.count(b"\n", 0, found.start()) + 1
            evidence = f"line {line} has `# User@Host:`, and `# Query_time:` follows"
        elif _ONLY_BANNERS.fullmatch(head):
            evidence = "it begins with a MySQL server's banner"
        elif options.chosen:
            evidence = "as told"
        else:
            return None
        resolution_us = mysql_log.resolution_us(_TIMES.findall(head))
        ahead_us = 0 if options.zone else _ahead_us(head)
        return Recognised(cls(options, resolution_us, ahead_us), evidence)

    def adopt(self, other: Self) -> bool:
        """All slow logs are read alike; the coarsest stamps tell how fine they are."""
        self.resolution_us = max(self.resolution_us, other.resolution_us)
        return True

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at an entry's first header line and at banners."""
        others = [0, *mysql_log.banners(block)]
        starts = np.union1d(entry_starts(block, last=last), np.array(others, dtype=np.int64))
        if last:
            return starts, len(block)
        return starts[:-1], int(starts[-1])

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by header and text; what they leave out comes from those before them."""
        blank = mask(pc.utf8_is_space(records))
        if blank.any():
            records, lines = records.filter(pa.array(~blank)), lines[~blank]
        table = self._parse(Entries.of(records), lines) if len(records) else NO_RECORDS
        if last:
            self._last_us = self._database = None
        return table

    def _parse(self, entries: Entries, lines: Ints) -> pa.Table:
        start_us = self._stamps_us(entries.started)
        at_us = pc.coalesce(start_us, self._end_us(entries))
        sql, what, reason = self._statements(entries, at_us)
        excerpt = np.full(len(lines), None, dtype=object)
        for row in np.flatnonzero(what == What.QUARANTINED):
            excerpt[row] = _excerpt(entries, int(row))
        if (what == What.STATEMENT).any() and not entries.has("errno"):
            self.notes.add(_NO_ERRORS)
        if pc.any(pc.greater(entries.number("log_slow_rate_limit"), 1)).as_py():
            self.notes.add(_SAMPLED)
        return records_of(
            len(lines),
            {
                "line": lines,
                "what": what,
                "reason": pa.array(reason, type=pa.string()),
                "excerpt": pa.array(excerpt, type=pa.string()),
                "session": entries.session,
                "at_us": at_us,
                "ends": start_us.is_null(),
                "duration_us": entries.duration_us,
                "rows": entries.number("rows_sent"),
                "error": entries.error,
                "user": entries.user,
                "database": self._databases(entries),
                "sql": sql,
            },
        )

    def _statements(
        self, entries: Entries, at_us: pa.Int64Array
    ) -> tuple[pa.StringArray, Any, Any]:
        """SQL, what each record is, and the reason why it is no statement."""
        text = entries.text
        what = np.full(len(text), What.STATEMENT, dtype=np.int8)
        reason = np.full(len(text), None, dtype=object)
        command = extract(text, _COMMAND)["value"]
        # A later rule overrules an earlier one.
        for rows, kind, words in (
            (mask(at_us.is_null()), What.QUARANTINED, "no stamp"),
            (mask(pc.equal(text, "")), What.SKIPPED, "empty statement"),
            (mask(pc.match_substring_regex(text, _IMMEDIATE)), What.SKIPPED, _LOGGED_TWICE),
            (mask(command.is_valid()), What.SKIPPED, "administrator command"),
            (mask(pc.equal(command, "Connect")), What.CONNECT, "connection"),
            (mask(pc.equal(command, "Quit")), What.DISCONNECT, "disconnection"),
            (~entries.ended, What.QUARANTINED, "cut off"),
            (~entries.headed, What.QUARANTINED, "no header"),
            (entries.is_banner, What.RESTART, "server banner"),
        ):
            what[rows], reason[rows] = kind, words
        return pc.if_else(pa.array(what == What.STATEMENT), text, _NO_TEXT), what, reason

    def _end_us(self, entries: Entries) -> pa.Int64Array:
        """When entries ended: by their stamp, else by the last one before them."""
        at_us = mysql_log.carried(self._stamps_us(entries.who["time"]), self._last_us)
        self._last_us = at_us[-1].as_py()
        if at_us.null_count:
            # What begins a log may leave out the stamp that ended the log before.
            second_us = pc.multiply(entries.second, 1_000_000)
            at_us = pc.coalesce(at_us, pc.add(second_us, self.ahead_us))
        return at_us

    def _stamps_us(self, texts: pa.StringArray) -> pa.Int64Array:
        stamps, zoneless = mysql_log.log_stamps_us(texts, zone=self.options.zone)
        if zoneless:
            self.notes.add(mysql_log.zoneless_note(self.ahead_us))
        return stamps

    def _databases(self, entries: Entries) -> pa.StringArray:
        """The `use` line's, else what the header says, else that of the last `use` line."""
        used, schema = entries.used, entries.schema
        sticky = mysql_log.carried(used, self._database)
        self._database = sticky[-1].as_py()
        told = pc.if_else(pc.equal(schema, ""), _NO_TEXT, schema)
        known = pc.coalesce(used, pc.if_else(schema.is_valid(), told, sticky))
        return pc.if_else(pa.array(entries.headed), known, _NO_TEXT)


def _ahead_us(head: bytes) -> int:
    """How far zoneless stamps are ahead of UTC, by the entries that tell the second in UTC too."""
    pairs = _TIME_AND_SET.findall(head)[:_TIMES_COMPARED]
    texts = pa.array([time.decode(errors="replace") for time, _ in pairs], type=pa.string())
    local_us = mysql_log.log_stamps_us(texts, zone=None)[0].to_pylist()
    ahead_us = [
        local - int(second) * 1_000_000
        for local, (_, second) in zip(local_us, pairs, strict=True)
        if local is not None
    ]
    return round(median(ahead_us) / _QUARTER_US) * _QUARTER_US if ahead_us else 0


def _excerpt(entries: Entries, row: int) -> str:
    """How a statement begins: its first word, which is none of its values."""
    word = entries.headed[row] and _FIRST_WORD.match(entries.text[row].as_py())
    return f"{word[1]} …" if word else ""
