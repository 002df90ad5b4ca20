"""What the columns of a log that is a table mean: the file of `--columns`.

Any system that can export its query history as CSV, JSON lines or Parquet is captured with one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from sqlglot.dialects.dialect import Dialects

from replay.capture.stamp import zone_named
from replay.errors import UsageError

EXAMPLE = """a map looks like

[columns]
sql = "query_text"
at = "start_time"
session = "session_id"
duration = "elapsed"

[options]
dialect = "postgres"
duration_unit = "ms"
"""
NEEDED = ("sql", "at")
MEANINGS = (*NEEDED, *"session user database application duration rows error params".split())
"""What a column can be."""
UNITS_US: Mapping[str, float] = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
"""Microseconds in each unit."""

_CHOICES: Mapping[str, Collection[str]] = {
    "dialect": [each.value for each in Dialects if each.value],
    "stamp": ("start", "end"),
    "time_unit": UNITS_US,
    "duration_unit": UNITS_US,
}
_KEYS = (
    *(f"columns.{meaning}" for meaning in MEANINGS),
    *(f"options.{option}" for option in (*_CHOICES, "timezone", "delimiter", "null")),
)


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Columns by what they mean, and how their values are written."""

    path: Path
    columns: Mapping[str, str]
    """The log's name of each of MEANINGS that it has."""
    dialect: str = "postgres"
    stamp: str = "start"
    """Which of a statement `at` is: its start or its end."""
    time_unit: str | None = None
    """Of stamps that are numbers since 1970; without one, stamps are texts."""
    duration_unit: str = "us"
    timezone: tzinfo | None = None
    """Of stamps that name none; UTC if None."""
    delimiter: str = ","
    null: tuple[str, ...] = ()
    """Texts that stand for no value, besides the empty one."""
    notes: frozenset[str] = frozenset()
    """What a user must know of what the map leaves open."""

    def check(self, names: Collection[str], *, needed: Collection[str] = MEANINGS) -> set[str]:
        """Notes on columns that a log with columns `names` lacks.

        Raises:
            UsageError: one of them is `needed`.
        """
        lacking = {
            meaning: f"no column `{name}`{_but(name, names)}"
            for meaning, name in self.columns.items()
            if name not in names
        }
        if not lacking.keys().isdisjoint(needed):
            raise self.misfit("; ".join(lacking.values()), hint="name its columns as it does")
        return {f"the log begins with {lack}; look at `{self.path}`" for lack in lacking.values()}

    def misfit(self, problem: str, *, hint: str) -> UsageError:
        """The error of a log that this map does not fit."""
        return UsageError(f"`{self.path}` does not fit the log: {problem}", hint=hint)


def read_column_map(path: Path | None) -> ColumnMap:
    """Read and check the file of `--columns`.

    Raises:
        UsageError: there is none, it cannot be read, or has mistakes, all of which it names.
    """
    if path is None:
        problem = "csv, jsonl and parquet need a map of their columns: --columns map.toml"
        raise UsageError(problem, hint=EXAMPLE)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path}` cannot be read as TOML", hint=EXAMPLE) from error
    if problems := [*_problems(document)]:
        raise UsageError("\n  ".join([f"`{path}` has mistakes", *problems]), hint=EXAMPLE)
    columns, options = document["columns"], document.get("options", {})
    notes = []
    if "session" not in columns:
        notes.append(
            "no column tells sessions apart, so each statement is a session of its own and may run "
            "beside any other; name one in `columns.session`"
        )
    if "dialect" not in options:
        notes.append("SQL is taken to be PostgreSQL's; say whose it is in `options.dialect`")
    if "timezone" in options:
        options["timezone"] = zone_named(options["timezone"])
    options["null"] = tuple(options.get("null", ()))
    return ColumnMap(path=path, columns=columns, notes=frozenset(notes), **options)


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    given: dict[str, Any] = {}
    for name, table in document.items():
        if isinstance(table, dict):
            given |= {f"{name}.{key}": value for key, value in table.items()}
        else:
            yield f"`{name}`: must be a table"
    for key, value in given.items():
        if key not in _KEYS:
            yield f"`{key}`: no such key{_but(key, _KEYS)}"
        elif wrong := _wrong(key.partition(".")[2], value):
            yield f"`{key}`: {wrong}"
    timed = ["options.duration_unit"] if "columns.duration" in given else []
    needed = [*(f"columns.{meaning}" for meaning in NEEDED), *timed]
    yield from (f"`{key}`: is missing" for key in needed if key not in given)


def _wrong(key: str, value: Any) -> str:  # noqa: ANN401  anything that TOML has
    """What is wrong with the value of a key; empty where nothing is."""
    text = value if isinstance(value, str) else ""
    if key in MEANINGS:
        return "" if text else "must be the name of a column"
    if key == "delimiter":
        sound = len(text.encode()) == 1 and text not in '"\r\n'
        return "" if sound else 'must be one character, such as "," or "\\t"'
    if key == "null":
        sound = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if sound else "must be a list of texts"
    choices = available_timezones() if key == "timezone" else _CHOICES[key]
    return "" if text in choices else f"cannot be `{value}`{_but(text, choices)}"


def _but(name: str, known: Collection[str]) -> str:
    """What may have been meant by an unknown name, as the end of a message; case is ignored."""
    by_lower = {each.lower(): each for each in sorted(known)}
    close = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower)]
    names = ", ".join(f"`{each}`" for each in close or [*by_lower.values()][:40])
    return f", nearest: {names}" if close else f"; there are {names or 'none'}"
