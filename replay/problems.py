"""Reads TOML that a person wrote and mistyped: every problem of a file is raised at once.

Each key is read by one call that says what it may be. What was never asked for is unknown, so
there is no list of keys to keep beside the code that reads them.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replay.errors import UsageError

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h)\s*$")
_UNIT_US = {"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "m": 60e6, "h": 3600e6}


def microseconds(text: str) -> int | None:
    """A duration such as `250ms` or `1h`; None where it is none."""
    match = _DURATION.match(text)
    return round(float(match[1]) * _UNIT_US[match[2]]) if match is not None else None


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        UsageError: it cannot be read or is not TOML; the cause carries line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"`{path}` cannot be read as TOML") from error


def settle(path: Path | str, problems: list[str], *, hint: str) -> None:
    """Raise all problems of one file as one error.

    Raises:
        UsageError: there is at least one.
    """
    if problems:
        number = f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise UsageError(f"`{path}` has {number}{lines}", hint=hint)


@dataclass
class Table:
    """One table of a file and where it stands; a wrong value is noted and gives the default."""

    content: dict[str, Any]
    where: str
    problems: list[str]
    asked: set[str] = field(default_factory=set)

    def add(self, what: str) -> None:
        """Note one problem of this table."""
        self.problems.append(f"{self.where}: {what}" if self.where else what)

    def has(self, key: str) -> bool:
        """True where the key is there; it is then a known one."""
        self.asked.add(key)
        return key in self.content

    def value(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """Whatever stands at the key."""
        return self.content[key] if self.has(key) else default

    def choose(self, key: str, allowed: Iterable[str], default: str = "") -> str:
        """One of `allowed`; without a default the key must be there."""
        if not self.has(key) and default:
            return default
        value, allowed = self.value(key), list(allowed)
        if isinstance(value, str) and value in allowed:
            return value
        self.add(f"`{key}` cannot be `{value}`: {remedy(str(value), allowed)}")
        return default

    def number(
        self, key: str, default: float = 0, *, low: float = 0, high: float = float("inf")
    ) -> float:
        """A number within [low, high]."""
        value = self.value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.add(f"`{key}` must be a number, not `{value}`")
        elif not low <= value <= high:
            self.add(f"`{key}` must be from {low:g} to {high:g}, not {value:g}")
        else:
            return float(value)
        return default

    def duration_us(self, key: str) -> int:
        """A duration such as `"250ms"` in microseconds."""
        value = self.value(key)
        found = microseconds(value) if isinstance(value, str) else None
        if found is not None:
            return found
        self.add(f'`{key}` must be a duration such as "250ms" or "3s", not `{value}`')
        return 0

    def table(self, key: str) -> Table:
        """The table at the key, empty where there is none."""
        value = self.value(key, {})
        if not isinstance(value, dict):
            self.add(f"`{key}` must be a table")
            value = {}
        return Table(value, f"{self.where} {key}" if self.where else f"[{key}]", self.problems)

    def tables(self, key: str) -> list[Table]:
        """The tables of a list [[key]]."""
        value = self.value(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.add(f"`{key}` must be a list of tables: [[{key}]]")
            value = []
        return [Table(item, f"{key}[{at}]", self.problems) for at, item in enumerate(value)]

    def close(self) -> None:
        """Complain about each key that was not asked for, with the nearest one that was."""
        for key in sorted(self.content.keys() - self.asked):
            self.add(f"unknown key `{key}`: {remedy(key, sorted(self.asked))}")


def remedy(value: str, allowed: list[str]) -> str:
    """The nearest of what is allowed, or all of it."""
    near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(allowed)}"
