"""PostgreSQL's stderr log, with any log_line_prefix.

A message's DETAIL, STATEMENT and so on are records of their own that follow it, with the prefix
again; other lines continue the record before them, after one tab. PostgreSQL manual, 19.8.1;
elog.c. The server writes a message with its parts at once, yet parts are joined by session, not by
place, for syslog deals them out line by line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import BlockReader, extract, line_starts, mask, strings_at
from replay.capture.postgres import message
from replay.capture.postgres.log_line_prefix import PARTS, LogLinePrefix, find_prefix
from replay.capture.postgres.message import ERRORS
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    Ints,
    ReaderOptions,
    Recognised,
    What,
    quarantined,
    records_of,
)
from replay.capture.stamp import stamps_us
from replay.errors import UsageError

_LINES_TRIED = 500
_MAINS_KEPT = 50
_TAIL_LINES = 4_000
# Where neither %e nor verbose messages tell an error's SQLSTATE, its words do for the usual ones.
_SQLSTATES = (
    (r"^canceling statement due to", "57014"),
    (r"^relation .* does not exist", "42P01"),
    (r"^column .* does not exist", "42703"),
    (r"^(?:function|operator) .*does not exist", "42883"),
    (r"^syntax error ", "42601"),
    (r"^permission denied", "42501"),
    (r"^division by zero", "22012"),
    (r"^duplicate key value", "23505"),
    (r"^current transaction is aborted", "25P02"),
    (r"^invalid input syntax", "22P02"),
    (r"^deadlock detected", "40P01"),
)


@dataclass
class PostgresStderr(BlockReader):
    """Reads a stderr log whose prefix is known.

    Raises (while reading):
        UsageError: stamps name a zone whose offset cannot be known.
    """

    options: ReaderOptions
    prefix: LogLinePrefix

    name: ClassVar[str] = "postgres-stderr"
    blocks_alone: ClassVar[bool] = True
    dialect: str = "postgres"
    meaning: str = "derived"
    notes: set[str] = field(default_factory=set)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: lines that begin with the given prefix, or a usual one, and a severity.

        Raises:
            UsageError: the format was named, and no line begins with a known prefix.
        """
        lines = head.decode(errors="replace").split("\n")[:_LINES_TRIED]
        if options.log_line_prefix is not None:
            prefix = LogLinePrefix.of(options.log_line_prefix)
            if options.chosen or any(_matches(prefix.head, lines)):
                return Recognised(cls(options, prefix), "the log_line_prefix given")
            return None
        found = find_prefix(lines)
        if found is None and options.chosen:
            raise UsageError(
                "the log's line prefix is none of the usual ones",
                hint="give it with --log-line-prefix, as SHOW log_line_prefix prints it",
            )
        if found is None:
            return None
        number = _matches(found.head, lines).index(True) + 1
        return Recognised(cls(options, found), f"line {number} has log_line_prefix `{found.text}`")

    @property
    def unique_sessions(self) -> bool:
        """Only %c names a session once and for all."""
        return "session" in self.prefix.names

    @property
    def resolution_us(self) -> int:
        """Of the prefix's stamps."""
        return self.prefix.resolution_us

    def adopt(self, other: Self) -> bool:
        """Logs with the same prefix."""
        return self.prefix == other.prefix

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at lines with the prefix; the last messages wait for their parts."""
        starts = line_starts(block)
        lines = strings_at(block, starts)
        heads = mask(pc.match_substring_regex(lines, self.prefix.head))
        heads[0] = True
        if last:
            return starts[heads], len(block)
        if not block.endswith(b"\n"):
            # A line cut by the block's end may be a head that cannot be told yet.
            heads[-1] = False
        # Only the block's last lines decide where it ends, but for a record longer than they are.
        for tail in (max(len(lines) - _TAIL_LINES, 0), 0):
            is_main = mask(pc.match_substring_regex(lines[tail:], self.prefix.main))
            mains = np.flatnonzero(heads[tail:] & is_main) + tail
            mains = mains[mains > 0]
            if len(mains):
                break
        else:
            return starts[:0], 0
        end = int(starts[mains[-min(_MAINS_KEPT, (len(mains) + 1) // 2)]])
        begins = starts[heads]
        return begins[begins < end], end

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Messages with their parts; what has no prefix is quarantined."""
        if not len(records):
            return NO_RECORDS
        records = _without_tabs(records)
        found = extract(records, self.prefix.record)
        whole = mask(found["severity"].is_valid())
        tables = []
        if not whole.all():
            lengths = pc.utf8_length(records.filter(pa.array(~whole))).to_pylist()
            excerpts = [f"{length} characters" for length in lengths]
            tables.append(quarantined(lines[~whole], "no log_line_prefix", excerpts))
            found = {name: texts.filter(pa.array(whole)) for name, texts in found.items()}
            lines = lines[whole]
        if len(lines):
            tables += self._messages(found, lines)
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by("line")

    def _messages(self, found: dict[str, pa.StringArray], lines: Ints) -> list[pa.Table]:
        columns: dict[str, Any] = dict(found)
        columns["session"] = session = self._sessions(found)
        is_part = mask(pc.is_in(found["severity"], pa.array(PARTS)))
        has_parts = bool(is_part.any())
        if has_parts:
            target = _main_before(session, is_part)
            for name, part in (("detail", "DETAIL"), ("query", "STATEMENT")):
                columns[name] = _parts(found, target, part)
        sqlstate = found["verbose"]
        if "sqlstate" in found:
            sqlstate = pc.if_else(pc.equal(sqlstate, ""), found["sqlstate"], sqlstate)
        columns["sqlstate"] = _told(sqlstate, found["message"], found["severity"])
        columns["at_us"] = self._at_us(found)
        chosen = {name: texts for name, texts in columns.items() if name in _TO_MESSAGE}
        if has_parts:
            mains = pa.array(~is_part)
            chosen = {name: texts.filter(mains) for name, texts in chosen.items()}
        tables = [message.records(lines[~is_part], chosen, self.notes)]
        if has_parts:
            reason = np.where(
                target[is_part] < 0, "part of an unknown record", "part of earlier record"
            )
            parts = {"line": lines[is_part], "what": int(What.SKIPPED), "reason": pa.array(reason)}
            tables.append(records_of(int(is_part.sum()), parts))
        return tables

    def _sessions(self, found: dict[str, pa.StringArray]) -> pa.StringArray:
        if "session" in found:
            return found["session"]
        if "client" not in found:
            return found["pid"]
        return pc.binary_join_element_wise(found["pid"], found["client"], "/")

    def _at_us(self, found: dict[str, pa.StringArray]) -> pa.Int64Array:
        if "epoch" in found:
            return pc.multiply(found["epoch"].cast(pa.float64()), 1e6).cast(pa.int64(), safe=False)
        return stamps_us(found["stamp"], found["zone"], zone=self.options.zone)


_TO_MESSAGE = frozenset(
    "session at_us user database application severity sqlstate message detail query".split()
)


def _without_tabs(records: pa.StringArray) -> pa.StringArray:
    """Records without the tab after each newline in them and without the one at their end."""
    for end in ("\n", "\r"):
        ended = pc.ends_with(records, end)
        if pc.any(ended).as_py():
            records = pc.if_else(ended, pc.utf8_slice_codeunits(records, 0, -1), records)
    return pc.replace_substring(records, "\n\t", "\n")


def _matches(pattern: str, lines: list[str]) -> list[bool]:
    return [bool(fits) for fits in mask(pc.match_substring_regex(pa.array(lines), pattern))]


def _main_before(session: pa.StringArray, is_part: Bools) -> Ints:
    """For each record the place of its session's last message up to it; -1 where there is none."""
    codes = pc.fill_null(session, "").dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    places = np.where(is_part[order], -1, np.arange(len(order)))
    last = np.maximum.accumulate(places)
    known = (last >= 0) & (codes[order][np.maximum(last, 0)] == codes[order])
    target = np.empty(len(order), dtype=np.int64)
    target[order] = np.where(known, order[np.maximum(last, 0)], -1)
    return target


def _parts(found: dict[str, pa.StringArray], target: Ints, part: str) -> pa.StringArray:
    """The text of this part of each message; null where it has none."""
    rows = np.flatnonzero(mask(pc.equal(found["severity"], part)) & (target >= 0))
    places = np.full(len(target), len(rows), dtype=np.int64)
    places[target[rows]] = np.arange(len(rows))
    texts = pa.concat_arrays([found["message"].take(pa.array(rows)), pa.nulls(1, pa.string())])
    return texts.take(pa.array(places))


def _told(sqlstate: pa.StringArray, message: pa.StringArray, severity: pa.StringArray) -> Any:  # noqa: ANN401
    """SQLSTATEs; where the log has none, one the message tells, or else the severity."""
    untold = pc.and_(pc.is_in(severity, pa.array(ERRORS)), pc.equal(sqlstate, ""))
    if not mask(untold).any():
        return sqlstate
    told = severity
    for pattern, state in _SQLSTATES:
        told = pc.if_else(pc.match_substring_regex(message, pattern), state, told)
    return pc.if_else(untold, told, sqlstate)
