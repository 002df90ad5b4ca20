"""What a place is: where 2.0 keeps what 1.0 kept, and how a reference finds its own.

Names are folded as the source dialect folds them; what is asked for in lower case also finds a
name that is spelt otherwise, since a places file does not tell quoted names from others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from replay.prepare.names import spelt
from replay.prepare.override import Override

# Tables of the system, which are found before those of the default schema.
_SYSTEM = re.compile(r"(?:pg|st[lv]|sv[lv]|svcs)_|dual\Z")


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
    """The new place of one old table; without `to` it stays where it is.

    In `columns` and `on`, plain names are columns of the root table `to`, and `join.column` is a
    column of a join. With `others`, columns that are not listed keep their names.
    """

    old: str
    to: exp.Expr | None
    columns: Mapping[str, exp.Expr]
    joins: Mapping[str, JoinPlace]
    others: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Every known place and the overrides by template id.

    `tables` are found by `(schema, table)` or `(database, schema, table)`, as spelt or in lower
    case. `users`, with `default_user` for all others, `databases` and `settings` (None: skipped)
    are for whoever maps what stands beside the statements.
    """

    dialect: str
    """1.0's, whose names these are."""
    default_schema: str
    tables: Mapping[tuple[str, ...], TablePlace]
    schemas: Mapping[str, exp.Expr]
    databases: Mapping[str, str]
    users: Mapping[str, str]
    default_user: str | None
    settings: Mapping[str, str | None]
    overrides: Mapping[str, Override]

    def fold(self, name: exp.Expr | None) -> str:
        """A name as 1.0 understands it: quotes keep the case in PostgreSQL alone."""
        if not isinstance(name, exp.Identifier):
            return ""
        return name.name if name.quoted and self.dialect == "postgres" else name.name.lower()

    def address(self, table: exp.Table) -> tuple[str, ...]:
        """Database, where it is named, schema and name of a table reference."""
        schema = self.fold(table.args.get("db")) or self.default_schema
        database = self.fold(table.args.get("catalog"))
        return (*([database] if database else []), schema, self.fold(table.this))

    def is_system(self, table: exp.Table) -> bool:
        """True for a bare name that the server looks up among its own tables."""
        return not table.db and _SYSTEM.match(table.name.lower()) is not None

    def find(self, table: exp.Table) -> TablePlace | None:
        """The place of a table reference, or None where it stays. Its `to` is always there."""
        if not isinstance(table.this, exp.Identifier):
            return None
        address = self.address(table)
        place = self.tables.get(address) or self.tables.get(address[-2:])
        if place is not None and place.to is not None:
            return place
        to = exp.Table(**{part: table.args.get(part) for part in ("this", "db", "catalog")}).copy()
        schema = None if self.is_system(table) else spelt(address[-2], self.schemas)
        database = spelt(address[0], self.databases) if len(address) > 2 else None
        if schema is not None:
            to.set("db", self.schemas[schema].copy())
        if database is not None:
            to.set("catalog", exp.to_identifier(self.databases[database]))
        if place is None and schema is None and database is None:
            return None
        unlisted = TablePlace(old=".".join(address), to=to, columns={}, joins={}, others=True)
        return replace(place, to=to) if place is not None else unlisted

    def pattern(self) -> re.Pattern[str] | None:
        """Matches any text that may name a moved table."""
        if spelt(self.default_schema, self.schemas):
            return re.compile("")
        last = (address[-1] for address in self.tables)
        names = {re.escape(each.replace('"', '""')) for each in (*last, *self.schemas)}
        names |= {re.escape(each) for each in self.databases}
        listed = "|".join(sorted(names))
        return re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE) if names else None
