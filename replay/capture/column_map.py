"""What the columns of a log that is a table mean: the file of `--columns`.

Any system that can export its query history as CSV, JSON lines or Parquet is captured with one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from sqlglot.dialects.dialect import Dialects

from replay.capture.stamp import zone_named
from replay.errors import UsageError

EXAMPLE = """\
[columns]
sql = "query_text"
at = "start_time"
session = "session_id"
duration = "elapsed"

[options]
dialect = "postgres"
duration_unit = "ms"
"""
"""A small map."""

REQUIRED = ("sql", "at")
MEANINGS = (
    *REQUIRED,
    *"ended session user database application duration rows error params".split(),
)
"""What a column can be; `ended` is when a statement ended, and gives durations where there are
none."""

UNITS_US: Mapping[str, float] = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
"""Microseconds in each unit."""
_CHOICES: Mapping[str, Collection[str]] = {
    "dialect": sorted(each.value for each in Dialects if each.value),
    "stamp": ("start", "end"),
    "time_unit": tuple(UNITS_US),
    "duration_unit": tuple(UNITS_US),
}
_OPTIONS = (*_CHOICES, "timezone", "delimiter", "null")


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Columns by what they mean, and how their values are written."""

    path: Path
    columns: Mapping[str, str]
    """The log's name of each of MEANINGS that it has."""
    dialect: str = "postgres"
    ends: bool = False
    """Stamps are when statements ended."""
    time_unit: str | None = None
    """Of stamps that are numbers since the epoch; other stamps are texts."""
    duration_unit: str | None = None
    zone: tzinfo | None = None
    """Of stamps that name none; UTC if None."""
    delimiter: str = ","
    null: tuple[str, ...] = ()
    """Texts that stand for no value, besides the empty one."""
    notes: tuple[str, ...] = ()
    """What a user must know of what the map leaves open."""

    @property
    def meaning(self) -> str:
        """What stamps mean: see `Reader`."""
        if not self.ends:
            return "start"
        return "derived" if "duration" in self.columns else "end"

    def absent(self, known: Iterable[str], *, among: Iterable[str] = MEANINGS) -> list[str]:
        """One phrase for each column that a log with columns `known` lacks."""
        names = set(known)
        return [
            f"no column `{self.columns[meaning]}`{nearest(self.columns[meaning], names)}"
            for meaning in among
            if meaning in self.columns and self.columns[meaning] not in names
        ]

    def wrong(self, problem: str, *, hint: str) -> UsageError:
        """The error of a log that this map does not fit."""
        return UsageError(f"`{self.path}` does not fit the log: {problem}", hint=hint)


def read_column_map(path: Path | None) -> ColumnMap:
    """Read and check the file of `--columns`.

    Raises:
        UsageError: there is none, it cannot be read, or has mistakes, all of which it names.
    """
    if path is None:
        raise UsageError(
            "csv, jsonl and parquet need a map of their columns",
            hint=f"say what the columns mean with --columns map.toml, for example\n\n{EXAMPLE}",
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be read", hint=f"a map looks like\n\n{EXAMPLE}"
        ) from error
    except ValueError as error:
        raise UsageError(f"`{path}` is not TOML", hint=f"a map looks like\n\n{EXAMPLE}") from error
    problems: list[str] = []
    tables = _known(document, ("columns", "options"), "", problems)
    for name in ("columns", "options"):
        if not isinstance(tables.get(name, {}), dict):
            problems.append(f"`{name}`: must be a table")
            tables[name] = {}
    columns = _columns(tables.get("columns", {}), problems)
    options = _options(tables.get("options", {}), columns, problems)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(
            f"`{path}` has {len(problems)} problem{'s' * (len(problems) > 1)}\n{listed}",
            hint=f"a map looks like\n\n{EXAMPLE}",
        )
    return ColumnMap(path=path, columns=columns, **options)


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by an unknown name, as the end of a message; case is ignored."""
    by_lower = {each.lower(): each for each in sorted(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3)
    return f", nearest: {', '.join(f'`{by_lower[each]}`' for each in close)}" if close else ""


def _known(
    table: Mapping[str, Any], names: Collection[str], prefix: str, problems: list[str]
) -> dict[str, Any]:
    """The entries of a table that have a meaning."""
    for key in table:
        if key not in names:
            close = nearest(key, names) or f", keys are {', '.join(names)}"
            problems.append(f"`{prefix}{key}`: no such key{close}")
    return {key: value for key, value in table.items() if key in names}


def _columns(table: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    columns = _known(table, MEANINGS, "columns.", problems)
    problems += [f"`columns.{key}`: is missing" for key in REQUIRED if key not in columns]
    for key, value in columns.items():
        if not isinstance(value, str) or not value:
            problems.append(f"`columns.{key}`: must be the name of a column")
    if "ended" in columns and "duration" in columns:
        problems.append("`columns.ended`: says the same as `columns.duration`; name one of them")
    return columns


def _options(
    table: Mapping[str, Any], columns: Mapping[str, str], problems: list[str]
) -> dict[str, Any]:
    options = _known(table, _OPTIONS, "options.", problems)
    for key, choices in _CHOICES.items():
        value = options.get(key)
        if key in options and value not in choices:
            close = nearest(value, choices) if isinstance(value, str) else ""
            problems.append(f"`options.{key}`: must be one of {', '.join(choices)}{close}")
    if "duration" in columns and "duration_unit" not in options:
        problems.append("`options.duration_unit`: is missing; durations are in s, ms, us or ns")
    delimiter = options.get("delimiter", ",")
    if not (
        isinstance(delimiter, str) and len(delimiter.encode()) == 1 and delimiter not in '"\r\n'
    ):
        problems.append('`options.delimiter`: must be one character, such as "," or "\\t"')
    null = options.pop("null", [])
    if not (isinstance(null, list) and all(isinstance(text, str) for text in null)):
        problems.append("`options.null`: must be a list of texts")
        null = []
    ends = options.pop("stamp", "start") == "end"
    if ends and "ended" in columns:
        problems.append("`columns.ended`: `columns.at` is the end already, says `options.stamp`")
    if (zone := options.pop("timezone", None)) is not None:
        try:
            options["zone"] = zone_named(str(zone))
        except UsageError as error:
            problems.append(f"`options.timezone`: {error}; {error.hint}")
    notes = []
    if "session" not in columns:
        notes.append(
            "no column tells sessions apart, so each statement is a session of its own and may run "
            "beside any other; name one in `columns.session`"
        )
    if "dialect" not in options:
        notes.append("SQL is taken to be PostgreSQL's; say whose it is in `options.dialect`")
    return {**options, "null": tuple(null), "ends": ends, "notes": tuple(notes)}
