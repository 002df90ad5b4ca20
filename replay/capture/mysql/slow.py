"""The slow query log of MySQL, Percona Server and MariaDB.

An entry is written when its statement has ended. Its record runs from its first header line, which
is `# Time:` or, within the same second, `# User@Host:`, to the next record. Servers differ in what
headers tell and in the letter case of keys. Formats: MySQL manual, 7.4.5; Percona Server manual,
slow query log; MariaDB manual, slow query log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import bytes_of, extract, line_starts, mask, strings_at
from replay.capture.mysql.log import (
    DATABASE,
    STAMP,
    MysqlLog,
    carried,
    given,
    judged,
    taken_apart,
    unquoted,
)
from replay.capture.record import Ints, What

_ENTRY = rb"^(?:# Time: .*)?# User@Host: .*\n(?:#.*\n){0,9}?# Query_time: \d"
# The last line of a text ends with `;`.
_TIME_LINE = r"^# Time: [^#\n]*[^#;\s]\s*$"
_USER_LINE = r"^# (?:Time: [^#\n]*# )?User@Host: [^\n]*[^;\s]\s*$"

# `# administrator command:` stands where a statement would. Four groups, and no two ways through
# the pattern: only then RE2 finds them in one pass.
_HEAD = (
    r"^(?P<head># (?:Time: (?P<stamp>[^#\n]*)\n?# )?User@Host: (?P<who>[^\n]*)\n"
    r"(?P<facts>(?:#(?: *[^ a\n][^\n]*)?\n)*(?:use [^;\n]*;(?:\r?\n|$))?"
    r"(?:SET (?:(?:last_insert_id|insert_id|timestamp)=[\d.]+,?)+;(?:\r?\n|$))?))"
)
_WHO = (
    r"^(?P<account>[^\[]*)\[(?P<user>[^\]]*)\] @ (?P<host>[^\[]*)\[(?P<ip>[^\]]*)\]"
    r"(?: +Id: +(?P<id>\d+))?"
)
_COMMAND = r"^# administrator command: (?P<command>.*)$"
_IMMEDIATE = r"(?i)^\s*execute\s+immediate\b"
_NONZERO = r"[1-9]\d*"
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
class MysqlSlow(MysqlLog):
    """Reads slow logs."""

    name: ClassVar[str] = "mysql-slow"
    evidence = "`# User@Host:`, and `# Query_time:` follows", re.compile(_ENTRY, re.M | re.I)
    stamped = re.compile(rf"^# Time: {STAMP}".encode(), re.M)
    meaning: str = "derived"
    _database: str | None = None

    def _starts(self, block: bytes, *, last: bool) -> Ints:
        """Entries begin at the stamp, or at the user where the stamp is left out.

        A user's line begins an entry only if a further comment line follows, as in every entry:
        most texts that quote a log are told from it by that.
        """
        lines = line_starts(block)
        texts = strings_at(block, lines)
        comment = pc.starts_with(texts, "# ")
        at, texts = np.flatnonzero(comment), texts.filter(comment)
        user = mask(pc.match_substring_regex(texts, _USER_LINE))
        time = mask(pc.match_substring_regex(texts, _TIME_LINE))
        followed = np.append(at[1:] == at[:-1] + 1, False)[: len(at)]
        stamped = np.append(False, (time & followed)[:-1])[: len(at)]
        begins = user & followed
        return np.asarray(lines[at[begins] - stamped[begins]], dtype=np.int64)

    def _columns(self, records: pa.StringArray, lines: Ints) -> dict[str, Any]:
        bare = pc.ascii_rtrim_whitespace(records)
        ended = mask(pc.ends_with(bare, ";"))
        ends = np.asarray(pc.binary_length(bare), dtype=np.int64) - ended
        head, text = taken_apart(records, _HEAD, ends)
        ended &= mask(pc.less_equal(pc.binary_length(head["head"]), pa.array(ends)))
        who, facts = _who(head["who"]), _Facts(head["facts"])
        seconds = facts.text("query_time: ", r"\d+(?:\.\d+)?").cast(pa.float64())
        headed = mask(pc.and_(head["head"].is_valid(), seconds.is_valid()))
        # The stamp is the end's; log_slow_extra adds the start's.
        start_us = self._moments_us(facts.text("start: ", r"\S+"))
        at_us = pc.coalesce(start_us, self._at_us(head["stamp"]))
        if at_us.null_count:
            # A log without any stamp. Servers that leave them out tell the end's second here.
            second_us = pc.multiply(facts.number("timestamp="), 1_000_000)
            at_us = pc.coalesce(at_us, second_us)
        command = extract(text, _COMMAND)["command"]
        rules = (
            (mask(pc.match_substring_regex(text, _IMMEDIATE)), What.SKIPPED, _LOGGED_TWICE),
            (mask(command.is_valid()), What.SKIPPED, "administrator command"),
            (mask(pc.equal(command, "Connect")), What.CONNECT, "connection"),
            (mask(pc.equal(command, "Quit")), What.DISCONNECT, "disconnection"),
        )
        columns = judged(records, lines, text, at_us, headed=headed, ended=ended, rules=rules)
        if (columns["what"] == What.STATEMENT).any() and not facts.has("errno: "):
            self.notes.add(_NO_ERRORS)
        if pc.any(pc.greater(facts.number("log_slow_rate_limit: "), 1)).as_py():
            self.notes.add(_SAMPLED)
        place = pc.coalesce(given(pc.utf8_trim_whitespace(who["host"])), who["ip"])
        by_place = pc.binary_join_element_wise(who["user"], place, "@")
        return {
            **columns,
            "session": pc.coalesce(given(who["id"]), facts.text("thread_id: "), by_place),
            "ends": start_us.is_null(),
            "duration_us": pc.round(pc.multiply(seconds, 1e6)).cast(pa.int64()),
            "rows": facts.number("rows_sent: "),
            "error": pc.coalesce(facts.text("errno: ", _NONZERO), facts.text("killed: ", _NONZERO)),
            # Whom the client named; the account that the server took it for stands before it.
            "user": pc.coalesce(given(who["user"]), given(who["account"])),
            "database": self._databases(facts),
        }

    def _databases(self, facts: _Facts) -> pa.StringArray:
        """The `use` line's, else what the header says, else that of the last `use` line."""
        used = unquoted(facts.text("\nuse ", DATABASE))
        last_used = carried(used, self._database)
        self._database = last_used[-1].as_py()
        schema = facts.text("schema: ", r"\S*")
        return pc.coalesce(used, pc.if_else(schema.is_valid(), given(schema), last_used))

    def _forget(self) -> None:
        self._database = None


def _who(lines: pa.StringArray) -> dict[str, pa.StringArray]:
    """`account`, `user`, `host`, `ip` and `id`; lines are few that differ."""
    codes = lines.dictionary_encode()
    found = extract(codes.dictionary, _WHO)
    return {name: texts.take(codes.indices) for name, texts in found.items()}


class _Facts:
    """What headers tell in lines of `Key: value`, and the `use` and `SET` behind them."""

    def __init__(self, lines: pa.StringArray) -> None:
        self._lines = lines
        self._lower = bytes_of(lines).lower()

    def has(self, words: str) -> bool:
        """Whether any header has the words, which are lower case."""
        return words.encode() in self._lower

    def text(self, words: str, pattern: str = r"\d+") -> pa.StringArray:
        """What follows the words where it fits the pattern, else null."""
        if not self.has(words):
            return pa.nulls(len(self._lines), pa.string())
        return extract(self._lines, rf"(?i){words}(?P<value>{pattern})")["value"]

    def number(self, words: str) -> pa.Int64Array:
        """The number that follows the words, else null."""
        return self.text(words).cast(pa.int64())
