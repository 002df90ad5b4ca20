"""How a places file is read: `places.toml`, checked whole, its mistakes listed with their lines."""

from __future__ import annotations

import graphlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.errors import UsageError
from replay.prepare.catalog import Catalog
from replay.prepare.entries import Entries, KeyPath, key_lines
from replay.prepare.names import nearest, spelt
from replay.prepare.override import Override, parse_slots, slot_count
from replay.prepare.place import JoinPlace, Places, TablePlace
from replay.template import normalise

__all__ = ["Places", "read_places"]


def read_places(
    path: Path,
    *,
    read: str,
    write: str,
    templates: Mapping[str, str],
    catalog: Catalog | None = None,
) -> Places:
    """Read and check a places file.

    `read` and `write` are the dialects of old and new SQL, `templates` the texts of the workload's
    templates by id; `catalog` is 1.0's, whose tables and columns the old names must be.

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
    reader = _Reader(
        lines=key_lines(text), read=read, write=write, templates=templates, catalog=catalog
    )
    places = reader.places(document)
    if reader.problems:
        found = "\n".join(problem for _, problem in sorted(reader.problems, key=itemgetter(0)))
        raise UsageError(
            f"`{path}` has {len(reader.problems)} problem(s)\n{found}",
            hint="docs/prepare.md describes every key",
        )
    return places


_QUOTES = '"`'
_WANTED: Mapping[type[exp.Expr] | None, str] = {
    None: "an expression",
    exp.Table: "a table's name",
    exp.Identifier: "a name alone",
}
_CONSTANT = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")
_PART = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|[^.]+')


@dataclass(kw_only=True)
class _Reader(Entries):
    """Turns a document into places and collects what is wrong with it."""

    read: str
    write: str
    templates: Mapping[str, str]
    catalog: Catalog | None
    schema: str = "public"
    constants: dict[str, str] = field(default_factory=dict)

    def places(self, document: Mapping[str, Any]) -> Places:
        top = self.checked(document, "file", ())
        schema = top["default_schema"] or "public"
        self.schema = _plain(schema) if schema[0] in _QUOTES else schema.lower()
        self._check_schema(self.schema, ("default_schema",))
        self._set_constants(self.texts(top, "constants"))
        users = self.texts(top, "users")
        settings = self.texts(top, "settings")
        schemas: dict[str, exp.Expr] = {}
        for old, new in self.texts(top, "schemas").items():
            schemas[_plain(old)] = self._parsed(new, ("schemas", old), exp.Identifier)
            self._check_schema(_plain(old), ("schemas", old))
        tables: dict[KeyPath, TablePlace] = {}
        for old, entry in top["tables"].items():
            address = tuple(_plain(part[0]) for part in _PART.finditer(old))
            address = address if len(address) > 1 else (self.schema, *address)
            lower = tuple(part.lower() for part in address)
            if address in tables or (lower in tables and self.read != "postgres"):
                self.problem(("tables", old), "this table was there before")
            tables[address] = self._table(old, entry, address)
            tables.setdefault(lower, tables[address])
        overrides: dict[str, Override] = {}
        for number, entry in enumerate(top["overrides"], start=1):
            override = self._override(entry, ("overrides", f"#{number}"))
            if override.template_id in overrides:
                self.problem(("overrides", f"#{number}"), "overrides a template twice")
            overrides[override.template_id] = override
        return Places(
            dialect=self.read,
            default_schema=self.schema,
            tables=tables,
            schemas=schemas,
            databases=self.texts(top, "databases"),
            users={name: user for name, user in users.items() if name != "*"},
            default_user=users.get("*"),
            settings={name.lower(): value or None for name, value in settings.items()},
            overrides=overrides,
        )

    def _set_constants(self, texts: Mapping[str, str]) -> None:
        """Spell out each constant by those before it."""
        needs = {
            name: {found[1] for found in _CONSTANT.finditer(text)} & texts.keys()
            for name, text in texts.items()
        }
        self.constants = dict.fromkeys(texts, "NULL")
        for name in self._ordered(needs, ("constants",)):
            text = self._filled(texts[name], ("constants", name))
            tree = self._parsed(text, ("constants", name))
            is_atom = isinstance(tree, exp.Literal | exp.Column)
            self.constants[name] = text if is_atom else f"({text})"

    def _ordered(self, needs: Mapping[str, Iterable[str]], path: KeyPath, *last: str) -> list[str]:
        """Names after those that they need."""
        try:
            return list(graphlib.TopologicalSorter(needs).static_order())
        except graphlib.CycleError as error:
            for name in sorted(set(error.args[1])):
                self.problem((*path, name, *last), f"the {path[-1]} need each other in a circle")
            return list(needs)

    def _filled(self, text: str, path: KeyPath) -> str:
        """Text with its constants in place; braces around anything but a word are its own."""

        def value(found: re.Match[str]) -> str:
            if found[1] is None:
                return found[0][0]
            if found[1] not in self.constants:
                close = nearest(found[1], self.constants)
                message = f"`{found[0]}` is not one of `constants`{close}; a brace is `{{{{`"
                self.problem(path, message)
            return self.constants.get(found[1], "NULL")

        return _CONSTANT.sub(value, text)

    def _check_schema(self, schema: str, path: KeyPath) -> None:
        if self.catalog is not None and not self.catalog.names(schema):
            close = nearest(schema, {own for own, _ in self.catalog.tables})
            self.problem(path, f"1.0 has no schema `{schema}`{close}")

    def _table(self, old: str, entry: object, address: KeyPath) -> TablePlace:
        path = ("tables", old)
        given = self.checked(entry, "table", path)
        if isinstance(entry, dict) and "to" not in entry and not given["columns"]:
            self.problem(path, "`to` is missing")
        if given["others"] not in ("", "keep"):
            self.problem((*path, "others"), "must be `keep`, or not be there")
        joins = {
            name.lower(): self._join(joined, (*path, "joins", name))
            for name, joined in given["joins"].items()
        }
        for name, join in joins.items():
            self._refuse_unknown(join.needs, joins, (*path, "joins", name, "on"))
        self._ordered({name: join.needs for name, join in joins.items()}, (*path, "joins"), "on")
        known = self._columns_of(address, path)
        columns: dict[str, exp.Expr] = {}
        for name, sql in given["columns"].items():
            at = (*path, "columns", name)
            own = spelt(_plain(name), known or ()) or spelt(name.lower(), known or ())
            if known and own is None:
                self.problem(at, f"1.0's `{old}` has no column `{name}`{nearest(name, known)}")
            tree = columns[own or _plain(name)] = self._expression(sql, at)
            self._refuse_unknown(_qualifiers(tree), joins, at)
        return TablePlace(
            old=old,
            to=self._parsed(given["to"], (*path, "to"), exp.Table) if given["to"] else None,
            columns=columns,
            joins=joins,
            others=bool(given["others"]) or not given["columns"],
        )

    def _columns_of(self, address: KeyPath, path: KeyPath) -> tuple[str, ...] | None:
        """An old table's columns, where 1.0's catalog is known."""
        if self.catalog is None:
            return None
        schema, table = address[-2:]
        found = self.catalog.columns(schema, table)
        if found is None:
            close = nearest(table, self.catalog.names(schema))
            self.problem(path, f"1.0 has no table `{'.'.join(address)}`{close}")
        return found

    def _join(self, entry: object, path: KeyPath) -> JoinPlace:
        given = self.checked(entry, "join", path)
        if given["kind"] not in ("", "inner", "left"):
            self.problem((*path, "kind"), "must be `inner` or `left`")
        on = self._expression(given["on"], (*path, "on"))
        return JoinPlace(
            table=self._parsed(given["table"], (*path, "table"), exp.Table),
            on=on,
            left=given["kind"] == "left",
            needs=_qualifiers(on) - {path[-1].lower()},
        )

    def _override(self, entry: object, path: KeyPath) -> Override:
        given = self.checked(entry, "override", path)
        source, template_id, names = given["source"], given["template"], given["slots"]
        if bool(source) == bool(template_id):
            self.problem(path, "needs one of `template` and `source`")
        if source:
            template_id = normalise(source, dialect=self.read).template_id
        elif template_id and template_id not in self.templates:
            self.problem((*path, "template"), f"`{template_id}` is not in the workload")
        known = source or self.templates.get(template_id)
        count = slot_count(known, dialect=self.read) if known else None
        if not all(isinstance(name, str) for name in names):
            self.problem((*path, "slots"), "must be a list of names, one for each literal")
            names = []
        elif source and names and len(names) != count:
            self.problem((*path, "slots"), f"names {len(names)} slots, the source has {count}")
        parts, slots, problems = parse_slots(
            given["sql"],
            names=names,
            count=count,
            unused=given["unused"],
            constants=self.constants,
            dialect=self.write,
        )
        for problem in problems:
            self.problem((*path, "sql"), problem)
        return Override(
            template_id=template_id or path[-1],
            parts=parts,
            slots=slots,
            note=given["note"] or None,
            line=self.line(path),
        )

    def _expression(self, sql: object, path: KeyPath) -> exp.Expr:
        if isinstance(sql, str):
            tree = self._parsed(self._filled(sql, path), path)
            if tree.find(exp.Query) is None:
                return tree
        self.problem(path, "must be the text of an expression without a subquery")
        return exp.Null()

    def _parsed(self, sql: str, path: KeyPath, into: type[exp.Expr] | None = None) -> exp.Expr:
        try:
            # An empty text is a mistake that has been noted.
            return sqlglot.parse_one(sql or "nothing", read=self.write, into=into)
        except SqlglotError:
            self.problem(path, f"`{sql}` is not {_WANTED[into]} of {self.write}")
            return exp.Null()

    def _refuse_unknown(self, names: Iterable[str], joins: Iterable[str], path: KeyPath) -> None:
        for name in sorted(set(names) - set(joins)):
            self.problem(path, f"`{name}` is not one of the table's joins{nearest(name, joins)}")


def _plain(name: str) -> str:
    """A name without the quotes it may be written in."""
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote and quote in _QUOTES else name


def _qualifiers(tree: exp.Expr) -> frozenset[str]:
    return frozenset(column.table.lower() for column in tree.find_all(exp.Column)) - {""}
