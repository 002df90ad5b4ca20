"""Where 2.0 keeps what 1.0 kept: tables, columns, joins and hand-written overrides.

Read from `places.toml`. Names are matched as PostgreSQL folds them, in lower case.
"""

from __future__ import annotations

import difflib
import graphlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.errors import UsageError
from replay.prepare.override import Override, parse_slots, slot_sizes
from replay.template import normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinPlace:
    """A further table that holds columns of an old one; `left` keeps rows without a match."""

    table: exp.Expr
    on: exp.Expr
    left: bool
    needs: frozenset[str]
    """Other joins that `on` refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlace:
    """The new place of one old table.

    In `columns` and `on`, plain names are columns of the root table `to`, and `join.column` is a
    column of a join. Without `columns` every column keeps its name.
    """

    old: str
    to: exp.Expr
    columns: Mapping[str, exp.Expr]
    joins: Mapping[str, JoinPlace]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Every known place, by the old table's name, and the overrides by template id."""

    tables: Mapping[str, TablePlace]
    default_schema: str
    overrides: Mapping[str, Override]

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


def read_places(path: Path, *, read: str, write: str, templates: Mapping[str, str]) -> Places:
    """Read and check a places file.

    `read` and `write` are the dialects of old and new SQL, `templates` the texts of the workload's
    templates by id.

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
    reader = _Reader(text=text, read=read, write=write, templates=templates)
    places = reader.places(document)
    if reader.problems:
        found = "\n".join(f"  {problem}" for problem in reader.problems)
        raise UsageError(
            f"`{path}` has {len(reader.problems)} problem(s)\n{found}",
            hint="docs/prepare.md describes every key",
        )
    return places


_Path = tuple[str, ...]

_KEYS: Mapping[str, Mapping[str, type]] = {
    "file": {"default_schema": str, "tables": dict, "overrides": list},
    "table": {"to": str, "columns": dict, "joins": dict},
    "join": {"table": str, "on": str, "kind": str},
    "override": {"template": str, "source": str, "sql": str, "slots": list, "note": str},
}
_REQUIRED = frozenset({"to", "table", "on", "sql"})
_WANTED: Mapping[type, str] = {str: "a string that is not empty", dict: "a table", list: "a list"}


class _Reader:
    """Turns a document into places and collects what is wrong with it."""

    def __init__(self, *, text: str, read: str, write: str, templates: Mapping[str, str]) -> None:
        self._lines = _lines_of(text)
        self._read = read
        self._write = write
        self._templates = templates
        self.problems: list[str] = []

    def places(self, document: Mapping[str, Any]) -> Places:
        top = self._checked(document, "file", ())
        tables = {
            old.lower(): self._table(old, entry, ("tables", old))
            for old, entry in top["tables"].items()
        }
        overrides: dict[str, Override] = {}
        for number, entry in enumerate(top["overrides"], start=1):
            override = self._override(entry, ("overrides", f"#{number}"))
            if override.template_id in overrides:
                self._problem(("overrides", f"#{number}"), "overrides a template twice")
            overrides[override.template_id] = override
        schema = (top["default_schema"] or "public").lower()
        return Places(tables=tables, default_schema=schema, overrides=overrides)

    def _table(self, old: str, entry: object, path: _Path) -> TablePlace:
        given = self._checked(entry, "table", path)
        joins = {
            name.lower(): self._join(joined, (*path, "joins", name))
            for name, joined in given["joins"].items()
        }
        for name, join in joins.items():
            self._refuse_unknown(join.needs, joins, (*path, "joins", name, "on"))
        try:
            graphlib.TopologicalSorter({name: join.needs for name, join in joins.items()}).prepare()
        except graphlib.CycleError as error:
            for name in sorted(set(error.args[1])):
                self._problem((*path, "joins", name, "on"), "the joins need each other in a circle")
        columns: dict[str, exp.Expr] = {}
        for name, sql in given["columns"].items():
            tree = columns[name.lower()] = self._parsed(sql, (*path, "columns", name))
            self._refuse_unknown(_qualifiers(tree), joins, (*path, "columns", name))
        to = self._parsed(given["to"], (*path, "to"), exp.Table)
        return TablePlace(old=old.lower(), to=to, columns=columns, joins=joins)

    def _join(self, entry: object, path: _Path) -> JoinPlace:
        given = self._checked(entry, "join", path)
        if given["kind"] not in ("", "inner", "left"):
            self._problem((*path, "kind"), "must be `inner` or `left`")
        on = self._parsed(given["on"], (*path, "on"))
        return JoinPlace(
            table=self._parsed(given["table"], (*path, "table"), exp.Table),
            on=on,
            left=given["kind"] == "left",
            needs=_qualifiers(on) - {path[-1].lower()},
        )

    def _override(self, entry: object, path: _Path) -> Override:
        given = self._checked(entry, "override", path)
        source, template_id, names = given["source"], given["template"], given["slots"]
        if bool(source) == bool(template_id):
            self._problem(path, "needs one of `template` and `source`")
        if source:
            template_id = normalise(source, dialect=self._read).template_id
        elif template_id and template_id not in self._templates:
            self._problem((*path, "template"), f"`{template_id}` is not in the workload")
        known = source or self._templates.get(template_id)
        count = len(slot_sizes(known, dialect=self._read)) if known else None
        if not all(isinstance(name, str) for name in names):
            self._problem((*path, "slots"), "must be a list of names, one for each literal")
        elif source and names and len(names) != count:
            self._problem((*path, "slots"), f"names {len(names)} slots, the source has {count}")
        parts, slots, problems = parse_slots(given["sql"], names=names, count=count)
        for problem in problems:
            self._problem((*path, "sql"), problem)
        return Override(
            template_id=template_id or path[-1],
            parts=parts,
            slots=slots,
            note=given["note"] or None,
            line=self._line(path),
        )

    def _parsed(self, sql: object, path: _Path, into: type[exp.Table] | None = None) -> exp.Expr:
        try:
            # An empty text is a mistake that has been noted.
            tree = sqlglot.parse_one(str(sql) or "nothing", read=self._write, into=into)
        except SqlglotError:
            wanted = "a table's name" if into else f"an expression of {self._write}"
            self._problem(path, f"`{sql}` is not {wanted}")
            return exp.Null()
        if not isinstance(sql, str) or tree.find(exp.Query):
            self._problem(path, "must be the text of an expression without a subquery")
        return tree

    def _refuse_unknown(self, names: Iterable[str], joins: Iterable[str], path: _Path) -> None:
        for name in sorted(set(names) - set(joins)):
            self._problem(path, f"`{name}` is not one of the table's joins{nearest(name, joins)}")

    def _checked(self, entry: object, what: str, path: _Path) -> dict[str, Any]:
        """Every key that an entry of this kind may have; what is missing or misfits is empty."""
        keys = _KEYS[what]
        checked = {key: kind() for key, kind in keys.items()}
        if not isinstance(entry, dict):
            self._problem(path, "must be a table")
            return checked
        for key, value in entry.items():
            if key not in keys:
                self._problem((*path, key), f"unknown key `{key}`{nearest(key, keys)}")
            elif not isinstance(value, keys[key]) or value == "":
                self._problem((*path, key), f"must be {_WANTED[keys[key]]}")
            else:
                checked[key] = value
        for key in sorted(_REQUIRED & keys.keys() - entry.keys()):
            self._problem(path, f"`{key}` is missing")
        return checked

    def _problem(self, path: _Path, message: str) -> None:
        self.problems.append(f"line {self._line(path)}: {'.'.join(path)}: {message}")

    def _line(self, path: _Path) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known, as the end of a message."""
    close = difflib.get_close_matches(name.lower(), sorted(known), n=3)
    return f", nearest: {', '.join(f'`{each}`' for each in close)}" if close else ""


def _qualifiers(tree: exp.Expr) -> frozenset[str]:
    return frozenset(column.table.lower() for column in tree.find_all(exp.Column)) - {""}


_KEY = re.compile(r"""\s*(?:\[\[?([^\]]+)\]|([\w."-]+)\s*=)""")


def _lines_of(text: str) -> dict[_Path, int]:
    """The line each key stands on, as far as its text tells: the TOML parser keeps no positions."""
    found: dict[_Path, int] = {}
    table: _Path = ()
    overrides = 0
    for number, line in enumerate(text.splitlines(), start=1):
        key = _KEY.match(line)
        if key is None:
            continue
        path = tuple(part.strip(' "') for part in re.findall(r'"[^"]*"|[^."]+', key[1] or key[2]))
        if path == ("overrides",) and key[1]:
            overrides += 1
            path = ("overrides", f"#{overrides}")
        table = path if key[1] else table
        found.setdefault(path if key[1] else (*table, *path), number)
    return found
