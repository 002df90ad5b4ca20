"""The general query log of MySQL and MariaDB: every command as the server receives it.

A record is a stamp, a thread, a command and its argument, and runs to the next record, for nothing
marks further lines. The stamp is the start's. Formats: MySQL manual, 7.4.3; MariaDB manual, general
query log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import extract, line_starts, mask, strings_at, whole_lines
from replay.capture.mysql.log import DATABASE, STAMP, MysqlLog, given, judged, taken_apart, unquoted
from replay.capture.record import Ints, What

# Any word would do for a text's own lines, such as `1 END` behind tabs.
_COMMANDS = (
    "Binlog Dump GTID|Binlog Dump|Bulk_execute|Change user|Clone|clone|Close stmt|Com_multi|"
    "Connect Out|Connect|Create DB|Daemon|Debug|Delayed insert|Drop DB|Error|Execute|Fetch|"
    "Field List|Init DB|Kill|Long Data|Ping|Prepare|Processlist|Query|Quit|Refresh|"
    "Register Replica|Register Slave|Reset Connection|Reset connection|Reset stmt|Set option|"
    "Shutdown|Slave_IO|Slave_SQL|Slave_worker|Sleep|Statistics|Table Dump|Time|Unimpl get tid"
)
_THREAD = rf"\t *(?P<thread>\d+) (?P<command>{_COMMANDS})(?:\t| {{2,}}|\r?\n|$)"
_HEAD = rf"^(?P<head>(?:{STAMP}|\t){_THREAD})"
_STAMPED = re.compile(f"^{STAMP}{_THREAD}".encode(), re.M)

_CONNECT = r"^(?P<user>.*)@[^@]*?(?: as [^ ]*)? on (?P<database>.*?)(?: using [^ ]*)?\s*$"
_USE = rf"(?i)^use\s+(?P<database>{DATABASE})\s*;?\s*$"
_EXECUTE = r"(?i)^execute\s"
_MOST_THREADS = 100_000
_WHO = ("user", "database")


@dataclass
class MysqlGeneral(MysqlLog):
    """Reads general logs."""

    name: ClassVar[str] = "mysql-general"
    evidence = "a stamp, a thread and a command", _STAMPED
    stamped = _STAMPED
    _threads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """User and database of each thread, empty where it has none."""

    def _starts(self, block: bytes, *, last: bool) -> Ints:
        """Records begin at lines with a thread and a command."""
        lines = line_starts(block)
        # What the block's end cuts may be a head that cannot be told yet.
        lines = lines[lines < whole_lines(block, last=last)]
        heads = pc.match_substring_regex(strings_at(block, lines), _HEAD)
        return np.asarray(lines[mask(heads)], dtype=np.int64)

    def _columns(self, records: pa.StringArray, lines: Ints) -> dict[str, Any]:
        ended = mask(pc.ends_with(records, "\n"))
        ends = np.asarray(pc.binary_length(records), dtype=np.int64) - ended
        head, text = taken_apart(records, _HEAD, ends)
        command = head["command"]
        queries, executes, prepares, connects, quits = (
            mask(pc.equal(command, name))
            for name in ("Query", "Execute", "Prepare", "Connect", "Quit")
        )
        refused = connects & ~mask(pc.match_substring_regex(text, _CONNECT))
        twice = queries & mask(pc.match_substring_regex(text, _EXECUTE))
        rules = (
            (~(queries | executes), What.SKIPPED, "administrator command"),
            (twice, What.SKIPPED, "EXECUTE, logged again with its values"),
            (prepares, What.SKIPPED, "prepare"),
            (connects, What.CONNECT, "connection"),
            (refused, What.DISCONNECT, "connection refused"),
            (quits, What.DISCONNECT, "disconnection"),
        )
        headed, at_us = mask(command.is_valid()), self._at_us(head["stamp"])
        columns = judged(records, lines, text, at_us, headed=headed, ended=ended, rules=rules)
        who = self._follow(pc.fill_null(head["thread"], ""), _changes(command, text))
        return {**columns, **who, "session": head["thread"], "ends": False}

    def _follow(
        self, thread: pa.StringArray, changes: dict[str, pa.StringArray]
    ) -> dict[str, pa.StringArray]:
        """User and database of each record: the last change of its thread, here or before."""
        codes = thread.dictionary_encode()
        names = codes.dictionary.to_pylist()
        # A row for each thread goes before its records, with what it was at the last block's end.
        known = [self._threads.pop(name, ("", "")) for name in names]
        group = np.concatenate([np.arange(len(names)), codes.indices.to_numpy()])
        order = np.argsort(group, kind="stable")
        place = np.argsort(order, kind="stable")[len(names) :]
        last = np.append(np.flatnonzero(np.diff(group[order])), len(group) - 1)
        now, then = {}, []
        for at, who in enumerate(_WHO):
            before = pa.array([each[at] for each in known], type=pa.string())
            rows = pa.concat_arrays([before, changes[who]])
            rows = pc.fill_null_forward(rows.take(pa.array(order)))
            now[who] = given(rows.take(pa.array(place)))
            then.append(rows.take(pa.array(last)).to_pylist())
        self._threads.update(zip(names, zip(*then, strict=True), strict=True))
        for name in list(self._threads)[:-_MOST_THREADS]:
            del self._threads[name]
        return now

    def _forget(self) -> None:
        self._threads.clear()


def _changes(command: pa.StringArray, text: pa.StringArray) -> dict[str, pa.StringArray]:
    """User and database where a record changes them, empty for none; else null."""
    changes = dict.fromkeys(_WHO, pa.nulls(len(text), pa.string()))
    connects = pc.is_in(command, pa.array(["Connect", "Change user"]))
    found = extract(text.filter(connects), _CONNECT)
    for who in _WHO:
        changes[who] = pc.replace_with_mask(changes[who], connects, found[who])
    used = unquoted(extract(text, _USE)["database"])
    which = pc.make_struct(pc.equal(command, "Query"), pc.equal(command, "Init DB"))
    chosen = pc.case_when(which, used, text)
    changes["database"] = pc.coalesce(changes["database"], chosen)
    return changes
