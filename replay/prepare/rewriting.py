"""Each statement's text for 2.0, by what is decided about its template.

Chatter, cursors, bind types, dialect and places meet here, in this order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from replay.kind import READING
from replay.prepare.binds import casts_everywhere, casts_needed, with_casts, with_literals
from replay.prepare.catalog import Catalog
from replay.prepare.chatter import Chatter
from replay.prepare.check import Check
from replay.prepare.cursors import Cursors, find_cursors, query_of
from replay.prepare.examples import Example, find_bind_types, find_examples
from replay.prepare.places import Places
from replay.prepare.tally import Tally
from replay.prepare.temporary import read_without_being_made
from replay.prepare.translate import Translated, Translator
from replay.workload import INCOMING, Workload

_FOLDED_NOTE = "a cursor's query, asked whole"
_MAY_WRITE = "may write"
_SEEN = "statement_id template_id kind sql params user duration_us rows error".split()
_CHANGED = "kind sql params duration_us rows error".split()
"""Columns that prepare looks at, and those of them that it may change."""


@dataclass(slots=True)
class _Row:
    """One statement on its way."""

    template_id: str
    kind: str
    sql: str
    params: list[str | None] | None


class _Form(StrEnum):
    """How the binds of a template are sent."""

    OPEN_CAST = "cast where their place leaves the type open"
    ALL_CAST = "all cast"
    SPELT_OUT = "as literals"


class Rewriting:
    """What is decided about each template, and how its statements are rewritten."""

    def __init__(
        self,
        workload: Workload,
        templates: Mapping[str, Mapping[str, Any]],
        *,
        read: str,
        write: str,
        places: Places | None,
        catalog: Catalog | None,
        writes: bool,
        again: bool,
    ) -> None:
        self._workload = workload
        self._read = read
        self._writes = writes
        self._again = again
        overrides = places.overrides if places else {}
        self.tallies = {key: Tally(row, overrides.get(key)) for key, row in templates.items()}
        self._translator = Translator(read=read, write=write, places=places, catalog=catalog)
        self._chatter = Chatter(
            read=read,
            write=write,
            writes=writes,
            settings=places.settings if places else {},
            schemas={old: new.name for old, new in places.schemas.items()} if places else {},
        )
        self._places = places
        self._cursors = Cursors() if again else find_cursors(workload)
        self._types = {} if again else find_bind_types(workload)
        self._forms = {
            key: _Form.OPEN_CAST for key, _ in self._types if self.tallies[key].override is None
        }
        self._barred = {} if writes else read_without_being_made(templates.values())
        self._casts: dict[tuple[str, int, _Form], dict[int, str]] = {}
        special = templates.keys() if again else self._forms.keys() | self._barred.keys()
        self._plain = {key for key in templates.keys() - special if self._is_plain(templates[key])}
        """Templates whose statements need nothing but a translation."""

    def _is_plain(self, template: Mapping[str, Any]) -> bool:
        sql, kind, tables = template["sql"], template["kind"], template["tables"]
        # A variable's @@ is spelt otherwise in a template.
        return (
            kind == "select"
            and "@" not in sql
            and self._chatter.fate(sql, kind=kind, tables=tables) is None
        )

    def ask(self, check: Check, progress: Callable[[str], None]) -> None:
        """Have the target plan an example of each template.

        Where it finds no type for the bind values, all of them are cast, or spelt out.
        """
        examples = find_examples(self._workload)
        for number, (key, found) in enumerate(examples.items()):
            progress(f"asked 2.0 about {number:,} of {len(examples):,} templates")
            query = query_of(found.sql)
            example = found._replace(kind="select", sql=query) if query else found
            tally = self.tallies[key]
            if tally.source["coverage"] == "unsupported":
                continue
            if not self._writes and example.kind not in READING:
                continue
            for form in _Form if key in self._forms else [None]:
                row = _Row(key, example.kind, example.sql, example.params)
                done = self._one(row, form)
                if isinstance(done, str) or done.reason is not None:
                    break
                said = check.refusal(Example(key, row.kind, done.sql, row.params))
                if said is None or tally.refusal is None:
                    tally.refusal = said
                if said is None and form is not None:
                    self._forms[key] = form
                if said is None or not said.may_lack_types:
                    break

    def rewritten(self, batch: pa.RecordBatch, left_out: Counter[str]) -> pa.RecordBatch:
        """The statements that stay, as 2.0 is asked; what is left out is counted."""
        columns = {name: batch.column(name).to_pylist() for name in _SEEN}
        kept: list[int] = []
        for position, values in enumerate(zip(*columns.values(), strict=True)):
            statement_id, template_id, kind, sql, params, user, duration_us, _, error = values
            tally = self.tallies[template_id]
            if template_id in self._plain:
                done = self._translator.translate(sql, tally.override, template_id=template_id)
            else:
                row = _Row(template_id, kind, sql, params)
                found = self._outcome(statement_id, row)
                if isinstance(found, str):
                    left_out[found] += 1
                    continue
                done = found
                columns["kind"][position] = row.kind
                columns["params"][position] = params if done.reason is not None else row.params
            if (cursor := self._cursors.folded.get(statement_id)) is not None:
                duration_us, error = cursor.duration_us, cursor.error
                for name in ("duration_us", "rows", "error"):
                    columns[name][position] = getattr(cursor, name)
                if done.reason is None:
                    done = Translated(done.sql, True, note=done.note or _FOLDED_NOTE)
            tally.add(done, error=error, duration_us=duration_us, user=user)
            kept.append(position)
            columns["sql"][position] = done.sql if done.reason is None else sql
        result = batch.drop_columns(["statement_id"])
        for name in _CHANGED:
            position = INCOMING.get_field_index(name)
            column = pa.array(columns[name], INCOMING.field(position).type)
            result = result.set_column(position, INCOMING.field(position), column)
        if self._places is not None:
            for name, renames, others in (
                ("user", self._places.users, self._places.default_user),
                ("database", self._places.databases, None),
            ):
                position = INCOMING.get_field_index(name)
                renamed = _renamed(result.column(name), renames, others)
                result = result.set_column(position, INCOMING.field(position), renamed)
        return result if len(kept) == len(batch) else result.take(pa.array(kept, pa.int64()))

    def _outcome(self, statement_id: int, row: _Row) -> Translated | str:
        """One statement's outcome, or the reason to leave it out."""
        if (reason := self._cursors.skipped.get(statement_id)) is not None:
            return reason
        if statement_id in self._cursors.folded:
            row.sql, row.kind = query_of(row.sql) or row.sql, "select"
        if not self._writes and row.kind not in READING:
            return f"{_MAY_WRITE}: {row.kind}"
        return self._one(row, self._forms.get(row.template_id))

    def _one(self, row: _Row, form: _Form | None) -> Translated | str:
        if self._again:
            return Translated(row.sql, changed=False)
        tally = self.tallies[row.template_id]
        if tally.override is None:
            fate = self._chatter.fate(row.sql, kind=row.kind, tables=tally.source["tables"])
            if fate is not None:
                if fate.skipped is not None:
                    return fate.skipped
                return Translated(fate.sql or row.sql, changed=fate.sql is not None)
            if row.template_id in self._barred:
                return Translated(row.sql, changed=False, reason=self._barred[row.template_id])
        typed = form is not None and bool(row.params) and self._type_binds(row, form)
        done = self._translator.translate(row.sql, tally.override, template_id=row.template_id)
        return Translated(done.sql, True, note=done.note) if typed and not done.reason else done

    def _type_binds(self, row: _Row, form: _Form) -> bool:
        """Give a statement's binds their types; False where none was wanting."""
        assert row.params is not None
        # A list of binds may have any length, and the binds behind it move along.
        key = (row.template_id, len(row.params))
        types, dialect = self._types[key], self._read
        if form is _Form.SPELT_OUT:
            row.sql = with_literals(row.sql, row.params, types, dialect=dialect)
            row.params = None
            return True
        if (*key, form) not in self._casts:
            find = casts_needed if form is _Form.OPEN_CAST else casts_everywhere
            self._casts[*key, form] = find(row.sql, types, dialect=dialect)
        casts = self._casts[*key, form]
        if casts:
            row.sql = with_casts(row.sql, casts, dialect=dialect)
        return bool(casts)


def _renamed(names: pa.Array, renames: Mapping[str, str], others: str | None) -> pa.Array:
    encoded = names.dictionary_encode()
    new = [renames.get(name, others or name) for name in encoded.dictionary.to_pylist()]
    return pa.array(new, pa.string()).take(encoded.indices)
