"""The general query log of MySQL and MariaDB: every command as the server receives it.

A record is a stamp, a thread, a command and its argument, and runs to the next record, for nothing
marks further lines. Formats: MySQL manual, 7.4.3; MariaDB manual, general query log. The stamp is
the start's; up to MySQL 5.6 and in MariaDB it is left out within the same second, even where a new
file begins: such records take the first stamp that follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture import mysql_log
from replay.capture.blocks import BlockReader, bytes_of, extract, line_starts, mask
from replay.capture.record import (
    NO_RECORDS,
    Bools,
    Ints,
    ReaderOptions,
    Recognised,
    What,
    records_of,
)

_COMMANDS = (
    "Binlog Dump GTID|Binlog Dump|Bulk_execute|Change user|Clone|clone|Close stmt|Com_multi|"
    "Connect Out|Connect|Create DB|Daemon|Debug|Delayed insert|Drop DB|Error|Execute|Fetch|"
    "Field List|Init DB|Kill|Long Data|Ping|Prepare|Processlist|Query|Quit|Refresh|"
    "Register Replica|Register Slave|Reset Connection|Reset connection|Reset stmt|Set option|"
    "Shutdown|Slave_IO|Slave_SQL|Slave_worker|Sleep|Statistics|Table Dump|Time|Unimpl get tid"
)
_HEAD = (
    rf"^(?P<head>(?:(?P<stamp>{mysql_log.STAMP})|\t)\t *(?P<thread>\d+) (?P<command>{_COMMANDS})"
    r"(?:\t| {2,}|\r?\n|$))"
)
_FIRST = re.compile(_HEAD.encode(), re.M)
_LEAST_HEAD, _MOST_HEAD = 8, 96
_MOST_HELD = 200_000
_MOST_THREADS = 100_000
_TAB, _DASH, _SPACE, _ZERO, _NINE = b"\t- 09"

_CONNECT = r"^(?P<user>.*)@(?P<host>[^@]*?)(?: as [^ ]*)? on (?P<database>.*?)(?: using [^ ]*)?\s*$"
_CONNECTED = re.compile(_CONNECT, re.S)
_USE = r"(?i)^use\s+(?P<database>`(?:[^`]|``)*`|[^\s;`]+)\s*;?\s*$"
_USED = re.compile(_USE)
_EXECUTE = r"(?i)^execute\s"
_NO_TEXT = pa.scalar(None, pa.string())


class _Who(NamedTuple):
    """Whom a thread serves, as far as the log has told by now."""

    user: str | None = None
    database: str | None = None


_NOBODY = _Who()


@dataclass
class MysqlGeneral(BlockReader):
    """Reads general logs."""

    options: ReaderOptions
    resolution_us: int = 1_000_000

    name: ClassVar[str] = "mysql-general"
    dialect: str = "mysql"
    meaning: str = "start"
    unique_sessions: bool = False
    notes: set[str] = field(default_factory=set)
    _last_us: int | None = None
    _held: list[tuple[pa.StringArray, Ints]] = field(default_factory=list)
    _threads: dict[str, _Who] = field(default_factory=dict)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line with a stamp, a thread and a command."""
        stamps = [found["stamp"] for found in _FIRST.finditer(head) if found["stamp"]]
        reader = cls(options, mysql_log.resolution_us(stamps))
        for found in _FIRST.finditer(head):
            if found["stamp"]:
                line = head.count(b"\n", 0, found.start()) + 1
                command = found["command"].decode()
                evidence = f"line {line} has a stamp, a thread and the command {command}"
                return Recognised(reader, evidence)
        return Recognised(reader, "as told") if options.chosen else None

    def adopt(self, other: Self) -> bool:
        """All general logs are read alike; the coarsest stamps tell how fine they are."""
        self.resolution_us = max(self.resolution_us, other.resolution_us)
        return True

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Records begin at lines with a thread and a command, and at banners."""
        others = [0, *mysql_log.banners(block)]
        starts = np.union1d(_starts(block, last=last), np.array(others, dtype=np.int64))
        if last:
            return starts, len(block)
        return starts[:-1], int(starts[-1])

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records by their command; users and databases by what their threads did before."""
        real = ~mask(pc.utf8_is_space(records))
        self._held.append((records.filter(pa.array(real)), lines[real]))
        records = pa.concat_arrays([records for records, _ in self._held])
        lines = np.concatenate([lines for _, lines in self._held])
        waits = not last and self._last_us is None and len(records) < _MOST_HELD
        if waits and not mask(pc.match_substring_regex(records, rf"^{mysql_log.STAMP}\t")).any():
            self._held = [(records, lines)]
            return NO_RECORDS
        self._held.clear()
        table = self._parse(records, lines) if len(records) else NO_RECORDS
        if last:
            self._last_us = None
            self._threads.clear()
        return table

    def _parse(self, records: pa.StringArray, lines: Ints) -> pa.Table:
        head, text, ended = _taken_apart(records)
        command = head["command"]
        what = np.full(len(lines), What.SKIPPED, dtype=np.int8)
        reason = np.full(len(lines), "administrator command", dtype=object)
        is_query, is_execute, is_prepare, is_connect, is_quit = (
            mask(pc.equal(command, name))
            for name in ("Query", "Execute", "Prepare", "Connect", "Quit")
        )
        runs = is_query | is_execute
        who = self._follow(head["thread"], command, text)
        at_us = self._at_us(head["stamp"])
        refused = is_connect & ~mask(pc.match_substring_regex(text, _CONNECT))
        headless = mask(command.is_null())
        banner = headless.copy()
        some = records.filter(pa.array(headless))
        banner[headless] = mask(pc.match_substring_regex(some, "^" + mysql_log.BANNER))
        twice = is_query & mask(pc.match_substring_regex(text, _EXECUTE))
        # A later rule overrules an earlier one.
        for rows, kind, words in (
            (runs, What.STATEMENT, None),
            (twice, What.SKIPPED, "EXECUTE, logged again with its values"),
            (is_prepare, What.SKIPPED, "prepare"),
            (is_connect, What.CONNECT, "connection"),
            (refused, What.DISCONNECT, "connection refused"),
            (is_quit, What.DISCONNECT, "disconnection"),
            (runs & mask(pc.equal(text, "")), What.SKIPPED, "empty statement"),
            (runs & mask(at_us.is_null()), What.QUARANTINED, "no stamp"),
            (~ended, What.QUARANTINED, "cut off"),
            (headless, What.QUARANTINED, "no header"),
            (banner, What.RESTART, "server banner"),
        ):
            what[rows], reason[rows] = kind, words
        bad = pa.array(what == What.QUARANTINED)
        return records_of(
            len(lines),
            {
                "line": lines,
                "what": what,
                "reason": pa.array(reason, type=pa.string()),
                "excerpt": pc.if_else(bad, pc.fill_null(command, ""), _NO_TEXT),
                "session": head["thread"],
                "at_us": at_us,
                "ends": False,
                "user": who["user"],
                "database": who["database"],
                "sql": pc.if_else(pa.array(what == What.STATEMENT), text, _NO_TEXT),
            },
        )

    def _follow(
        self, thread: pa.StringArray, command: pa.StringArray, text: pa.StringArray
    ) -> pa.Table:
        """User and database of each record; only records that change them are looked at."""
        codes = pc.fill_null(thread, "").dictionary_encode()
        names = codes.dictionary.to_pylist()
        # Before the first change here, a thread serves whom it served at the last block's end.
        known = [self._threads.get(name, _NOBODY) for name in names]
        code = codes.indices.to_numpy()
        current = np.full(len(code), -1, dtype=np.int64)
        changes = mask(pc.is_in(command, pa.array(["Connect", "Change user", "Init DB", "Quit"])))
        uses = pc.and_(pc.equal(command, "Query"), pc.match_substring_regex(text, _USE))
        for row in np.flatnonzero(changes | mask(uses)).tolist():
            name = names[code[row]]
            who = self._threads.get(name, _NOBODY)
            who = _changed(who, command[row].as_py(), text[row].as_py())
            current[row] = len(known)
            known.append(who)
            if command[row].as_py() == "Quit":
                self._threads.pop(name, None)
            else:
                self._threads[name] = who
        for name in list(self._threads)[: max(len(self._threads) - _MOST_THREADS, 0)]:
            del self._threads[name]
        order = np.argsort(code, kind="stable")
        first = np.flatnonzero(np.diff(code[order], prepend=-1))
        sorted_ = current[order]
        sorted_[first] = np.where(sorted_[first] < 0, code[order][first], sorted_[first])
        told = np.maximum.accumulate(np.where(sorted_ < 0, 0, np.arange(len(order))))
        current[order] = sorted_[told]
        return pa.table(
            {
                field: pa.array([each[place] for each in known], type=pa.string()).take(
                    pa.array(current)
                )
                for place, field in enumerate(_Who._fields)
            }
        )

    def _at_us(self, texts: pa.StringArray) -> pa.Int64Array:
        stamps, zoneless = mysql_log.log_stamps_us(texts, zone=self.options.zone)
        if zoneless:
            self.notes.add(mysql_log.zoneless_note(0))
        if self._last_us is None:
            known = pc.drop_null(stamps)
            self._last_us = known[0].as_py() if len(known) else None
        at_us = mysql_log.carried(stamps, self._last_us)
        self._last_us = at_us[-1].as_py()
        return at_us


def _changed(who: _Who, command: str, text: str) -> _Who:
    """Whom a thread serves after a record."""
    if command in ("Connect", "Change user"):
        found = _CONNECTED.match(text)
        return _Who(found["user"] or None, found["database"] or None) if found else who
    if command == "Init DB":
        return _Who(who.user, text)
    if command == "Query" and (found := _USED.match(text)):
        name = found["database"]
        return _Who(who.user, name[1:-1].replace("``", "`") if name[0] == "`" else name)
    return who


def _taken_apart(
    records: pa.StringArray,
) -> tuple[dict[str, pa.StringArray], pa.StringArray, Bools]:
    """What stands before the argument, the argument, and whether its line has an end."""
    data = bytes_of(records)
    edges = mysql_log.offsets_of(records)
    starts, ends = edges[:-1], edges[1:]
    head = extract(records, _HEAD)
    ended = mysql_log.begin(np.frombuffer(data, dtype=np.uint8), ends - 1, b"\n")
    length = pc.fill_null(pc.binary_length(head["head"]), 0).to_numpy()
    stops = ends - ended
    return head, mysql_log.slices(data, np.minimum(starts + length, stops), stops), ended


def _starts(block: bytes, *, last: bool) -> Ints:
    """Where records begin."""
    data = np.frombuffer(block, dtype=np.uint8)
    lines = line_starts(block)
    ends = np.append(lines[1:], len(block))
    if not last and not block.endswith(b"\n"):
        # What the block's end cuts may be a record's beginning that cannot be told yet.
        lines, ends = lines[:-1], ends[:-1]
    near = lines[lines + _LEAST_HEAD < len(data)]
    stamped = (data[near] >= _ZERO) & (data[near] <= _NINE)
    stamped &= (data[near + 4] == _DASH) | (data[near + 6] == _SPACE)
    candidate = stamped | ((data[near] == _TAB) & (data[near + 1] == _TAB))
    at = np.flatnonzero(candidate)
    heads = mysql_log.slices(block, lines[at], np.minimum(ends[at], lines[at] + _MOST_HEAD))
    return lines[at[mask(pc.match_substring_regex(heads, _HEAD))]]
