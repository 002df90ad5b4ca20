"""Moves a parsed query from 1.0's tables and columns to 2.0's, name by name in its scope.

Output names stay what they were, so that whoever reads the answer finds the same columns. Only the
joins that the columns of a statement need are added.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, ScopeType, traverse_scope

from replay.prepare.places import Places, TablePlace, nearest
from replay.prepare.unsupported import UnsupportedError

_SEES_PARENT = (ScopeType.SUBQUERY, ScopeType.UDTF, ScopeType.SET_OPERATION)
_GROWING = (exp.Binary, exp.Unary, exp.Predicate, exp.AtTimeZone, exp.Interval, exp.Collate)
# Functions that are called without parentheses and parse as columns.
_NOT_COLUMNS = frozenset("user current_role current_catalog current_schema sysdate".split())


@dataclass(slots=True, eq=False)
class _Moved:
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

    def column(self, column: exp.Column) -> exp.Expr:
        """What stands for a column of the old table."""
        if not self.place.columns:
            return exp.Column(this=column.this.copy(), table=self.alias.copy())
        name = column.name.lower()
        if name not in self.place.columns:
            known = nearest(name, self.place.columns)
            raise UnsupportedError(f"`{self.place.old}` has no place for column `{name}`{known}")
        return self.expression(self.place.columns[name])

    def expression(self, tree: exp.Expr) -> exp.Expr:
        """An expression of the places file with this reference's aliases."""
        wrapped = exp.Paren(this=tree.copy())
        for column in list(wrapped.find_all(exp.Column)):
            name = column.table.lower()
            alias = exp.to_identifier(self.need(name)) if name else self.alias.copy()
            column.set("table", alias)
        moved: exp.Expr = wrapped.this
        return moved


@dataclass(frozen=True, slots=True)
class _Source:
    """Something that a query selects from; `columns` are None where they are not known."""

    name: str
    identifier: exp.Identifier
    columns: frozenset[str] | None
    moved: _Moved | None


def relocate(tree: exp.Expr, places: Places) -> bool:
    """Move every reference in place; True when there was one.

    Raises:
        UnsupportedError: a reference has no place, or cannot be resolved.
    """
    relocation = _Relocation(tree, places)
    if not relocation.moved:
        return False
    for column, new in relocation.resolve():
        if new is not column:
            _replace(column, new)
    for moved in relocation.moved:
        _move_table(moved)
    return True


class _Relocation:
    """Finds the sources of each query, and then whom each column means."""

    def __init__(self, tree: exp.Expr, places: Places) -> None:
        self._places = places
        self._taken = {table.alias_or_name.lower() for table in tree.find_all(exp.Table)}
        self._scopes = [
            scope for scope in traverse_scope(tree) if isinstance(scope.expression, exp.Select)
        ]
        self._sources: dict[int, list[_Source]] = {}
        # Inner queries come first, so that their stars are spelt out when outer ones ask for names.
        for scope in self._scopes:
            sources = self._sources[id(scope)] = [
                self._source(name, node, source)
                for name, (node, source) in scope.selected_sources.items()
            ]
            if any(source.moved and source.columns is not None for source in sources):
                if any(j.args.get("using") or j.method for j in scope.find_all(exp.Join)):
                    raise UnsupportedError("JOIN USING or NATURAL JOIN of a table that moves")
                _expand_stars(scope.expression, sources)
        self.moved = [s.moved for found in self._sources.values() for s in found if s.moved]
        self._refuse_others(tree)

    def resolve(self) -> list[tuple[exp.Column, exp.Expr]]:
        """Each column with what it becomes, which is itself where it stays.

        Nothing is replaced meanwhile: whom a name means is told by the old tree alone.
        """
        found: dict[int, tuple[exp.Column, exp.Expr]] = {}
        for scope in self._scopes:
            for column in scope.find_all(exp.Column):
                if not isinstance(column.this, exp.Star) and id(column) not in found:
                    found[id(column)] = (column, self._resolved(column, scope))
        return list(found.values())

    def _source(self, name: str, node: exp.Expr, source: exp.Table | Scope) -> _Source:
        # For a derived table the scope gives the query inside the aliased parentheses.
        aliased = node.find_ancestor(exp.Subquery) if isinstance(node, exp.Query) else node
        alias = aliased.args.get("alias") if aliased is not None else None
        written = alias.this if alias is not None and alias.this else node.this
        identifier = written if isinstance(written, exp.Identifier) else exp.to_identifier(name)
        if isinstance(source, Scope):
            return _Source(name.lower(), identifier, _outputs(source), None)
        place = self._places.find(source)
        if place is None:
            return _Source(name.lower(), identifier, None, None)
        if source.alias_column_names:
            raise UnsupportedError("new column names for a table that moves")
        moved = _Moved(source, place, identifier.copy(), self._taken)
        columns = frozenset(place.columns) if place.columns else None
        return _Source(name.lower(), identifier, columns, moved)

    def _refuse_others(self, tree: exp.Expr) -> None:
        """Refuse moved tables outside of queries: targets of INSERT, UPDATE, DELETE and DDL."""
        common = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        moved = {id(each.table) for each in self.moved}
        for table in tree.find_all(exp.Table):
            place = self._places.find(table)
            is_common = not table.db and table.name.lower() in common
            if place is not None and id(table) not in moved and not is_common:
                raise UnsupportedError(f"`{tree.key}` on `{place.old}`, which moves: override it")

    def _resolved(self, column: exp.Column, scope: Scope) -> exp.Expr:
        """What a column becomes: itself where it stays."""
        name, qualifier = column.name.lower(), column.table.lower()
        if not qualifier and _is_output_name(column, scope, first=True):
            return column
        at: Scope | None = scope
        missing: _Moved | None = None
        while at is not None:
            sources = self._sources.get(id(at), [])
            candidates = _candidates(name, qualifier, sources)
            if candidates:
                return _chosen(column, candidates)
            closed = (each.moved for each in sources if each.columns is not None)
            missing = missing or next(filter(None, closed), None)
            at = at.parent if at.scope_type in _SEES_PARENT else None
        if (
            missing is None
            or qualifier
            or name in _NOT_COLUMNS
            or _is_output_name(column, scope, first=False)
        ):
            return column
        return missing.column(column)


def _candidates(name: str, qualifier: str, sources: list[_Source]) -> list[_Source]:
    """Those of a query's sources that surely have the column, else those that may have it."""
    if qualifier:
        return [source for source in sources if source.name == qualifier]
    certain = [source for source in sources if name in (source.columns or ())]
    return certain or [source for source in sources if source.columns is None]


def _chosen(column: exp.Column, sources: list[_Source]) -> exp.Expr:
    source = sources[0]
    if len(sources) > 1:
        name = column.name.lower()
        if source.columns is not None:
            raise UnsupportedError(f"column `{name}` is in several tables")
        if any(each.moved for each in sources):
            raise UnsupportedError(f"column `{name}` could be of several tables: qualify it")
        # With several tables that stay, the server itself knows whose column it is.
        return column
    if source.moved is not None:
        return source.moved.column(column)
    if not column.table:
        column.set("table", source.identifier.copy())
    return column


def _expand_stars(select: exp.Expr, sources: list[_Source]) -> None:
    projections: list[exp.Expr] = []
    for projection in select.expressions:
        starred = sources
        if isinstance(projection, exp.Column):
            starred = [each for each in sources if each.name == projection.table.lower()]
        if not isinstance(projection, exp.Star | exp.Column) or not (
            projection.is_star and starred
        ):
            projections.append(projection)
            continue
        star = projection if isinstance(projection, exp.Star) else projection.this
        if star.args.get("except_") or star.args.get("replace"):
            raise UnsupportedError("a star with exceptions over a table that moves")
        for source in starred:
            spelt = source.moved.place.columns if source.moved else ()
            names: list[exp.Expr] = [exp.to_identifier(name) for name in spelt]
            projections += [
                exp.Column(this=name, table=source.identifier.copy())
                for name in names or [exp.Star()]
            ]
    select.set("expressions", projections)


def _outputs(scope: Scope) -> frozenset[str] | None:
    """Names of a query's columns, in lower case; None where a star or a table hides them."""
    query = scope.expression
    if scope.outer_columns:
        return frozenset(name.lower() for name in scope.outer_columns)
    if not isinstance(query, exp.Query) or query.is_star:
        return None
    return frozenset(name.lower() for name in query.named_selects)


def _is_output_name(column: exp.Column, scope: Scope, *, first: bool) -> bool:
    """True when a plain name means a column of the answer.

    In ORDER BY an output name goes before an input column if it stands alone; in GROUP BY and
    HAVING only where no input column has the name (PostgreSQL manual, SELECT).
    """
    named = {
        projection.alias.lower() if isinstance(projection, exp.Alias) else projection.name.lower()
        for projection in scope.expression.expressions
        if isinstance(projection, exp.Alias | exp.Column)
    }
    if column.name.lower() not in named:
        return False
    if first:
        ordered = column.parent
        order = ordered.parent if isinstance(ordered, exp.Ordered) else None
        return isinstance(order, exp.Order) and order.parent is scope.expression
    clause = column.find_ancestor(exp.Group, exp.Having, exp.Order, exp.Select)
    return clause is not None and not isinstance(clause, exp.Select)


def _replace(column: exp.Column, new: exp.Expr) -> None:
    parent = column.parent
    top: exp.Expr = column
    while isinstance(top.parent, exp.Cast):
        top = top.parent
    is_output = isinstance(top.parent, exp.Select) and top.arg_key == "expressions"
    grows = isinstance(parent, _GROWING) and not isinstance(parent, exp.Paren)
    if grows and isinstance(new, _GROWING):
        new = exp.Paren(this=new)
    column.replace(new)
    if top is column:
        top = new
    if is_output and (not isinstance(top, exp.Column) or top.name != column.name):
        top.replace(exp.Alias(this=top.copy(), alias=column.this.copy()))


def _move_table(moved: _Moved) -> None:
    table, new = moved.table, moved.place.to
    for part in ("this", "db", "catalog"):
        value = new.args.get(part)
        table.set(part, value.copy() if value is not None else None)
    if not table.args.get("alias") and table.name.lower() != moved.alias.name.lower():
        table.set("alias", exp.TableAlias(this=moved.alias.copy()))
    if not moved.joins:
        return
    joins = []
    for name, alias in moved.joins.items():
        place = moved.place.joins[name]
        joined = place.table.copy()
        joined.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        side = "LEFT" if place.left else None
        joins.append(exp.Join(this=joined, on=moved.expression(place.on), side=side))
    # The joins of FROM hang on the query, those in parentheses on their first table.
    owner = table.parent.parent if isinstance(table.parent, exp.From) else table
    if owner is not None and (owner is not table or isinstance(table.parent, exp.Subquery)):
        owner.set("joins", [*joins, *owner.args.get("joins", [])])
    else:
        # In parentheses, so that an outer join's condition still decides about all of it.
        nested = table.copy()
        nested.set("joins", joins)
        table.replace(exp.Subquery(this=nested))
