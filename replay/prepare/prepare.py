"""A workload in 1.0's dialect and places becomes one in 2.0's.

Templates are decided on first, by one example each and with the target's word where it can be
asked; then statements stream through in batches. What is kept in memory grows with the templates,
their shapes and the cursors, not with the statements.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.artefact import sha256_of
from replay.errors import UsageError
from replay.filter import Filter
from replay.kind import READING
from replay.prepare import DIALECTS, TARGETS
from replay.prepare.binds import casts_everywhere, casts_needed, with_casts, with_literals
from replay.prepare.chatter import Chatter
from replay.prepare.check import Check
from replay.prepare.coverage import Coverage
from replay.prepare.cursors import Cursors, find_cursors, query_of
from replay.prepare.examples import Example, find_bind_types, find_examples
from replay.prepare.overrides_file import overrides_file
from replay.prepare.places import Places, read_places
from replay.prepare.tally import Tally
from replay.prepare.translate import Translated, Translator
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import WorkloadWriter

_BATCH_ROWS = 16_384
_FOLDED_NOTE = "a cursor's query, asked whole"
_MAY_WRITE = "may write"


def prepare(
    workload: Workload,
    out: Path,
    *,
    read: str,
    write: str,
    places: Path | None = None,
    check_url: str | None = None,
    keep: Filter | None = None,
    writes: bool = False,
    progress: Callable[[int], None] = lambda statements: None,
) -> Coverage:
    """Write the workload for 2.0 to `out`; returns what could be carried over.

    Sessions, order, times and template ids stay those of `workload`, so that answers and times of
    1.0 and 2.0 compare. Templates without a translation keep their text and are `unsupported`;
    what may write (without `writes`), chatter and what `keep` does not want are left out and
    counted.

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
    again = "prepared_with" in manifest
    if again:
        for key in ("write", "places_sha256"):
            if manifest["prepared_with"][key] != origin["prepared_with"][key]:
                raise UsageError(
                    f"`{workload.path}` was prepared with other places or for another dialect",
                    hint="prepare the captured workload anew",
                )
        origin = {key: manifest[key] for key in origin}
        read, known = write, None
    preparation = _Preparation(
        workload, templates, read=read, write=write, places=known, writes=writes, again=again
    )
    with Check(check_url, dialect=write) if check_url else nullcontext() as check:
        if check is not None:
            preparation.ask(check)
    keep = keep or Filter()
    left_out: Counter[str] = Counter()
    read_rows = 0
    with WorkloadWriter(out) as writer:
        for batch in workload.statement_batches(rows=_BATCH_ROWS):
            wanted, unwanted = keep.keep(pa.Table.from_batches([batch]))
            left_out.update(unwanted)
            for rows in wanted.to_batches():
                writer.add_statements(preparation.rewritten(rows, left_out))
            read_rows += len(batch)
            progress(read_rows)
        tallies = [tally for tally in preparation.tallies.values() if tally.statements]
        for tally in tallies:
            writer.add_template(tally.template(dialect=write))
        coverage = _coverage(tallies, left_out, known, origin | {"checked": bool(check_url)})
        writer.add_file("coverage.json", coverage.as_json())
        writer.add_file("overrides.toml", overrides_file(tallies))
        captured = sum(tally.statements for tally in tallies)
        counts = CaptureCounts(records_read=read_rows, captured=captured, skipped=left_out)
        writer.commit(
            {
                "dialect": write,
                **{key: manifest.get(key) for key in ("sources", "timestamps", "redaction")},
                "counts": counts.as_json(),
                **origin,
            }
        )
    return coverage


class _Preparation:
    """What is decided about each template, and how its statements are rewritten."""

    def __init__(
        self,
        workload: Workload,
        templates: Mapping[str, Mapping[str, Any]],
        *,
        read: str,
        write: str,
        places: Places | None,
        writes: bool,
        again: bool,
    ) -> None:
        self._read = read
        self._write = write
        self._writes = writes
        self._again = again
        overrides = places.overrides if places else {}
        self.tallies = {key: Tally(row, overrides.get(key)) for key, row in templates.items()}
        self._translator = Translator(read=read, write=write, places=places)
        self._chatter = Chatter(read=read, write=write, writes=writes)
        self._cursors = Cursors() if again else find_cursors(workload)
        self._examples = {
            key: example._replace(kind="select", sql=query)
            if (query := query_of(example.sql))
            else example
            for key, example in find_examples(workload).items()
        }
        self._types = {} if again else find_bind_types(workload)
        self._forms = {
            key: _Form(casts=casts_needed(self._examples[key].sql, types, dialect=read))
            for key, types in self._types.items()
            if self.tallies[key].override is None
        }

    def ask(self, check: Check) -> None:
        """Have the target plan an example of each template.

        Where it finds no type for the bind values, all of them are cast, or spelt out.
        """
        for key, example in self._examples.items():
            tally = self.tallies[key]
            if tally.source["coverage"] == "unsupported":
                continue
            if not self._writes and example.kind not in READING:
                continue
            for form in self._forms_to_try(key):
                row = _Row(key, example.kind, example.sql, example.params)
                done = self._one(row, form)
                if done is None or done.reason is not None:
                    break
                said = check.refusal(Example(key, row.kind, done.sql, row.params))
                if said is None or tally.refusal is None:
                    tally.refusal = said
                if said is None:
                    self._forms[key] = form
                if said is None or not said.may_lack_types:
                    break

    def _forms_to_try(self, key: str) -> list[_Form]:
        form = self._forms.get(key, _Form())
        types = self._types.get(key)
        if types is None or self.tallies[key].override is not None:
            return [form]
        everywhere = casts_everywhere(self._examples[key].sql, types, dialect=self._read)
        return [form, _Form(casts=everywhere), _Form(spelt_out=True)]

    def rewritten(self, batch: pa.RecordBatch, left_out: Counter[str]) -> pa.RecordBatch:
        """The statements that stay, as 2.0 is asked; what is left out is counted."""
        columns = {name: batch.column(name).to_pylist() for name in _TOUCHED}
        ids = batch.column("statement_id").to_pylist()
        kept: list[int] = []
        changed: dict[str, list[Any]] = {name: [] for name in _TOUCHED}
        for position, values in enumerate(zip(ids, *columns.values(), strict=True)):
            statement_id, template_id, kind, sql, params, user, duration_us, rows, error = values
            reason = self._cursors.skipped.get(statement_id)
            row = _Row(template_id, kind, sql, params)
            cursor = self._cursors.folded.get(statement_id)
            if cursor is not None:
                row.sql, row.kind = query_of(sql) or sql, "select"
                duration_us, rows, error = cursor.duration_us, cursor.rows, cursor.error
            if reason is None and not self._writes and row.kind not in READING:
                reason = f"{_MAY_WRITE}: {row.kind}"
            done = None
            if reason is None:
                done = self._one(row, self._forms.get(template_id))
                reason = row.skipped
            if reason is not None or done is None:
                left_out[reason or "skipped"] += 1
                continue
            if cursor is not None and done.reason is None:
                done = Translated(done.sql, True, note=done.note or _FOLDED_NOTE)
            self.tallies[template_id].add(done, error=error, duration_us=duration_us, user=user)
            kept.append(position)
            text = done.sql if done.reason is None else sql
            new = (template_id, row.kind, text, row.params, user, duration_us, rows, error)
            for name, value in zip(_TOUCHED, new, strict=True):
                changed[name].append(value)
        result = batch.drop_columns(["statement_id"])
        if len(kept) < len(batch):
            result = result.take(pa.array(kept, pa.int64()))
        for name in _TOUCHED:
            position = INCOMING.get_field_index(name)
            column = pa.array(changed[name], INCOMING.field(position).type)
            result = result.set_column(position, INCOMING.field(position), column)
        return result

    def _one(self, row: _Row, form: _Form | None) -> Translated | None:
        """One statement's outcome; None where it is left out, with `row.skipped` saying why."""
        if self._again:
            return Translated(row.sql, changed=False)
        tally = self.tallies[row.template_id]
        if tally.override is None:
            fate = self._chatter.fate(row.sql, kind=row.kind, tables=tally.source["tables"])
            if fate is not None:
                row.skipped = fate.skipped
                if fate.skipped is not None:
                    return None
                return Translated(fate.sql or row.sql, changed=fate.sql is not None)
        if form is not None and row.params is not None:
            row.sql = form.applied(row, self._types[row.template_id], dialect=self._read)
        done = self._translator.translate(row.sql, tally.override, template_id=row.template_id)
        if form is not None and done.reason is None and (form.casts or form.spelt_out):
            return Translated(done.sql, True, note=done.note)
        return done


_TOUCHED = ("template_id", "kind", "sql", "params", "user", "duration_us", "rows", "error")
"""Columns that prepare reads and may change."""


@dataclass(slots=True)
class _Row:
    """One statement on its way."""

    template_id: str
    kind: str
    sql: str
    params: list[str | None] | None
    skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the binds of a template are sent: as they are, cast, or spelt out."""

    casts: Mapping[int, str] = field(default_factory=dict)
    spelt_out: bool = False

    def applied(self, row: _Row, types: list[str], *, dialect: str) -> str:
        if self.spelt_out and row.params is not None:
            text = with_literals(row.sql, row.params, types, dialect=dialect)
            row.params = None
            return text
        return with_casts(row.sql, self.casts, dialect=dialect) if self.casts else row.sql


def _coverage(
    tallies: list[Tally], left_out: Counter[str], places: Places | None, origin: dict[str, Any]
) -> Coverage:
    covered = {tally.source["template_id"]: tally.coverage() for tally in tallies}
    needs: dict[tuple[str, str], list[str]] = {}
    for tally in tallies:
        for missing in tally.missing():
            needs.setdefault((missing.what, missing.name), []).append(tally.source["template_id"])
    overrides = places.overrides if places else {}
    return Coverage(
        templates=tuple(
            sorted(covered.values(), key=lambda e: (-e.total_duration_us, -e.statements))
        ),
        askers={tally.source["template_id"]: frozenset(tally.users) for tally in tallies},
        skipped=dict(left_out.most_common()),
        missing=tuple((*key, tuple(templates)) for key, templates in sorted(needs.items())),
        unused_overrides=tuple(
            sorted(overrides[key].line for key in overrides.keys() - covered.keys())
        ),
        origin=origin,
    )


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
