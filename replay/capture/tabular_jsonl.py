"""Logs in JSON lines, whose columns a map explains."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import line_starts, mask, whole_lines
from replay.capture.column_map import REQUIRED, read_column_map
from replay.capture.column_values import members_of
from replay.capture.record import Ints, ReaderOptions, Recognised, quarantined
from replay.capture.tabular import FIRST_ROWS, Columns, TabularText, skipped


@dataclass
class TabularJsonl(TabularText):
    """Reads JSON lines: an object a line."""

    name: ClassVar[str] = "jsonl"

    @classmethod
    def recognise(cls, head: bytes, options: ReaderOptions) -> Recognised | None:
        """Evidence: a line is an object that has columns of the map.

        Raises:
            UsageError: the map is missing or wrong, or the log lacks some of its columns.
        """
        if options.columns is None and not options.chosen:
            return None
        table = read_column_map(options.columns)
        lines = head.split(b"\n")[:FIRST_ROWS]
        objects = [found for line in lines if (found := _object(line)) is not None]
        names = {name for each in objects for name in _paths(each)}
        if not options.chosen and not names & set(table.columns.values()):
            return None
        if absent := table.absent(names, among=REQUIRED):
            raise table.wrong(
                ", ".join(absent),
                hint="the first lines have " + ", ".join(f"`{name}`" for name in sorted(names)[:50])
                if names
                else "none of the first lines is a JSON object",
            )
        reader = cls(table, options.zone)
        reader.notes |= {
            f"the log's first rows have {phrase}; `{table.path}` may misspell it"
            for phrase in table.absent(names)
        }
        reader.look_at_head(head)
        return Recognised(reader, f"its first lines are objects with columns of {table.path}")

    def split(self, block: bytes, *, last: bool) -> tuple[Ints, int]:
        """Every line is a record: newlines in texts are escaped."""
        end = whole_lines(block, last=last)
        return line_starts(block[:end]) if end else np.zeros(0, dtype=np.int64), end

    def cells(self, records: pa.StringArray, lines: Ints) -> tuple[Ints, Columns, list[pa.Table]]:
        """Lines that are objects."""
        meanings = list(self.columns.columns)
        values, good = members_of(records, list(self.columns.columns.values()))
        blank = ~mask(pc.match_substring_regex(records, r"\S"))
        bad = ~good & ~blank
        sizes = pc.utf8_length(records.filter(pa.array(bad))).to_pylist()
        others = [
            skipped(lines[blank], "blank line"),
            quarantined(lines[bad], "not a JSON object", [f"{n} characters" for n in sizes]),
        ]
        columns = dict(zip(meanings, values, strict=True))
        return lines[good], columns, [table for table in others if len(table)]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _paths(document: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in document.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
