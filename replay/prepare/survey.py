"""Reads what each query of a statement selects from, and which columns its clauses name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from replay.prepare.catalog import Catalog
from replay.prepare.frame import Frame, Listed, Moved, Names, Source, merged_column, new_identifier
from replay.prepare.names import nearest
from replay.prepare.places import Places
from replay.prepare.unsupported import UnsupportedError

_UNKNOWN = Names()
_CONDITIONED = ("on", "using", "side", "kind", "method")

_Common = Mapping[str, Names]
"""The columns of the WITH queries in sight."""


class Survey:
    """Columns with what they see, moved tables, and the conditions in place of JOIN USING."""

    def __init__(self, tree: exp.Expr, places: Places, catalog: Catalog | None) -> None:
        self._places = places
        self._fold = places.fold
        self._catalog = catalog
        named = tree.find_all(exp.Table, exp.Subquery, exp.CTE)
        self._taken = {each.alias_or_name.lower() for each in named}
        self._seen: set[int] = set()
        self._merging: list[tuple[exp.Join, Sequence[str] | None, Frame, Frame]] = []
        self.moved: list[Moved] = []
        self.columns: list[tuple[exp.Column, Frame]] = []
        self.conditions: list[tuple[exp.Join, exp.Expr]] = []
        self._enter(tree, None, {})
        self._refuse_others(tree)

    def _enter(self, node: exp.Expr, outer: Frame | None, common: _Common) -> Names:
        """Survey a query, or any other statement; the names of its answer."""
        common = self._with(node, outer, common)
        # A chain of set operations hangs on its left, as long as it may be.
        while isinstance(node, exp.SetOperation | exp.Subquery):
            if isinstance(node, exp.SetOperation):
                self._enter(node.expression, outer, common)
            # What is ordered by is the answer's.
            self._clauses(node, Frame(outer), common, without=("this", "expression", "order"))
            node = node.this
            common = self._with(node, outer, common)
        if isinstance(node, exp.Select):
            return self._select(node, outer, common)
        # UPDATE and DELETE show their tables to the queries in them.
        shown = node.find_all(exp.Table) if isinstance(node, exp.Update | exp.Delete) else ()
        sources = [self._named(each) for each in shown if each.find_ancestor(exp.Query) is None]
        self._clauses(node, Frame(outer, tuple(sources)), common)
        return _UNKNOWN

    def _with(self, node: exp.Expr, outer: Frame | None, common: _Common) -> _Common:
        with_ = node.args.get("with_")
        found, ctes = dict(common), with_.expressions if with_ is not None else ()
        for cte in ctes if with_ is not None and with_.recursive else ():
            found[self._fold(cte.args["alias"].this)] = _UNKNOWN.renamed(self._aliases(cte))
        for cte in ctes:
            names = self._enter(cte.this, outer, found)
            found[self._fold(cte.args["alias"].this)] = names.renamed(self._aliases(cte))
        return found

    def _select(self, select: exp.Select, outer: Frame | None, common: _Common) -> Names:
        frame = self._from(select, outer, common)
        if any(each.moved for each in frame.sources):
            shown = [self._spelt_out(each, frame) for each in select.expressions]
            select.set("expressions", [each for some in shown for each in some])
        self._clauses(select, frame, common, without=("from_", "joins"))
        frame.query = select
        known, complete = list[str](), True
        for number, each in enumerate(select.expressions, start=1):
            listed: list[Listed] | None = None
            if each.is_star:
                listed = frame.listed(self._fold(each.args.get("table")))
            elif isinstance(each, exp.Alias | exp.Column):
                listed = [(self._fold(each.args.get("alias") or each.this), None)]
                frame.answer.setdefault(listed[0][0], number)
            known += [name for name, _ in listed or ()]
            complete &= listed is not None
        return Names(tuple(known), complete)

    def _from(self, select: exp.Select, outer: Frame | None, common: _Common) -> Frame:
        frame, first = Frame(outer), select.args.get("from_")
        if first is None:
            return frame
        mark = len(self._merging)
        group = self._item(first.this, frame, common)
        for join in select.args.get("joins") or ():
            if any(join.args.get(key) for key in _CONDITIONED):
                group = self._join(group, join, frame, common)
            else:
                # Of tables with commas between, a JOIN binds the last alone.
                frame = frame.beside(group)
                group = self._item(join.this, frame, common)
        frame = frame.beside(group)
        for join, names, left, right in self._merging[mark:] if frame.changes else ():
            if names is None:
                raise UnsupportedError("NATURAL JOIN of a table that moves: give 1.0's catalog")
            if not names:
                self.conditions.append((join, exp.true()))
            for name in names:
                sides = [merged_column(name, side.owners(name)) for side in (left, right)]
                self.conditions.append((join, exp.EQ(this=sides[0], expression=sides[1])))
        del self._merging[mark:]
        called = [source.name for source in frame.sources if source.name]
        if frame.changes and len(set(called)) < len(called):
            raise UnsupportedError("two tables of one name, of which one moves: give them aliases")
        return frame

    def _join(self, left: Frame, join: exp.Join, before: Frame, common: _Common) -> Frame:
        right = self._item(join.this, before.beside(left), common)
        names: list[str] | None = [self._fold(each) for each in join.args.get("using") or ()]
        if join.method == "NATURAL":
            first, second = left.listed(), right.listed()
            known = first is not None and second is not None
            others = {name for name, _ in second or ()}
            names = [name for name, _ in first or () if name in others] if known else None
        if names or join.method:
            self._merging.append((join, names, left, right))
        frame = left.joined(right, names, join.side)
        self._clauses(join, frame, common, without=("this", "using"))
        return frame

    def _item(self, node: exp.Expr, before: Frame, common: _Common) -> Frame:
        """What one item of FROM brings, with the joins inside its parentheses."""
        within = node.this if isinstance(node, exp.Subquery) else None
        names = _UNKNOWN
        if isinstance(within, exp.Table | exp.Subquery):
            found = self._item(within, before, common)
            if not node.alias:
                return self._joins(node, found, before, common)
            if any(source.moved for source in found.sources):
                raise UnsupportedError("a name for joined tables of which one moves")
        elif within is not None:
            names = self._enter(within, before.outer, self._with(node, before.outer, common))
        elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Query):
            names = self._enter(node.this, before, common)
        else:
            self._clauses(node, before, common, without=("joins",))
            names = Names((), bool(self._aliases(node)))
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            source = self._table(node, common)
        else:
            source = self._named(node, names.renamed(self._aliases(node)))
        alone = Frame(before.outer, (source,), star=[("", source)])
        return self._joins(node, alone, before, common)

    def _joins(self, node: exp.Expr, left: Frame, before: Frame, common: _Common) -> Frame:
        for join in node.args.get("joins") or ():
            left = self._join(left, join, before, common)
        return left

    def _named(self, node: exp.Expr, names: Names = _UNKNOWN) -> Source:
        """A source that stays; `names` are those of its columns."""
        alias = node.args.get("alias")
        written = alias.this if alias is not None and alias.this else node.this
        if not isinstance(written, exp.Identifier):
            written = exp.to_identifier(node.alias_or_name)
        return Source(self._fold(written), written, names)

    def _table(self, table: exp.Table, common: _Common) -> Source:
        self._seen.add(id(table))
        aliases, own = self._aliases(table), self._fold(table.this)
        if not table.db and own in common:
            return self._named(table, common[own].renamed(aliases))
        columns, place = self._columns_of(table), self._places.find(table)
        names = Names(columns or (), columns is not None)
        if place is not None and columns is None:
            names = Names(tuple(place.columns), not place.others)
        named = self._named(table, names.renamed(aliases))
        named = replace(named, table=own if columns is not None else None)
        if place is None:
            return named
        if (aliases and place.columns and not names.complete) or table.args.get("pivots"):
            raise UnsupportedError(f"new columns for `{place.old}`, which moves")
        for new in (place.to, *(join.table for join in place.joins.values())):
            if isinstance(new, exp.Table) and not new.db and self._fold(new.this) in common:
                raise UnsupportedError(f"WITH names a query as the new table `{new.name}` is named")
        moved = Moved(table, place, named.identifier.copy(), self._taken)
        self.moved.append(moved)
        return replace(named, moved=moved, renamed=names.known[: len(aliases)])

    def _columns_of(self, table: exp.Table) -> tuple[str, ...] | None:
        """A table's columns as 1.0's catalog has them, where it knows the schema."""
        if self._catalog is None or self._places.is_system(table):
            return None
        schema, name = self._places.address(table)[-2:]
        columns = self._catalog.columns(schema, name)
        if columns is None and (known := self._catalog.names(schema)):
            raise UnsupportedError(f"1.0 has no table `{name}`{nearest(name, known)}")
        return columns

    def _clauses(
        self, node: exp.Expr, frame: Frame, common: _Common, *, without: Sequence[str] = ()
    ) -> None:
        """Survey a node's parts: columns, and queries that see this frame."""
        stack = [node]
        while stack:
            each = stack.pop()
            if each is not node and isinstance(each, exp.Query):
                self._enter(each, frame, common)
            elif isinstance(each, exp.Column):
                self.columns.append((each, frame))
            else:
                skipped = ("with_", "joins", *without) if each is node else ()
                parts = [part for key, part in each.args.items() if key not in skipped]
                for part in parts:
                    some = part if isinstance(part, list) else [part]
                    stack += [each for each in some if isinstance(each, exp.Expr)]

    def _spelt_out(self, shown: exp.Expr, frame: Frame) -> list[exp.Expr]:
        """One item of SELECT; a star over moved tables by the names it had."""
        star, listed, table = shown, frame.star, self._fold(shown.args.get("table"))
        if isinstance(shown, exp.Column):
            star = shown.this
            listed = [("", each) for each in frame.sources if each.name == table]
        merged = listed is None or any(source is None for _, source in listed)
        moved = [each.moved and each for _, each in listed or () if each is not None]
        listing = any(each and (each.changes or each.names.complete) for each in moved)
        if not isinstance(star, exp.Star) or not (listing or (merged and frame.changes)):
            return [shown]
        if star.args.get("except_") or star.args.get("replace"):
            raise UnsupportedError("a star with exceptions over a table that moves")
        if listed is None:
            raise UnsupportedError(
                "a star over JOIN USING of a table that moves: give 1.0's catalog"
            )
        return [each for name, source in listed for each in _listed_columns(name, source)]

    def _aliases(self, node: exp.Expr) -> list[str]:
        """The names that `t(a, b)` gives to columns."""
        alias = node.args.get("alias")
        columns = alias.columns if isinstance(alias, exp.TableAlias) else ()
        # With a type, as PostgreSQL's functions may have one, a name is inside.
        named = (each if isinstance(each, exp.Identifier) else each.this for each in columns)
        return [self._fold(each) for each in named]

    def _refuse_others(self, tree: exp.Expr) -> None:
        """Refuse moved tables outside of queries: targets of INSERT, UPDATE, DELETE and DDL."""
        common = {self._fold(cte.args["alias"].this) for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            if id(table) in self._seen or isinstance(table.parent, exp.Lock):
                continue
            place = self._places.find(table)
            if place is not None and (table.db or self._fold(table.this) not in common):
                verb = (table.find_ancestor(exp.DML, exp.DDL) or tree).key
                raise UnsupportedError(f"`{verb}` on `{place.old}`, which moves: override it")


def _listed_columns(name: str, source: Source | None) -> list[exp.Expr]:
    table = source.identifier if source is not None else None
    names = [name] if name else []
    if source is not None and source.moved is not None and not name:
        if source.changes and not source.names.complete:
            raise UnsupportedError(f"a star over `{source.moved.place.old}`: give 1.0's catalog")
        names = list(source.names.known)
    parts: list[exp.Expr] = [new_identifier(each) for each in names] or [exp.Star()]
    return [exp.Column(this=each, table=table and table.copy()) for each in parts]
