"""PostgreSQL's stderr log inside another log: syslog, and Google Cloud's JSON entries.

syslog deals a record out line by line, `[4-1]`, `[4-2]` …, with those of other processes in
between, cuts long lines (only a line that really began in the text has a tab before it) and shows
a tab as `#011`; PostgreSQL manual, 19.8.1; write_syslog in elog.c. Cloud SQL has each line as an
entry's `textPayload`; entries of older instances have the time in the entry alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import bytes_of, extract, line_starts, mask, strings_at, whole_lines
from replay.capture.postgres.log_line_prefix import LogLinePrefix, find_prefix
from replay.capture.postgres.stderr import PostgresStderr
from replay.capture.record import Bools, Ints, ReaderOptions, Recognised, quarantined

_SYSLOG = (
    r"^(?:<\d+>)?(?:\d )?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
    r"[^\s\[]+\[(?P<pid>\d+)\]: (?:\[\d+(?:-\d+)?\] )?(?P<text>[^\r\n]*)\r?\n?$"
)
_TIMELESS = r"^\[\d+\]: "
_LINES_TRIED = 500


@dataclass
class _Lines:
    """Lines of the inner log: their text, whose they are, where they stand, whether the next one
    could not be read."""

    text: pa.StringArray
    owner: Ints
    line: Ints
    broken: Bools

    def take(self, rows: Ints) -> _Lines:
        text = self.text.take(pa.array(rows))
        return _Lines(text, self.owner[rows], self.line[rows], self.broken[rows])

    def after(self, earlier: _Lines) -> _Lines:
        return _Lines(
            pa.concat_arrays([earlier.text, self.text]),
            np.concatenate([earlier.owner, self.owner]),
            np.concatenate([earlier.line, self.line]),
            np.concatenate([earlier.broken, self.broken]),
        )


@dataclass
class PostgresWrapped(PostgresStderr):
    """Reads a stderr log whose lines stand in syslog's (`syslog`) or in JSON entries (`json`)."""

    blocks_alone: ClassVar[bool] = False
    wrapper: str = "syslog"
    _waiting: _Lines | None = field(default=None, compare=False, repr=False)

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: lines of syslog or entries with `textPayload`, and a prefix inside them."""
        lines = head.decode(errors="replace").split("\n")[:_LINES_TRIED]
        for wrapper, unwrapped in (("syslog", _from_syslog(lines)), ("json", _from_json(lines))):
            texts = [text for text in unwrapped if text]
            if options.log_line_prefix is not None:
                prefix = LogLinePrefix.of(options.log_line_prefix)
                known = prefix if any(re.match(prefix.head, text) for text in texts) else None
            else:
                known = find_prefix(texts)
            if known is not None:
                evidence = f"{_NAMES[wrapper]} hold lines with log_line_prefix `{known.text}`"
                return Recognised(cls(options, known, wrapper=wrapper), evidence)
        return None

    def adopt(self, other: Self) -> bool:
        """Logs with the same prefix in the same wrapper."""
        return self.wrapper == other.wrapper and super().adopt(other)

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Lines: what a record is, is seen when they are unwrapped."""
        end = whole_lines(block, last=last)
        starts = line_starts(block[:end]) if end else np.zeros(0, dtype=np.int64)
        return starts, end

    def parse(self, records: pa.StringArray, lines: Ints, *, last: bool) -> pa.Table:
        """Records put together again; each process's last one waits for its further lines."""
        texts, owner = _unwrap(records, self.wrapper)
        fits = mask(texts.is_valid())
        tables = [quarantined(lines[~fits], f"no line of {_NAMES[self.wrapper]}")]
        broken = np.append(np.diff(lines) > 1, False)[: len(lines)]
        fresh = _Lines(texts, owner, lines, broken).take(np.flatnonzero(fits))
        if self._waiting is not None:
            fresh = fresh.after(self._waiting)
            self._waiting = None
        rows = fresh.take(np.argsort(fresh.owner, kind="stable"))
        begins = mask(pc.match_substring_regex(rows.text, self.prefix.head))
        begins[1:] |= rows.owner[1:] != rows.owner[:-1]
        begins[:1] = True
        if not last:
            rows, begins = self._keep_back(rows, begins)
        if len(rows.line):
            tables.append(self._parse_lines(rows, begins))
        return pa.concat_tables(tables).sort_by("line")

    def _keep_back(self, rows: _Lines, begins: Bools) -> tuple[_Lines, Bools]:
        """All but each process's last message and what follows it."""
        main = mask(pc.match_substring_regex(rows.text, self.prefix.main))
        owners, first = np.unique(rows.owner, return_index=True)
        latest = np.maximum.accumulate(np.where(main, np.arange(len(main)), -1))
        ends = np.append(first[1:], len(main)) - 1
        # Lines of a process that has begun no message wait for none.
        from_here = np.where(latest[ends] >= first, latest[ends], ends + 1)
        waits = np.arange(len(main)) >= from_here[np.searchsorted(owners, rows.owner)]
        self._waiting = rows.take(np.flatnonzero(waits))
        return rows.take(np.flatnonzero(~waits)), begins[~waits]

    def _parse_lines(self, rows: _Lines, begins: Bools) -> pa.Table:
        follows = np.append(~begins[1:], False)[: len(begins)]
        tabbed = np.append(mask(pc.starts_with(rows.text, "\t"))[1:], False)[: len(begins)]
        cut = follows & ~tabbed & (self.wrapper == "syslog")
        ends = pc.if_else(pa.array(cut), "", "\n")
        ended = pc.binary_join_element_wise(rows.text, ends, "")
        sizes = pc.binary_length(ended).to_numpy().astype(np.int64)
        first = np.flatnonzero(begins)
        starts = (np.cumsum(sizes) - sizes)[first]
        texts = strings_at(bytes_of(ended), starts).cast(pa.string())
        whole = ~np.logical_or.reduceat(rows.broken, first)
        table = super().parse(texts.filter(pa.array(whole)), rows.line[first[whole]], last=True)
        bad = quarantined(rows.line[first[~whole]], "cut by a line that cannot be read")
        return pa.concat_tables([table, bad])


_NAMES = {"syslog": "lines of syslog", "json": "JSON entries with textPayload"}


def _unwrap(lines: pa.StringArray, wrapper: str) -> tuple[pa.StringArray, Ints]:
    """The text inside each line, null where the line is no such, and the process it is of."""
    nobody = np.zeros(len(lines), dtype=np.int64)
    if wrapper == "json":
        return pa.array(_from_json(lines.to_pylist()), type=pa.string()), nobody
    found = extract(lines, _SYSLOG)
    pid = pc.fill_null(pc.if_else(found["pid"].is_valid(), found["pid"], "0"), "0")
    text = pc.replace_substring(
        pc.replace_substring_regex(found["text"], "^#011", "\t"), "#011", "\t"
    )
    return text, pid.cast(pa.int64()).to_numpy()


def _from_syslog(lines: list[str]) -> list[str | None]:
    texts: list[str | None] = _unwrap(pa.array(lines, type=pa.string()), "syslog")[0].to_pylist()
    return texts


def _from_json(lines: list[str]) -> list[str | None]:
    return [_payload(line) for line in lines]


def _payload(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    text = entry.get("textPayload") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        return None
    text = text.removesuffix("\n")
    if re.match(_TIMELESS, text):
        stamp = str(entry.get("timestamp", "")).replace("T", " ")
        return f"{stamp[:19]}.{(stamp[20:23].rstrip('Z') or '0').ljust(3, '0')} UTC {text}"
    return text
