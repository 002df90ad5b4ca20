"""Where 2.0 keeps what 1.0 kept: tables, columns, joins and hand-written overrides.

Read from `places.toml`. Names are matched as PostgreSQL folds them, in lower case.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.artefact import sha256_of
from replay.errors import UsageError
from replay.prepare.override import Override, parse_pieces, slot_sizes
from replay.template import normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlace:
    """A further table that holds columns of an old one; `left` keeps rows without a match."""

    table: exp.Table
    on: exp.Expr
    kind: str
    needs: frozenset[str]
    """Other joins that `on` refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlace:
    """The new place of one old table.

    In `columns` and `on`, plain names are columns of the root table `to`, and `join.column` is a
    column of a join. Without `columns` every column keeps its name.
    """

    old: str
    to: exp.Table
    columns: Mapping[str, exp.Expr]
    joins: Mapping[str, JoinPlace]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Every known place, by the old table's name, and the overrides by template id."""

    tables: Mapping[str, TablePlace]
    default_schema: str
    overrides: Mapping[str, Override]
    sha256: str

    def find(self, table: exp.Table) -> TablePlace | None:
        """The place of a table reference, or None where it stays."""
        name, schema = table.name.lower(), table.db.lower()
        if not schema or schema == self.default_schema:
            return self.tables.get(name) or self.tables.get(f"{self.default_schema}.{name}")
        return self.tables.get(f"{schema}.{name}")

    def pattern(self) -> re.Pattern[str] | None:
        """Matches any text that may name a moved table."""
        names = sorted({re.escape(key.rpartition(".")[2]) for key in self.tables})
        return re.compile(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)", re.IGNORECASE) if names else None


def read_places(path: Path, *, read: str, write: str) -> Places:
    """Read and check a places file; `read` and `write` are the dialects of old and new SQL.

    Raises:
        UsageError: it cannot be read, or has mistakes; lists all of them with their lines.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`{path}` cannot be read", hint="name a places file") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"`{path}` is not TOML: {error}", hint="see docs/prepare.md") from None
    reader = _Reader(text=text, read=read, write=write)
    places = reader.places(document, sha256=sha256_of(path))
    if reader.problems:
        found = "\n".join(f"  {problem}" for problem in reader.problems)
        raise UsageError(
            f"`{path}` has {len(reader.problems)} problem(s)\n{found}",
            hint="docs/prepare.md describes every key",
        )
    return places


class _Reader:
    """Turns a document into places and collects what is wrong with it."""

    def __init__(self, *, text: str, read: str, write: str) -> None:
        self._lines = text.splitlines()
        self._read = read
        self._write = write
        self.problems: list[str] = []

    def places(self, document: Mapping[str, Any], *, sha256: str) -> Places:
        self._known(document, ("default_schema", "tables", "overrides"), ())
        schema = self._text(document, "default_schema", (), default="public")
        tables = {
            old.lower(): self._table(old, entry, ("tables", old))
            for old, entry in self._mapping(document, "tables", ()).items()
            if self._is_table(entry, ("tables", old))
        }
        overrides: dict[str, Override] = {}
        for number, entry in enumerate(self._list(document, "overrides")):
            override = self._override(entry, ("overrides", f"#{number + 1}"))
            if override is None:
                continue
            if override.template_id in overrides:
                self._problem(("overrides", f"#{number + 1}"), "overrides a template twice")
            overrides[override.template_id] = override
        return Places(
            tables=tables,
            default_schema=schema.lower(),
            overrides=overrides,
            sha256=sha256,
        )

    def _table(self, old: str, entry: Mapping[str, Any], path: tuple[str, ...]) -> TablePlace:
        self._known(entry, ("to", "columns", "joins"), path)
        joins = {
            name.lower(): self._join(joined, (*path, "joins", name))
            for name, joined in self._mapping(entry, "joins", path).items()
            if self._is_table(joined, (*path, "joins", name))
        }
        self._refuse_cycles(joins, path)
        columns: dict[str, exp.Expr] = {}
        for name, sql in self._mapping(entry, "columns", path).items():
            where = (*path, "columns", name)
            if not isinstance(sql, str):
                self._problem(where, "must be a string: a column or an expression")
                continue
            columns[name.lower()] = self._expression(sql, where)
            self._known_joins(columns[name.lower()], joins, where)
        for name, join in joins.items():
            self._known_joins(join.on, {**joins, name: join}, (*path, "joins", name, "on"))
        return TablePlace(
            old=old.lower(), to=self._to(entry, "to", path), columns=columns, joins=joins
        )

    def _join(self, entry: Mapping[str, Any], path: tuple[str, ...]) -> JoinPlace:
        self._known(entry, ("table", "on", "kind"), path)
        kind = self._text(entry, "kind", path, default="inner")
        if kind not in ("inner", "left"):
            self._problem((*path, "kind"), "must be `inner` or `left`")
        on = self._expression(self._text(entry, "on", path), (*path, "on"))
        used = {column.table.lower() for column in on.find_all(exp.Column)}
        return JoinPlace(
            table=self._to(entry, "table", path),
            on=on,
            kind=kind,
            needs=frozenset(used - {"", path[-1].lower()}),
        )

    def _override(self, entry: object, path: tuple[str, ...]) -> Override | None:
        if not self._is_table(entry, path):
            return None
        self._known(entry, ("template", "source", "sql", "slots", "note"), path)
        sql = self._text(entry, "sql", path)
        if ("template" in entry) == ("source" in entry):
            self._problem(path, "needs one of `template` and `source`")
            return None
        slots = entry.get("slots", [])
        if not isinstance(slots, list) or not all(isinstance(slot, str) for slot in slots):
            self._problem((*path, "slots"), "must be a list of names, one for each literal")
            slots = []
        count: int | None = None
        if "source" in entry:
            source = self._text(entry, "source", path)
            template_id = normalise(source, dialect=self._read).template_id
            count = len(slot_sizes(source, dialect=self._read))
        else:
            template_id = self._text(entry, "template", path)
            if not re.fullmatch(r"[0-9a-f]{16}", template_id):
                self._problem((*path, "template"), "must be 16 hex digits")
        if count is not None and slots and len(slots) != count:
            self._problem((*path, "slots"), f"names {len(slots)} slots, the source has {count}")
        pieces, order, problems = parse_pieces(sql, names=slots, count=count)
        for problem in problems:
            self._problem((*path, "sql"), problem)
        return Override(
            template_id=template_id,
            pieces=pieces,
            slots=order,
            required="template" in entry,
            note=self._text(entry, "note", path, default="") or None,
            place=self._line(path),
        )

    def _to(self, entry: Mapping[str, Any], key: str, path: tuple[str, ...]) -> exp.Table:
        text = self._text(entry, key, path)
        try:
            return exp.to_table(text, dialect=self._write)
        except (SqlglotError, ValueError):
            if text:
                self._problem((*path, key), f"`{text}` is not a table's name")
            return exp.to_table("nowhere")

    def _expression(self, sql: str, path: tuple[str, ...]) -> exp.Expr:
        try:
            tree = sqlglot.parse_one(sql, read=self._write)
        except SqlglotError:
            if sql:
                self._problem(path, f"`{sql}` is not an expression of {self._write}")
            return exp.Null()
        if isinstance(tree, exp.Query) or tree.find(exp.Query):
            self._problem(path, "subqueries are not allowed here; write an override")
        return tree

    def _known_joins(
        self, tree: exp.Expr, joins: Mapping[str, JoinPlace], path: tuple[str, ...]
    ) -> None:
        for column in tree.find_all(exp.Column):
            if column.table and column.table.lower() not in joins:
                nearest = _nearest(column.table, joins)
                self._problem(path, f"`{column.table}` is not one of the table's joins{nearest}")

    def _refuse_cycles(self, joins: Mapping[str, JoinPlace], path: tuple[str, ...]) -> None:
        for name in joins:
            seen: set[str] = set()
            waiting = list(joins[name].needs)
            while waiting:
                needed = waiting.pop()
                if needed not in seen and needed in joins:
                    seen.add(needed)
                    waiting += joins[needed].needs
            if name in seen:
                self._problem((*path, "joins", name, "on"), "the joins need each other in a circle")

    def _known(
        self, entry: Mapping[str, Any], keys: tuple[str, ...], path: tuple[str, ...]
    ) -> None:
        for key in entry:
            if key not in keys:
                self._problem((*path, key), f"unknown key `{key}`{_nearest(key, keys)}")

    def _text(
        self, entry: Mapping[str, Any], key: str, path: tuple[str, ...], default: str | None = None
    ) -> str:
        value = entry.get(key, default)
        if value is None:
            self._problem(path, f"`{key}` is missing")
            return ""
        if not isinstance(value, str) or not (value.strip() or default == value):
            self._problem((*path, key), f"`{key}` must be a string that is not empty")
            return ""
        return value

    def _mapping(
        self, entry: Mapping[str, Any], key: str, path: tuple[str, ...]
    ) -> Mapping[str, Any]:
        value = entry.get(key, {})
        return value if self._is_table(value, (*path, key)) else {}

    def _list(self, entry: Mapping[str, Any], key: str) -> list[Any]:
        value = entry.get(key, [])
        if isinstance(value, list):
            return value
        self._problem((key,), f"`{key}` must be an array of tables: [[{key}]]")
        return []

    def _is_table(self, value: object, path: tuple[str, ...]) -> TypeGuard[dict[str, Any]]:
        if not isinstance(value, dict):
            self._problem(path, f"`{path[-1]}` must be a table")
            return False
        return True

    def _problem(self, path: tuple[str, ...], message: str) -> None:
        self.problems.append(f"line {self._line(path)}: {'.'.join(path) or 'top'}: {message}")

    def _line(self, path: tuple[str, ...]) -> int:
        """The line a key stands on, found by its text: the TOML parser keeps no positions."""
        at = 0
        for part in path:
            number = re.fullmatch(r"#(\d+)", part)
            wanted = re.compile(
                r"\s*\[\[\s*overrides"
                if number
                else rf"[\s\[]*(?:[\w\".-]*\.)?\"?{re.escape(part)}\b"
            )
            times = int(number[1]) if number else 1
            for index in range(0 if number else at, len(self._lines)):
                if wanted.match(self._lines[index]):
                    times -= 1
                    if not times:
                        at = index
                        break
        return at + 1


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), sorted(known), n=3)
    return f", nearest: {', '.join(f'`{each}`' for each in close)}" if close else ""
