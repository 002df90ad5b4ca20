"""A workload in 1.0's dialect and places becomes one in 2.0's.

Statements stream through in batches; what is kept in memory grows with the templates and their
shapes, not with the statements.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.errors import UsageError
from replay.kind import tables_and_kind
from replay.prepare.check import Checked, Example, check_examples
from replay.prepare.coverage import Coverage, CoverageWord, TemplateCoverage, coverage_of
from replay.prepare.cut import cut
from replay.prepare.override import Override
from replay.prepare.places import Places, read_places
from replay.prepare.relocate import relocate
from replay.prepare.translate import Translated, Translator
from replay.prepare.unsupported import UnsupportedError
from replay.template import FOLDED_LIST, normalise
from replay.workload import INCOMING, CaptureCounts, TemplateText, Workload, WorkloadWriter

FAILS_TOO = "fails on 1.0 too"
_BATCH_ROWS = 16_384
_WEIGHT = {word: weight for weight, word in enumerate(CoverageWord)}
_DIALECTS = ("postgres", "redshift", "mysql")
_TARGETS = ("postgres", "redshift")


@dataclass(slots=True)
class _Tally:
    """What was seen of one template."""

    kind: str = "other"
    statements: int = 0
    failed: int = 0
    duration_us: int = 0
    words: Counter[CoverageWord] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    example: Example | None = None
    example_weight: int = -1


def prepare(
    workload: Workload,
    out: Path,
    *,
    read: str,
    write: str,
    places: Path | None = None,
    check_url: str | None = None,
) -> Coverage:
    """Write the workload for 2.0 to `out`; returns what could be carried over.

    Ids, order, times and template ids stay those of `workload`, so that answers and times of 1.0
    and 2.0 compare. Templates without a translation keep their text and are `unsupported`.

    Raises:
        UsageError: a dialect, the places file or its overrides do not fit this workload.
        Unreachable: the target to check on does not let us in.
        Unreadable: the workload is damaged.
    """
    _refuse_misfits(workload, out, read=read, write=write)
    known = read_places(places, read=read, write=write) if places else None
    prepared_with = {"read": read, "write": write, "places_sha256": known.sha256 if known else None}
    again = _is_prepared_already(workload, prepared_with)
    preparation = _Preparation(
        workload, None if again else known, read=write if again else read, write=write
    )
    with WorkloadWriter(out) as writer:
        for batch in workload.statement_batches(rows=_BATCH_ROWS):
            writer.add_statements(preparation.batch(batch))
        checked = preparation.check(check_url) if check_url else {}
        coverage = preparation.finish(writer, checked)
        total = sum(each.statements for each in coverage.templates)
        origin = workload.manifest.get("prepared_from") if again else None
        writer.commit(
            {
                "dialect": write,
                "sources": workload.manifest.get("sources", []),
                "timestamps": workload.manifest.get("timestamps"),
                "counts": CaptureCounts(records_read=total, captured=total).as_json(),
                "redaction": workload.manifest.get("redaction"),
                "prepared_from": origin
                or {"uri": os.fspath(workload.path), "sha256": workload.sha256},
                "prepared_with": workload.manifest["prepared_with"] if again else prepared_with,
            }
        )
    return coverage


class _Preparation:
    def __init__(self, workload: Workload, places: Places | None, *, read: str, write: str) -> None:
        self._read, self._write = read, write
        self._sources = {row["template_id"]: row for row in workload.templates().to_pylist()}
        self._overrides = dict(places.overrides) if places else {}
        self._refuse_unknown_templates()
        pattern = places.pattern() if places else None
        self._translator = (
            Translator(
                read=read,
                write=write,
                relocate=lambda tree: relocate(tree, places),
                concerns=lambda sql: pattern.search(sql) is not None,
            )
            if places and pattern
            else Translator(read=read, write=write)
        )
        self._tallies: dict[str, _Tally] = {template_id: _Tally() for template_id in self._sources}

    def batch(self, batch: pa.RecordBatch) -> pa.Table:
        """One batch of statements with their new texts."""
        table = pa.Table.from_batches([batch]).drop_columns(["statement_id"])
        columns = ("template_id", "sql", "kind", "error", "duration_us", "params")
        texts = [
            self._statement(*row)
            for row in zip(*(table.column(name).to_pylist() for name in columns), strict=True)
        ]
        position = INCOMING.get_field_index("sql")
        texts_column = pa.array(texts, pa.string())
        # DuckDB writes columns without nulls as required ones; a writer takes one schema.
        return table.set_column(position, INCOMING.field("sql"), texts_column).cast(INCOMING)

    def _statement(
        self,
        template_id: str,
        sql: str,
        kind: str,
        error: str | None,
        duration_us: int | None,
        params: list[str | None] | None,
    ) -> str:
        override = self._overrides.get(template_id)
        if override is not None:
            done, word = self._override(sql, override), CoverageWord.OVERRIDDEN
        else:
            done = self._translator.translate(sql)
            word = CoverageWord.TRANSLATED if done.changed else CoverageWord.UNCHANGED
        if done.reason is not None:
            word = CoverageWord.UNSUPPORTED
        tally = self._tallies.setdefault(template_id, _Tally())
        tally.statements += 1
        tally.duration_us += duration_us or 0
        tally.words[word] += 1
        if error is not None:
            tally.failed += 1
        if done.reason is not None:
            tally.reasons[done.reason] += 1
        elif done.note is not None:
            tally.notes[done.note] += 1
        weight = 2 * (done.reason is None) + (error is None)
        if weight > tally.example_weight:
            tally.kind, tally.example_weight = kind, weight
            tally.example = Example(
                template_id=template_id,
                kind=kind,
                sql=done.sql,
                params=None if params is None else tuple(params),
            )
        return done.sql

    def _override(self, sql: str, override: Override) -> Translated:
        statement = cut(sql, dialect=self._read)
        literals = self._translator.literals(statement)
        try:
            text = override.render(statement, literals, dialect=self._read)
        except UnsupportedError as error:
            return Translated(sql, changed=False, reason=str(error))
        return Translated(text, changed=True, note=override.note)

    def check(self, url: str) -> dict[str, Checked]:
        """What the target says to one statement of each template that has a text for it."""
        examples = (
            tally.example
            for _, tally in sorted(self._tallies.items())
            if tally.example is not None and (not tally.reasons or _always_failed(tally))
        )
        return check_examples(url, examples)

    def finish(self, writer: WorkloadWriter, checked: dict[str, Checked]) -> Coverage:
        """Write the templates; returns their coverage."""
        found = []
        for template_id, tally in sorted(self._tallies.items()):
            source = self._sources.get(template_id, {})
            word, note = self._word(tally, checked.get(template_id), source)
            sql = source.get("sql", "")
            tables = source.get("tables") or []
            if tally.example is not None and word is not CoverageWord.UNCHANGED:
                sql = normalise(tally.example.sql, dialect=self._write).text
                tables = tables_and_kind(tally.example.sql, self._write)[1]
            writer.add_template(
                TemplateText(
                    template_id=template_id,
                    sql=sql,
                    kind=source.get("kind") or tally.kind,
                    tables=tables,
                    coverage=word.value,
                    note=note,
                    source_sql=source.get("source_sql") or source.get("sql"),
                )
            )
            found.append(
                TemplateCoverage(
                    template_id=template_id,
                    word=word,
                    note=note,
                    statements=tally.statements,
                    total_duration_us=tally.duration_us,
                )
            )
        unused = [
            override.place
            for template_id, override in self._overrides.items()
            if template_id not in self._sources
        ]
        return coverage_of(found, unused_overrides=unused)

    def _word(
        self, tally: _Tally, checked: Checked | None, source: dict[str, Any]
    ) -> tuple[CoverageWord, str | None]:
        word = max(tally.words, key=_WEIGHT.__getitem__, default=CoverageWord.UNCHANGED)
        note = _most_common(tally.notes)
        if source.get("coverage"):
            # Prepared before with the same places: what was found then still holds.
            word, note = CoverageWord(source["coverage"]), source.get("note")
        refused = checked.refused if checked else None
        if tally.reasons:
            note = _most_common(tally.reasons)
            count = tally.reasons.total()
            if count < tally.statements:
                note = f"{count} of {tally.statements} statements: {note}"
            refused = refused or note
            if _always_failed(tally):
                word = CoverageWord.UNCHANGED
        if refused is not None and _always_failed(tally):
            return word, f"{FAILS_TOO}: {refused}"
        if checked is not None and checked.refused is not None:
            return CoverageWord.UNSUPPORTED, f"refused by the target: {checked.refused}"
        if checked is not None and checked.note and not note:
            note = checked.note
        return word, note

    def _refuse_unknown_templates(self) -> None:
        problems = []
        for template_id, override in sorted(self._overrides.items()):
            source = self._sources.get(template_id)
            if source is None and override.required:
                problems.append(
                    f"line {override.place}: template `{template_id}` is not in the workload"
                )
            elif source is not None:
                count = source["sql"].count("?") + source["sql"].count(f"({FOLDED_LIST})")
                problems += [
                    f"line {override.place}: slot {slot + 1} does not exist: there are {count}"
                    for slot in sorted(set(override.slots))
                    if slot >= count
                ]
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise UsageError(
                f"the overrides do not fit the workload\n{listed}",
                hint="`source` in place of `template` keeps an override that some windows lack",
            )


def _refuse_misfits(workload: Workload, out: Path, *, read: str, write: str) -> None:
    if read not in _DIALECTS:
        raise UsageError(f"`{read}` is not a dialect", hint=f"--read: {', '.join(_DIALECTS)}")
    if write not in _TARGETS:
        raise UsageError(f"`{write}` is not a target", hint=f"--write: {', '.join(_TARGETS)}")
    if out.resolve() == workload.path.resolve():
        raise UsageError(f"`{out}` is the workload itself", hint="choose another directory for -o")
    dialect = workload.manifest.get("dialect")
    prepared = workload.manifest.get("prepared_with")
    if dialect is not None and dialect != read and not (prepared and dialect == write):
        raise UsageError(
            f"`{workload.path}` is in {dialect}, not in {read}", hint=f"use --read {dialect}"
        )


def _is_prepared_already(workload: Workload, prepared_with: dict[str, Any]) -> bool:
    earlier = workload.manifest.get("prepared_with")
    if earlier is None:
        return False
    same = all(earlier.get(key) == prepared_with[key] for key in ("write", "places_sha256"))
    if not same:
        raise UsageError(
            f"`{workload.path}` was prepared with other places or for another dialect",
            hint="prepare the captured workload anew",
        )
    return True


def _always_failed(tally: _Tally) -> bool:
    return tally.statements > 0 and tally.failed == tally.statements


def _most_common(texts: Counter[str]) -> str | None:
    return texts.most_common(1)[0][0] if texts else None
