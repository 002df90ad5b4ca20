"""What is wrong with one TOML file, collected and raised at once.

Apart from the gates and the cost because both read TOML that a person wrote and mistyped.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replay.errors import UsageError

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h)\s*$")
_UNIT_US = {"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "m": 60e6, "h": 3600e6}


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        UsageError: it cannot be read or is not TOML; the cause carries line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"`{path}` cannot be read as TOML") from error


@dataclass
class Problems:
    """A list of complaints about `path`; `settle` raises them together."""

    path: Path
    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note one problem at a place such as `gate `p95``."""
        self.found.append(f"{where}: {what}" if where else what)

    def check_keys(self, table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
        """Complain about each unknown key, with the nearest allowed one."""
        allowed = sorted(allowed)
        for key in table:
            if key in allowed:
                continue
            near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
            remedy = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(allowed)}"
            self.add(where, f"unknown key `{key}`: {remedy}")

    def choose(self, value: object, allowed: Iterable[str], where: str, key: str) -> str | None:
        """`value` if it is one of `allowed`, else a complaint and None."""
        allowed = list(allowed)
        if isinstance(value, str) and value in allowed:
            return value
        near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.6)
        remedy = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(allowed)}"
        self.add(where, f"`{key}` cannot be `{value}`: {remedy}")
        return None

    def number(
        self, value: object, where: str, key: str, *, low: float = 0, high: float = float("inf")
    ) -> float | None:
        """`value` as a number within [low, high], else a complaint and None."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.add(where, f"`{key}` must be a number, not `{value}`")
            return None
        if not low <= value <= high:
            self.add(where, f"`{key}` must be from {low:g} to {high:g}, not {value:g}")
            return None
        return float(value)

    def duration_us(self, value: object, where: str, key: str) -> int | None:
        """A duration such as `"250ms"` in microseconds, else a complaint and None."""
        match = _DURATION.match(value) if isinstance(value, str) else None
        if match is None:
            self.add(where, f'`{key}` must be a duration such as "250ms" or "3s", not `{value}`')
            return None
        return round(float(match[1]) * _UNIT_US[match[2]])

    def settle(self, *, hint: str) -> None:
        """Raise every problem found as one error.

        Raises:
            UsageError: there is at least one.
        """
        if not self.found:
            return
        number = len(self.found)
        lines = "".join(f"\n  {problem}" for problem in self.found)
        raise UsageError(
            f"`{self.path}` has {number} {'problem' if number == 1 else 'problems'}{lines}",
            hint=hint,
        )
