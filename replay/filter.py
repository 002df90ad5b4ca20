"""Which statements to keep; what is left out is counted by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools
from replay.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A window, users, databases, applications, kinds, templates, and RE2 patterns of the text."""

    since: datetime | None = None
    until: datetime | None = None
    users: frozenset[str] = frozenset()
    databases: frozenset[str] = frozenset()
    applications: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    templates: frozenset[str] = frozenset()
    include: str | None = None
    exclude: str | None = None

    def __post_init__(self) -> None:
        for option, pattern in (("--include", self.include), ("--exclude", self.exclude)):
            try:
                pc.match_substring_regex(pa.array([""]), pattern or "")
            except pa.ArrowInvalid as error:
                raise UsageError(
                    f"`{option}` is not a regular expression that can be used",
                    hint="it is RE2's kind: no look-around, no back references",
                ) from error

    def keep(self, statements: pa.Table) -> tuple[pa.Table, Counter[str]]:
        """The statements that are wanted, and why the others are not."""
        left_out: Counter[str] = Counter()
        kept = np.ones(len(statements), dtype=np.bool_)
        for reason, wanted in self._conditions(statements):
            left_out[reason] += int((kept & ~wanted).sum())
            kept &= wanted
        return (statements if kept.all() else statements.filter(pa.array(kept))), +left_out

    def _conditions(self, statements: pa.Table) -> list[tuple[str, Bools]]:
        found: list[tuple[str, Bools]] = []
        started, sql = statements["started_at"], statements["sql"]
        if self.since is not None:
            found.append(("outside window", mask(pc.greater_equal(started, self.since))))
        if self.until is not None:
            found.append(("outside window", mask(pc.less(started, self.until))))
        for name, wanted in (
            ("user", self.users),
            ("database", self.databases),
            ("application", self.applications),
            ("kind", self.kinds),
            ("template", self.templates),
        ):
            if wanted:
                column = statements["template_id" if name == "template" else name]
                is_wanted = pc.is_in(column, pa.array(sorted(wanted)))
                found.append((f"other {name}", mask(is_wanted)))
        if self.include is not None:
            found.append(("not included", mask(pc.match_substring_regex(sql, self.include))))
        if self.exclude is not None:
            found.append(("excluded", ~mask(pc.match_substring_regex(sql, self.exclude))))
        return found
