"""How much of a workload 2.0 can be asked: the words for it and their weight.

`coverage.json` beside a prepared workload is `Coverage.as_json`; every table and page is a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

SCHEMA_VERSION = 1


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
    construct: str | None
    """What it founders on, where it is unsupported; equal for templates with one cure."""
    sqlstate: str | None
    """Of the target's refusal."""
    statements: int
    total_duration_us: int
    users: int
    sql: str
    """As 1.0 was asked, without literals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The weight of some of the workload; shares are of all of it, None where that is nothing."""

    templates: int
    statements: int
    statements_share: float | None
    total_duration_us: int
    time_share: float | None
    users: int
    """Who asked any of it."""
    users_share: float | None


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The coverage of every template, most time first."""

    templates: tuple[TemplateCoverage, ...]
    askers: Mapping[str, frozenset[str | None]]
    """Users by template id."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Statements left out of the workload, by reason."""
    missing: Sequence[tuple[str, str, tuple[str, ...]]] = ()
    """What 2.0 lacks: kind, name, the templates that need it."""
    unused_overrides: tuple[int, ...] = ()
    """Lines of overrides in the places file that no template of this workload needed."""
    origin: Mapping[str, Any]
    """`prepared_from`, `prepared_with` as in the manifest; `checked`: was 2.0 asked for plans."""

    @cached_property
    def _all(self) -> tuple[int, int, int]:
        return (
            sum(each.statements for each in self.templates),
            sum(each.total_duration_us for each in self.templates),
            len(self._users(self.templates)),
        )

    def share(self, templates: Iterable[TemplateCoverage]) -> Share:
        """The weight of some templates."""
        some = list(templates)
        statements = sum(each.statements for each in some)
        total_us = sum(each.total_duration_us for each in some)
        users = len(self._users(some))
        all_statements, all_us, all_users = self._all
        return Share(
            templates=len(some),
            statements=statements,
            statements_share=_part(statements, all_statements),
            total_duration_us=total_us,
            time_share=_part(total_us, all_us),
            users=users,
            users_share=_part(users, all_users),
        )

    def rows(self) -> dict[CoverageWord, Share]:
        """The weight of each word."""
        return {
            word: self.share(each for each in self.templates if each.word is word)
            for word in CoverageWord
        }

    def unsupported(self) -> list[TemplateCoverage]:
        """The templates to rewrite first, most time first."""
        return [each for each in self.templates if each.word is CoverageWord.UNSUPPORTED]

    def constructs(self) -> dict[str, Share]:
        """What unsupported templates founder on, by what a cure would win."""
        named: dict[str, list[TemplateCoverage]] = {}
        for each in self.unsupported():
            named.setdefault(each.construct or "", []).append(each)
        shares = {name: self.share(templates) for name, templates in named.items()}
        return dict(
            sorted(
                shares.items(), key=lambda item: (-item[1].total_duration_us, -item[1].statements)
            )
        )

    def _constructs_as_json(self) -> Iterator[dict[str, Any]]:
        """Each with the shares that are won once it and all before it are cured."""
        statements = total_us = 0
        all_statements, all_us, _ = self._all
        for name, share in self.constructs().items():
            statements += share.statements
            total_us += share.total_duration_us
            yield {
                "construct": name,
                **asdict(share),
                "cumulative_statements_share": _part(statements, all_statements),
                "cumulative_time_share": _part(total_us, all_us),
            }

    def lacks(self) -> list[dict[str, Any]]:
        """What 2.0 lacks, most time first: `what`, `name`, ids of `templates`, their weight."""
        by_id = {each.template_id: each for each in self.templates}
        rows = [
            {"what": what, "name": name, **asdict(self.share(map(by_id.__getitem__, keys)))}
            | {"templates": list(keys)}
            for what, name, keys in self.missing
        ]
        return sorted(rows, key=lambda row: (-row["total_duration_us"], -row["statements"]))

    def as_json(self) -> dict[str, Any]:
        """The document of coverage.json and `--json`."""
        users = self._users(self.templates)
        lacking = self._users(self.unsupported())
        return {
            "schema_version": SCHEMA_VERSION,
            **self.origin,
            "all": asdict(self.share(self.templates)),
            "covered": asdict(
                self.share(e for e in self.templates if e.word is not CoverageWord.UNSUPPORTED)
            ),
            "coverage": [{"word": word, **asdict(row)} for word, row in self.rows().items()],
            "users": {"all": len(users), "wholly_covered": len(users - lacking)},
            "skipped": dict(self.skipped),
            "constructs": list(self._constructs_as_json()),
            "missing": self.lacks(),
            "templates": [
                {**asdict(each), **_shares(self.share([each]))} for each in self.templates
            ],
            "unused_overrides": list(self.unused_overrides),
        }

    def _users(self, templates: Iterable[TemplateCoverage]) -> frozenset[str | None]:
        return frozenset().union(*(self.askers[each.template_id] for each in templates))


def coverage_text(document: Mapping[str, Any]) -> str:
    """The document as a table for people: shares, and what to rewrite first."""
    lines = [
        f"{'':12}{'templates':>10}{'statements':>12}{'share':>8}{'of time':>9}{'of users':>10}"
    ]
    lines += [
        f"{row['word']:12}{row['templates']:>10,}{row['statements']:>12,}"
        f"{_percent(row['statements_share']):>8}{_percent(row['time_share']):>9}"
        f"{_percent(row['users_share']):>10}"
        for row in document["coverage"]
    ]
    if document["skipped"]:
        lines += ["", "left out:"]
        lines += [f"  {count:>10,} × {reason}" for reason, count in document["skipped"].items()]
    constructs, users, missing = document["constructs"], document["users"], document["missing"]
    by = "statements" if document["all"]["time_share"] is None else "time"
    if constructs:
        lines += [
            "",
            f"{users['wholly_covered']:,} of {users['all']:,} users ask nothing unsupported",
            "",
            f"{'to rewrite':12}{'templates':>10}{'statements':>12}{'share':>8}{'of time':>9}"
            f"{'together':>10}",
        ]
        lines += [
            f"{row['templates']:>22,}{row['statements']:>12,}{_percent(row['statements_share']):>8}"
            f"{_percent(row['time_share']):>9}{_percent(row[f'cumulative_{by}_share']):>10}"
            f"  {row['construct']}"
            for row in constructs[:_SHOWN_AT_MOST]
        ]
        lines += _rest(constructs)
    if missing:
        lines += ["", "missing on 2.0, with the statements that need it:"]
        lines += [
            f"  {row['statements']:>10,} × {row['what']} {row['name']}"
            for row in missing[:_SHOWN_AT_MOST]
        ]
        lines += _rest(missing)
    if document["unused_overrides"]:
        listed = ", ".join(map(str, document["unused_overrides"]))
        lines += ["", f"overrides that no template needed, at lines {listed} of the places file"]
    return "\n".join(lines)


_SHOWN_AT_MOST = 10


def _rest(rows: Sequence[object]) -> list[str]:
    more = len(rows) - _SHOWN_AT_MOST
    return [f"  and {more:,} more in coverage.json"] if more > 0 else []


def _part(some: int, everything: int) -> float | None:
    return some / everything if everything else None


def _shares(share: Share) -> dict[str, float | None]:
    return {
        "statements_share": share.statements_share,
        "time_share": share.time_share,
        "users_share": share.users_share,
    }


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
