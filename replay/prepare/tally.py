"""What prepare has seen of one template, and the word that it deserves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replay.kind import tables_and_kind
from replay.prepare.check import Missing, Refusal
from replay.prepare.coverage import CoverageWord, TemplateCoverage
from replay.prepare.override import Override
from replay.prepare.translate import Translated
from replay.template import normalise
from replay.workload_writer import TemplateText

FAILS_TOO = "fails on 1.0 too"


@dataclass(slots=True)
class Tally:
    """One template's statements so far."""

    source: Mapping[str, Any]
    """Its row of the source's templates.parquet."""
    override: Override | None
    refusal: Refusal | None = None
    """What the target said about an example."""
    statements: int = 0
    failed: int = 0
    duration_us: int = 0
    changed: bool = False
    notes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    users: set[str | None] = field(default_factory=set)
    sql: str | None = None
    """The first text for 2.0."""

    def add(
        self, done: Translated, *, error: str | None, duration_us: int | None, user: str | None
    ) -> None:
        """Count one statement that stays in the workload."""
        self.statements += 1
        self.failed += error is not None
        self.duration_us += duration_us or 0
        self.users.add(user)
        self.changed |= done.changed
        if done.reason is not None:
            self.reasons[done.reason] += 1
            return
        if done.note is not None:
            self.notes[done.note] += 1
        if self.sql is None:
            self.sql = done.sql

    def template(self, *, dialect: str) -> TemplateText:
        """Its row for 2.0."""
        word, note = self.word()
        sql, tables, kind = self.source["sql"], self.source["tables"], self.source["kind"]
        if self.sql is not None and word is not CoverageWord.UNCHANGED:
            sql = normalise(self.sql, dialect=dialect).text
            kind, tables = tables_and_kind(self.sql, dialect)
        return TemplateText(
            template_id=self.source["template_id"],
            sql=sql,
            kind=kind,
            tables=tables,
            coverage=word.value,
            note=note,
            source_sql=self.source["source_sql"] or self.source["sql"],
        )

    def coverage(self) -> TemplateCoverage:
        """Its share of the coverage report."""
        word, note = self.word()
        unsupported = word is CoverageWord.UNSUPPORTED
        return TemplateCoverage(
            template_id=self.source["template_id"],
            word=word,
            note=note,
            construct=self._construct() if unsupported else None,
            sqlstate=self.refusal.sqlstate if unsupported and self.refusal else None,
            statements=self.statements,
            total_duration_us=self.duration_us,
            users=len(self.users),
            sql=self.source["source_sql"] or self.source["sql"],
        )

    def missing(self) -> tuple[Missing, ...]:
        """What the target lacks for this template."""
        return self.refusal.missing if self.refusal else ()

    def _construct(self) -> str:
        if self.reasons:
            return self.reasons.most_common(1)[0][0]
        return self.refusal.text if self.refusal else str(self.source["note"])

    def word(self) -> tuple[CoverageWord, str | None]:
        """What was done to it, and what a reader should know."""
        if self.source["coverage"]:
            # Prepared before with the same places: what was found then still holds.
            word, note = CoverageWord(self.source["coverage"]), self.source["note"]
        elif self.reasons:
            word, note = CoverageWord.UNSUPPORTED, self._construct()
            if self.reasons.total() < self.statements:
                note = f"{self.reasons.total()} of {self.statements} statements: {note}"
        else:
            changed = CoverageWord.OVERRIDDEN if self.override else CoverageWord.TRANSLATED
            word = changed if self.changed else CoverageWord.UNCHANGED
            note = self.notes.most_common(1)[0][0] if self.notes else None
        refused = self.refusal.text if self.refusal else None
        always_failed = 0 < self.statements == self.failed
        if always_failed and (refused or self.reasons):
            word = CoverageWord.UNCHANGED if self.reasons else word
            return word, f"{FAILS_TOO}: {refused or note}"
        if refused:
            return CoverageWord.UNSUPPORTED, f"refused by the target: {refused}"
        return word, note
