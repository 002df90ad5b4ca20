"""What a query selects from, and whom a column's name may mean there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from replay.prepare.names import nearest, spelt
from replay.prepare.place import TablePlace
from replay.prepare.unsupported import UnsupportedError

GROWING = (exp.Binary, exp.Unary, exp.Predicate, exp.AtTimeZone, exp.Interval, exp.Collate)
"""Expressions that need parentheses beside an operator."""
_SYSTEM_COLUMNS = frozenset("ctid oid tableoid xmin xmax cmin cmax".split())


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a table's or an answer's columns in their order, and whether these are all."""

    known: tuple[str, ...] = ()
    complete: bool = False

    def renamed(self, aliases: Sequence[str]) -> Names:
        """With the first ones called otherwise, as `t(a, b)` does."""
        return Names((*aliases, *self.known[len(aliases) :]), self.complete)


@dataclass(slots=True, eq=False)
class Moved:
    """A reference to a moved table, and the joins that its columns turned out to need."""

    table: exp.Table
    place: TablePlace
    alias: exp.Identifier
    taken: set[str]
    joins: dict[str, str] = field(default_factory=dict)

    def need(self, name: str) -> str:
        """The alias of a join, which is added with those it needs in turn."""
        if name not in self.joins:
            for other in sorted(self.place.joins[name].needs):
                self.need(other)
            alias = f"{self.alias.name}_{name}"
            while alias.lower() in self.taken:
                alias += "_"
            self.taken.add(alias.lower())
            self.joins[name] = alias
        return self.joins[name]

    def expression(self, tree: exp.Expr) -> exp.Expr:
        """An expression of the places file with this reference's aliases."""
        wrapped = exp.Paren(this=tree.copy())
        for column in list(wrapped.find_all(exp.Column)):
            name = column.table.lower()
            alias = exp.to_identifier(self.need(name)) if name else self.alias.copy()
            column.set("table", alias)
        moved: exp.Expr = wrapped.this
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Something that a query selects from."""

    name: str
    identifier: exp.Identifier
    names: Names = Names()
    moved: Moved | None = None
    table: str | None = None
    """What 1.0 calls it, where its catalog or a place tells its columns."""
    renamed: Sequence[str] = ()
    """The old names of its first columns, which an alias has given new ones."""

    @property
    def changes(self) -> bool:
        """True where columns get other names."""
        return self.moved is not None and bool(self.moved.place.columns)

    def column(self, column: exp.Identifier, name: str) -> exp.Expr:
        """What a column of this source becomes; `name` is its name as 1.0 folds it."""
        own = spelt(name, self.names.known)
        if own is None and self.names.complete and self.table and name not in _SYSTEM_COLUMNS:
            close = nearest(name, self.names.known)
            raise UnsupportedError(f"1.0's `{self.table}` has no column `{name}`{close}")
        if self.moved is None:
            return exp.Column(this=column.copy(), table=self.identifier.copy())
        if own is not None and own in self.names.known[: len(self.renamed)]:
            name = self.renamed[self.names.known.index(own)]
            column = new_identifier(name)
        place = self.moved.place
        own = spelt(name, place.columns)
        if own is not None:
            return self.moved.expression(place.columns[own])
        if not place.others:
            close = nearest(name, place.columns)
            raise UnsupportedError(f"`{place.old}` has no place for column `{name}`{close}")
        return exp.Column(this=column.copy(), table=self.moved.alias.copy())


Listed = tuple[str, Source | None]
"""A column that `*` lists, of a source or (None) merged of several; with "" all of a source."""


@dataclass(slots=True, eq=False)
class Frame:
    """The sources that a clause sees, and behind them those of the queries around.

    `merged` are the columns of JOIN USING, each with the sources of which the first that has a
    value gives it; none where these cannot be told. `star` is what `*` lists, None where that
    cannot be told; `answer` numbers the columns of the query's answer that have names.
    """

    outer: Frame | None
    sources: tuple[Source, ...] = ()
    merged: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    star: Sequence[Listed] | None = ()
    query: exp.Expr | None = None
    answer: dict[str, int] = field(default_factory=dict)

    def beside(self, other: Frame) -> Frame:
        """Both, as a comma puts them."""
        star = None if self.star is None or other.star is None else (*self.star, *other.star)
        merged = {**self.merged, **other.merged}
        return Frame(self.outer, self.sources + other.sources, merged, star)

    def joined(self, other: Frame, names: Sequence[str] | None, side: str) -> Frame:
        """Both with the columns of these names merged, as JOIN USING does; None: not known."""
        frame = self.beside(other)
        if names is None:
            frame.star = None
        elif names:
            left, right = self.listed(), other.listed()
            if left is None or right is None:
                frame.star = None
            else:
                rest = [each for each in (*left, *right) if each[0] not in names]
                frame.star = [*((name, None) for name in names), *rest]
        merged = dict(frame.merged)
        for name in names or ():
            first, second = self.owners(name), other.owners(name)
            given = {"RIGHT": second, "FULL": first + second}.get(side, first)
            merged[name] = given if first and second else ()
        frame.merged = merged
        return frame

    def listed(self, table: str = "") -> list[Listed] | None:
        """Each column that `*` stands for, or `table.*`, where all are known."""
        own = [("", each) for each in self.sources if each.name == table]
        found: list[Listed] = []
        for name, source in (own if table else self.star) or ():
            if name or source is None:
                found.append((name, source))
            elif not source.names.complete:
                return None
            else:
                found += [(each, source) for each in source.names.known]
        return found if table or self.star is not None else None

    def around(self) -> Iterator[Frame]:
        """This frame and those around it, inner ones first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.outer

    @property
    def changes(self) -> bool:
        """True where columns of a source get other names."""
        return any(source.changes for source in self.sources)

    def certain(self, name: str) -> list[Source]:
        """The sources that surely have a column."""
        return [each for each in self.sources if spelt(name, each.names.known)]

    def possible(self, name: str) -> list[Source]:
        """Those and all that may have it."""
        others = (each for each in self.sources if not each.names.complete)
        return list(dict.fromkeys((*self.certain(name), *others)))

    def owners(self, name: str) -> tuple[Source, ...]:
        """The sources of a column that JOIN USING merges once more; none where in doubt."""
        found = self.merged.get(name) or self.certain(name) or self.possible(name)
        return tuple(found) if name in self.merged or len(found) == 1 else ()


def merged_column(name: str, sources: Sequence[Source]) -> exp.Expr:
    """A column of JOIN USING: of a FULL JOIN, the first value there is."""
    if not sources:
        hint = "qualify it or give 1.0's catalog"
        raise UnsupportedError(f"JOIN USING of `{name}`, which may be of several tables: {hint}")
    first, *others = [source.column(new_identifier(name), name) for source in sources]
    if others:
        return exp.Coalesce(this=first, expressions=others)
    return exp.Paren(this=first) if isinstance(first, GROWING) else first


def new_identifier(name: str) -> exp.Identifier:
    """A name as it is spelt, in quotes where it needs them."""
    return exp.to_identifier(name, quoted=name != name.lower() or None)
