"""Entries of a slow log: where they begin, and what their headers and texts hold.

Servers differ in a header's lines, in what they leave out, and in the letter case of keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import bytes_of, extract, line_starts, mask
from replay.capture.mysql_log import BANNER, STAMP, begin, offsets_of, slices
from replay.capture.record import Bools, Ints

_TIME, _USER = b"# Time: ", b"# User@Host: "
_TIME_LINE = rf"^# Time: {STAMP}\s*$"
_USER_LINE = (
    rf"^(?:# Time: {STAMP} +)?# User@Host: [^\n]*\[[^\n]*\] @ [^\n]*\[[^\n]*\](?: +Id: +\d+)?\s*$"
)
_CUT_HEADER = re.compile(
    rb"^(?:# Time: \d[\d:.TZ +-]*(?:# User@Host: [^\n]*)?(?:\n(?:#[^\n]*\n?#?)?)?"
    rb"|# User@Host: [^\n]*\n?#?)\Z",
    re.M,
)
_MOST_HEADER = 500
_HASH, _LETTER_A = b"#a"
_BANNERS = re.compile(f"(?:{BANNER})+")

_WHO = (
    r"^(?:# Time: (?P<time>[^#\n]*)\n?)?# User@Host: (?P<account>[^\[\n]*)\[(?P<user>[^\]\n]*)\]"
    r" @ (?P<host>[^\[\n]*?) ?\[(?P<ip>[^\]\n]*)\](?: +Id: +(?P<id>\d+))?"
)
_SET = r"^SET (?:(?:last_insert_id|insert_id|timestamp)=[\d.]+,?)+;\s*$"
_SCHEMA = r"Schema: (?P<value>.*?)(?:  [A-Z]| Rows_affected:|\s*\n)"
_NO_TEXT, _NO_NUMBER = pa.scalar(None, pa.string()), pa.scalar(None, pa.int64())


def entry_starts(block: bytes, *, last: bool) -> Ints:
    """Offsets where entries begin: at the stamp, or at the user where the stamp is left out.

    A user's line begins an entry only if a further comment line follows, as in every entry: most
    texts that quote a log are told from it by that.
    """
    data = np.frombuffer(block, dtype=np.uint8)
    lines = line_starts(block)
    time = begin(data, lines, _TIME)
    at = np.flatnonzero(time | begin(data, lines, _USER))
    found = slices(block, lines[at], np.append(lines, len(block))[at + 1])
    time[at] = mask(pc.match_substring_regex(found, _TIME_LINE))
    user = np.zeros(len(lines), dtype=np.bool_)
    user[at] = mask(pc.match_substring_regex(found, _USER_LINE))
    user &= np.append(begin(data, lines, b"# ")[1:], False)
    before = np.concatenate([[False], time[:-1]])
    starts: Ints = lines[np.flatnonzero(user) - before[user]]
    if last and not block.rstrip().endswith(b";"):
        # A header that the log's end cuts is no part of the statement before it.
        cut = _CUT_HEADER.search(block, max(len(block) - _MOST_HEADER, 0))
        starts = np.append(starts, cut.start()) if cut else starts
    return starts


@dataclass(frozen=True)
class Entries:
    """Records taken apart; those that are no entries have an empty header."""

    header: pa.StringArray
    """Comment lines, as far as they come before all others."""
    use: pa.StringArray
    """The log's own `use name;`."""
    set: pa.StringArray
    """The log's own `SET timestamp=…;`."""
    text: pa.StringArray
    """The statement as it was sent, or an administrator command."""
    ended: Bools
    """Whether the text had the `;` that the log puts behind it."""
    is_banner: Bools

    @classmethod
    def of(cls, records: pa.StringArray) -> Self:
        """Take records apart where their lines begin."""
        text = bytes_of(records)
        data = np.frombuffer(text, dtype=np.uint8)
        edges = offsets_of(records)
        starts, ends = edges[:-1], edges[1:]
        lines = np.append(line_starts(text), len(text))
        first = np.searchsorted(lines, edges)
        # `# administrator command:` stands where a statement would.
        third = data[np.minimum(lines[:-1] + 2, len(text) - 1)]
        comment = (data[lines[:-1]] == _HASH) & (third != _LETTER_A)
        others = np.append(np.flatnonzero(~comment), len(comment))
        use = np.minimum(others[np.searchsorted(others, first[:-1])], first[1:])

        def behind(at: Ints, words: bytes, pattern: str) -> Ints:
            """The next line where one begins with the words and fits the pattern."""
            candidate = (at < first[1:]) & begin(data, lines[at], words)
            found = slices(text, lines[at], lines[at + candidate])
            fits: Ints = at + mask(pc.match_substring_regex(found, pattern))
            return fits

        set_ = behind(use, b"use ", r";\s*$")
        body = lines[behind(set_, b"SET ", _SET)]
        ended = (ends - 2 >= body) & begin(data, ends - 2, b";\n")
        body_ends = np.where(ended, ends - 2, ends)
        is_banner = np.zeros(len(starts), dtype=np.bool_)
        # The end of a log, of what a crash cut, or of a banner.
        for row in np.flatnonzero(~ended):
            rest = text[body[row] : ends[row]].decode().rstrip()
            if rest.endswith(";"):
                ended[row], body_ends[row] = True, body[row] + len(rest.encode()) - 1
            is_banner[row] = body[row] == starts[row] and bool(_BANNERS.match(rest + "\n"))
        return cls(
            header=slices(text, starts, lines[use]),
            use=slices(text, lines[use], lines[set_]),
            set=slices(text, lines[set_], body),
            text=slices(text, body, body_ends),
            ended=ended,
            is_banner=is_banner,
        )

    @cached_property
    def who(self) -> dict[str, pa.StringArray]:
        """`time`, `account`, `user`, `host`, `ip` and `id`, empty where they are left out."""
        return extract(self.header, _WHO)

    @property
    def headed(self) -> Bools:
        """Whether the header is whole."""
        return mask(pc.and_(self.who["user"].is_valid(), self.duration_us.is_valid()))

    @property
    def session(self) -> pa.StringArray:
        """The thread, else the user and where it is connected from."""
        thread = _given(self.who["id"])
        if thread.null_count:
            told = extract(self.header, r"(?i)\bthread_id: +(?P<value>\d+)")["value"]
            thread = pc.coalesce(thread, told)
        if thread.null_count:
            place = pc.coalesce(_given(self.who["host"]), self.who["ip"])
            thread = pc.coalesce(thread, pc.binary_join_element_wise(self.who["user"], place, "@"))
        return thread

    @property
    def user(self) -> pa.StringArray:
        """Whom the client named; the account that the server took it for stands before it."""
        return pc.coalesce(_given(self.who["user"]), _given(self.who["account"]))

    @cached_property
    def duration_us(self) -> pa.Int64Array:
        """Query_time."""
        seconds = extract(self.header, r"(?i)query_time: +(?P<value>\d+(?:\.\d+)?)")["value"]
        return pc.round(pc.multiply(seconds.cast(pa.float64()), 1e6)).cast(pa.int64())

    @property
    def started(self) -> pa.StringArray:
        """The stamp of the start, which log_slow_extra adds."""
        return extract(self.header, r" Start: (?P<value>\d{4}\S*) End: ")["value"]

    @property
    def second(self) -> pa.Int64Array:
        """Seconds since the epoch of `SET timestamp`."""
        return extract(self.set, r"timestamp=(?P<value>\d+)")["value"].cast(pa.int64())

    @property
    def used(self) -> pa.StringArray:
        """The database of the `use` line; null where there is none."""
        name = extract(self.use, r"^use `?(?P<value>.*?)`?;\s*$")["value"]
        return pc.replace_substring(name, "``", "`")

    @property
    def schema(self) -> pa.StringArray:
        """The database that the header tells: empty for none, null where it tells nothing."""
        return extract(self.header, _SCHEMA)["value"]

    @property
    def error(self) -> pa.StringArray:
        """The number of the error, or of what killed the statement; null where neither is told."""
        errno, killed = (_nonzero(self.number(key)) for key in ("errno", "killed"))
        return pc.coalesce(errno, killed).cast(pa.string())

    def has(self, key: str) -> bool:
        """Whether any header has the key."""
        found = pc.match_substring(self.header, key + ":", ignore_case=True)
        return bool(pc.any(found).as_py())

    def number(self, key: str) -> pa.Int64Array:
        """A number that headers tell; null where they do not."""
        found = extract(self.header, rf"(?i){key}: +(?P<value>\d+)")["value"]
        return found.cast(pa.int64())


def _nonzero(numbers: pa.Int64Array) -> pa.Int64Array:
    return pc.if_else(pc.equal(numbers, 0), _NO_NUMBER, numbers)


def _given(texts: pa.StringArray) -> pa.StringArray:
    """Empty as null."""
    return pc.if_else(pc.equal(texts, ""), _NO_TEXT, texts)
