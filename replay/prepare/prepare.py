"""A workload in 1.0's dialect and places becomes one in 2.0's.

Statements stream through in batches; what is kept in memory grows with the templates and their
shapes, not with the statements.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.artefact import sha256_of
from replay.errors import UsageError
from replay.kind import tables_and_kind
from replay.prepare import DIALECTS, TARGETS
from replay.prepare.check import NOT_EXPLAINED, Example, check_examples
from replay.prepare.coverage import Coverage, CoverageWord, coverage_of
from replay.prepare.override import Override
from replay.prepare.places import read_places
from replay.prepare.translate import Translated, Translator
from replay.template import normalise
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

FAILS_TOO = "fails on 1.0 too"
_BATCH_ROWS = 16_384


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
    templates = {row["template_id"]: row for row in workload.templates().to_pylist()}
    texts = {key: row["source_sql"] or row["sql"] for key, row in templates.items()}
    known = read_places(places, read=read, write=write, templates=texts) if places else None
    manifest = workload.manifest
    origin: dict[str, Any] = {
        "prepared_from": {"uri": os.fspath(workload.path), "sha256": workload.sha256},
        "prepared_with": {
            "read": read,
            "write": write,
            "places_sha256": sha256_of(places) if places else None,
        },
    }
    if "prepared_with" in manifest:
        for key in ("write", "places_sha256"):
            if manifest["prepared_with"][key] != origin["prepared_with"][key]:
                raise UsageError(
                    f"`{workload.path}` was prepared with other places or for another dialect",
                    hint="prepare the captured workload anew",
                )
        origin = {key: manifest[key] for key in origin}
        read, known = write, None
    overrides = known.overrides if known else {}
    translator = Translator(read=read, write=write, places=known)
    tallies = {key: _Tally(templates[key], overrides.get(key)) for key in sorted(templates)}
    with WorkloadWriter(out) as writer:
        for batch in workload.statement_batches(rows=_BATCH_ROWS):
            writer.add_statements(_rewritten(batch, translator, tallies))
        examples = (tally.example for tally in tallies.values() if tally.example)
        said = check_examples(check_url, examples) if check_url else {}
        for key, tally in tallies.items():
            writer.add_template(tally.template(said.get(key), dialect=write))
        rows = sum(tally.statements for tally in tallies.values())
        prepared = writer.commit(
            {
                "dialect": write,
                **{key: manifest.get(key) for key in ("sources", "timestamps", "redaction")},
                "counts": CaptureCounts(records_read=rows, captured=rows).as_json(),
                **origin,
            }
        )
    unused = sorted(overrides[key].line for key in overrides.keys() - templates.keys())
    return coverage_of(prepared, unused_overrides=unused)


def _rewritten(
    batch: pa.RecordBatch, translator: Translator, tallies: Mapping[str, _Tally]
) -> pa.RecordBatch:
    columns = (batch.column(name).to_pylist() for name in ("template_id", "sql", "error", "params"))
    texts = []
    for template_id, sql, error, params in zip(*columns, strict=True):
        tally = tallies[template_id]
        done = translator.translate(sql, tally.override, template_id=template_id)
        tally.add(done, error, params)
        texts.append(done.sql)
    position = INCOMING.get_field_index("sql")
    return batch.drop_columns(["statement_id"]).set_column(
        position, INCOMING.field(position), pa.array(texts, pa.string())
    )


@dataclass(slots=True)
class _Tally:
    """What was seen of one template."""

    source: Mapping[str, Any]
    """Its row of templates.parquet."""
    override: Override | None
    statements: int = 0
    failed: int = 0
    changed: bool = False
    notes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    best: Example | None = None
    best_weight: int = -1

    def add(self, done: Translated, error: str | None, params: list[str | None] | None) -> None:
        self.statements += 1
        self.failed += error is not None
        self.changed |= done.changed
        if done.reason is not None:
            self.reasons[done.reason] += 1
        elif done.note is not None:
            self.notes[done.note] += 1
        weight = 2 * (done.reason is None) + (error is None)
        if weight > self.best_weight:
            self.best_weight = weight
            source = self.source
            self.best = Example(source["template_id"], source["kind"], done.sql, params)

    @property
    def always_failed(self) -> bool:
        return 0 < self.statements == self.failed

    @property
    def example(self) -> Example | None:
        """The statement to ask the target about, where it will be asked any."""
        return self.best if not self.reasons or self.always_failed else None

    def template(self, said: str | None, *, dialect: str) -> TemplateText:
        """Its new row; `said` is what the target has to say of the example."""
        word, note = self._word(said)
        sql, tables = self.source["sql"], self.source["tables"]
        if self.best is not None and word is not CoverageWord.UNCHANGED:
            sql = normalise(self.best.sql, dialect=dialect).text
            tables = tables_and_kind(self.best.sql, dialect)[1]
        return TemplateText(
            template_id=self.source["template_id"],
            sql=sql,
            kind=self.source["kind"],
            tables=tables,
            coverage=word.value,
            note=note,
            source_sql=self.source["source_sql"] or self.source["sql"],
        )

    def _word(self, said: str | None) -> tuple[CoverageWord, str | None]:
        refused = said if said != NOT_EXPLAINED else None
        if self.source["coverage"]:
            # Prepared before with the same places: what was found then still holds.
            word, note = CoverageWord(self.source["coverage"]), self.source["note"]
        elif self.reasons:
            word, note = CoverageWord.UNSUPPORTED, self.reasons.most_common(1)[0][0]
            if self.reasons.total() < self.statements:
                note = f"{self.reasons.total()} of {self.statements} statements: {note}"
        else:
            changed = CoverageWord.OVERRIDDEN if self.override else CoverageWord.TRANSLATED
            word = changed if self.changed else CoverageWord.UNCHANGED
            note = self.notes.most_common(1)[0][0] if self.notes else None
        if self.always_failed and (refused or self.reasons):
            word = CoverageWord.UNCHANGED if self.reasons else word
            return word, f"{FAILS_TOO}: {refused or note}"
        if refused:
            return CoverageWord.UNSUPPORTED, f"refused by the target: {refused}"
        return word, note or said


def _refuse_misfits(workload: Workload, out: Path, *, read: str, write: str) -> None:
    dialect = workload.manifest["dialect"]
    prepared = "prepared_with" in workload.manifest
    for fits, message, hint in (
        (read in DIALECTS, f"`{read}` is not a dialect", f"--read: {', '.join(DIALECTS)}"),
        (write in TARGETS, f"`{write}` is not a target", f"--write: {', '.join(TARGETS)}"),
        (
            out.resolve() != workload.path.resolve(),
            f"`{out}` is the workload itself",
            "choose another directory for -o",
        ),
        (
            dialect == read or (prepared and dialect == write),
            f"`{workload.path}` is in {dialect}, not in {read}",
            f"use --read {dialect}",
        ),
    ):
        if not fits:
            raise UsageError(message, hint=hint)
