"""How much of a workload 2.0 can be asked: the words for it and their weight.

Apart from `prepare` because the result outlives the run that made it: any prepared workload has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from replay.workload import Workload


class CoverageWord(StrEnum):
    """What prepare did to a template."""

    TRANSLATED = "translated"
    UNCHANGED = "unchanged"
    OVERRIDDEN = "overridden"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateCoverage:
    """One template's word with the weight it has in the workload."""

    template_id: str
    word: CoverageWord
    note: str | None
    statements: int
    total_duration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """One word's weight; shares are of all, and None where all is nothing."""

    word: CoverageWord
    templates: int
    statements: int
    statements_share: float | None
    total_duration_us: int
    time_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The coverage of every template, most time first."""

    templates: tuple[TemplateCoverage, ...]
    unused_overrides: tuple[int, ...] = ()
    """Lines of overrides in the places file that no template of this workload needed."""

    def rows(self) -> list[CoverageRow]:
        """One row a word."""
        all_statements = sum(each.statements for each in self.templates)
        all_us = sum(each.total_duration_us for each in self.templates)
        rows = []
        for word in CoverageWord:
            of_word = [each for each in self.templates if each.word is word]
            statements = sum(each.statements for each in of_word)
            total_us = sum(each.total_duration_us for each in of_word)
            rows.append(
                CoverageRow(
                    word=word,
                    templates=len(of_word),
                    statements=statements,
                    statements_share=statements / all_statements if all_statements else None,
                    total_duration_us=total_us,
                    time_share=total_us / all_us if all_us else None,
                )
            )
        return rows

    def unsupported(self) -> list[TemplateCoverage]:
        """The templates to rewrite first, most time first."""
        return [each for each in self.templates if each.word is CoverageWord.UNSUPPORTED]

    def as_json(self) -> dict[str, Any]:
        """One document with the rows and each template that has a note."""
        return {
            "coverage": [asdict(row) for row in self.rows()],
            "notes": [asdict(each) for each in self.templates if each.note],
            "unused_overrides": list(self.unused_overrides),
        }


def coverage_of(prepared: Workload, *, unused_overrides: Iterable[int] = ()) -> Coverage:
    """The coverage that a prepared workload's templates tell."""
    columns = ["template_id", "coverage", "note", "statements", "total_duration_us"]
    templates = tuple(
        TemplateCoverage(word=CoverageWord(row.pop("coverage")), **row)
        for row in prepared.templates(columns).to_pylist()
    )
    return Coverage(templates=templates, unused_overrides=tuple(sorted(unused_overrides)))


def coverage_text(coverage: Coverage) -> str:
    """The table for people: shares of executions and time, and what to rewrite first."""
    lines = [f"{'':12}{'templates':>10}{'statements':>12}{'share':>8}{'of time':>9}"]
    for row in coverage.rows():
        lines.append(
            f"{row.word:12}{row.templates:>10,}{row.statements:>12,}"
            f"{_percent(row.statements_share):>8}{_percent(row.time_share):>9}"
        )
    unsupported = coverage.unsupported()
    if unsupported:
        lines += ["", "to rewrite first, by time on 1.0:"]
        lines += [
            f"  {each.template_id}  {each.statements:>7,} × "
            f"{each.total_duration_us / 1e6:>8.2f} s  {each.note}"
            for each in unsupported[:_SHOWN_AT_MOST]
        ]
        if len(unsupported) > _SHOWN_AT_MOST:
            lines.append(f"  and {len(unsupported) - _SHOWN_AT_MOST} more")
    if coverage.unused_overrides:
        listed = ", ".join(map(str, coverage.unused_overrides))
        lines += ["", f"overrides that no template needed, at lines {listed} of the places file"]
    return "\n".join(lines)


_SHOWN_AT_MOST = 10


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
