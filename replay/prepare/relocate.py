"""Moves a parsed query from 1.0's tables and columns to 2.0's, name by name in its scope.

Output names stay what they were, so that whoever reads the answer finds the same columns. Only the
joins that the columns of a statement need are added.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, ScopeType, traverse_scope

from replay.prepare.places import JoinPlace, Places, TablePlace
from replay.prepare.unsupported import UnsupportedError

_SEES_PARENT = (ScopeType.SUBQUERY, ScopeType.UDTF, ScopeType.SET_OPERATION)
_PLAIN_PARENTS = (exp.Select, exp.Alias, exp.Paren, exp.Ordered, exp.Group, exp.Tuple)
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

    def expression(self, tree: exp.Expr) -> exp.Expr:
        """An expression of the places file with this reference's aliases."""
        wrapped = exp.Paren(this=tree.copy())
        for column in list(wrapped.find_all(exp.Column)):
            name = column.table.lower()
            alias = exp.to_identifier(self.need(name)) if name else self.alias.copy()
            column.set("table", alias)
        moved: exp.Expr = wrapped.this
        return moved

    @property
    def closed(self) -> bool:
        """True when all columns of the old table are known."""
        return bool(self.place.columns)


@dataclass(frozen=True, slots=True)
class _Stays:
    """A column of something that does not move; `qualifier` is its source where it is known."""

    qualifier: exp.Identifier | None = None


def relocate(tree: exp.Expr, places: Places) -> bool:
    """Move every reference in place; True when there was one.

    Raises:
        UnsupportedError: a reference has no place, or cannot be resolved.
    """
    scopes = list(traverse_scope(tree))
    relocation = _Relocation(places, tree, scopes)
    return relocation.run()


class _Relocation:
    def __init__(self, places: Places, tree: exp.Expr, scopes: list[Scope]) -> None:
        self._places = places
        self._tree = tree
        self._scopes = [scope for scope in scopes if isinstance(scope.expression, exp.Select)]
        self._moved: dict[int, _Moved] = {}
        self._seen: set[int] = set()

    def run(self) -> bool:
        taken = {
            name.lower()
            for table in self._tree.find_all(exp.Table)
            for name in (table.alias_or_name,)
        }
        for scope in self._scopes:
            for name, source in _sources(scope).items():
                if isinstance(source, exp.Table) and id(source) not in self._moved:
                    place = self._places.find(source)
                    if place is not None:
                        if source.alias_column_names:
                            raise UnsupportedError("new column names for a table that moves")
                        identifier = _identifiers(scope)[name]
                        self._moved[id(source)] = _Moved(source, place, identifier, taken)
        self._refuse_others()
        if not self._moved:
            return False
        for scope in self._scopes:
            self._refuse_using(scope)
            self._expand_stars(scope)
            for column in list(scope.find_all(exp.Column)):
                if id(column) not in self._seen:
                    self._seen.add(id(column))
                    self._move_column(column, scope)
        for moved in self._moved.values():
            _move_table(moved)
        return True

    def _refuse_others(self) -> None:
        """Refuse moved tables outside of queries: targets of INSERT, UPDATE, DELETE and DDL."""
        common = {cte.alias.lower() for cte in self._tree.find_all(exp.CTE)}
        for table in self._tree.find_all(exp.Table):
            if id(table) in self._moved or (not table.db and table.name.lower() in common):
                continue
            place = self._places.find(table)
            if place is not None:
                word = self._tree.key
                raise UnsupportedError(f"`{word}` on `{place.old}`, which moves: write an override")

    def _moved_in(self, scope: Scope) -> list[_Moved]:
        found = (self._moved.get(id(source)) for source in _sources(scope).values())
        return [moved for moved in found if moved is not None]

    def _refuse_using(self, scope: Scope) -> None:
        if not any(moved.closed for moved in self._moved_in(scope)):
            return
        for join in scope.find_all(exp.Join):
            if join.args.get("using") or join.args.get("method"):
                raise UnsupportedError("JOIN USING or NATURAL JOIN of a table that moves")

    def _expand_stars(self, scope: Scope) -> None:
        select = scope.expression
        moved = {m.alias.name.lower(): m for m in self._moved_in(scope) if m.closed}
        if not moved:
            return
        projections: list[exp.Expr] = []
        for projection in select.expressions:
            if not isinstance(projection, exp.Star | exp.Column) or not projection.is_star:
                projections.append(projection)
                continue
            star = projection if isinstance(projection, exp.Star) else projection.this
            if star.args.get("except_") or star.args.get("replace"):
                raise UnsupportedError("a star with exceptions over a table that moves")
            qualifier = projection.table.lower() if isinstance(projection, exp.Column) else ""
            for name in [qualifier] if qualifier else _sources(scope):
                if name.lower() in moved:
                    projections += _columns_of(moved[name.lower()])
                else:
                    projections.append(_star_of(scope, name) if not qualifier else projection)
        select.set("expressions", projections)

    def _move_column(self, column: exp.Column, scope: Scope) -> None:
        if isinstance(column.this, exp.Star):
            return
        found = self._resolve(column, scope)
        if isinstance(found, _Stays):
            if found.qualifier and not column.table:
                column.set("table", found.qualifier.copy())
            return
        if found.closed:
            new = found.expression(found.place.columns[column.name.lower()])
        else:
            new = exp.Column(this=column.this.copy(), table=found.alias.copy())
        _replace(column, new)

    def _resolve(self, column: exp.Column, scope: Scope) -> _Moved | _Stays:
        name, qualifier = column.name.lower(), column.table.lower()
        if not qualifier and _is_output_name(column, scope, first=True):
            return _Stays()
        at: Scope | None = scope
        missing: _Moved | None = None
        while at is not None:
            found = self._qualified(qualifier, at) if qualifier else self._plain(name, at)
            if isinstance(found, _Moved) and found.closed and name not in found.place.columns:
                raise _unknown(name, found)
            if found is not None:
                return found
            missing = missing or next((m for m in self._moved_in(at) if m.closed), None)
            at = at.parent if at.scope_type in _SEES_PARENT else None
        if (
            missing is None
            or qualifier
            or name in _NOT_COLUMNS
            or _is_output_name(column, scope, first=False)
        ):
            return _Stays()
        raise _unknown(name, missing)

    def _qualified(self, qualifier: str, scope: Scope) -> _Moved | _Stays | None:
        for name, source in _sources(scope).items():
            if name.lower() == qualifier:
                return self._moved.get(id(source)) or _Stays()
        return None

    def _plain(self, name: str, scope: Scope) -> _Moved | _Stays | None:
        certain: list[_Moved | _Stays] = []
        possible: list[_Moved | _Stays] = []
        identifiers = _identifiers(scope)
        for alias, source in _sources(scope).items():
            moved = self._moved.get(id(source))
            if moved is not None and moved.closed:
                certain += [moved] if name in moved.place.columns else []
            elif isinstance(source, Scope) and not _has_star(source):
                certain += [_Stays(identifiers[alias])] if name in _outputs(source) else []
            else:
                possible.append(moved or _Stays(identifiers[alias]))
        if len(certain) > 1:
            raise UnsupportedError(f"column `{name}` is in several tables")
        if certain:
            return certain[0]
        if len(possible) > 1 and any(isinstance(each, _Moved) for each in possible):
            raise UnsupportedError(f"column `{name}` could be of several tables: qualify it")
        # With several tables that stay, the server itself knows whose column it is.
        return possible[0] if len(possible) == 1 else _Stays() if possible else None


def _sources(scope: Scope) -> dict[str, exp.Table | Scope]:
    return {name: source for name, (_, source) in scope.selected_sources.items()}


def _identifiers(scope: Scope) -> dict[str, exp.Identifier]:
    """How each source is written where a column names it, quotes kept."""
    found = {}
    for name, (node, _) in scope.selected_sources.items():
        # For a derived table the scope gives the query inside the aliased parentheses.
        aliased = node.find_ancestor(exp.Subquery) if isinstance(node, exp.Query) else node
        alias = aliased.args.get("alias") if aliased is not None else None
        written = alias.this if alias is not None and alias.this else node.this
        found[name] = (
            written.copy() if isinstance(written, exp.Identifier) else exp.to_identifier(name)
        )
    return found


def _star_of(scope: Scope, name: str) -> exp.Column:
    return exp.Column(this=exp.Star(), table=_identifiers(scope)[name])


def _outputs(scope: Scope) -> set[str]:
    query = scope.expression
    if scope.outer_columns:
        return {name.lower() for name in scope.outer_columns}
    return {name.lower() for name in query.named_selects} if isinstance(query, exp.Query) else set()


def _has_star(scope: Scope) -> bool:
    expression = scope.expression
    if scope.outer_columns:
        return False
    return not isinstance(expression, exp.Query) or expression.is_star


def _columns_of(moved: _Moved) -> Iterator[exp.Expr]:
    for name in moved.place.columns:
        yield exp.Column(this=exp.to_identifier(name), table=moved.alias.copy())


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
    if (
        isinstance(parent, _GROWING)
        and isinstance(new, _GROWING)
        and not isinstance(parent, exp.Paren)
    ):
        new = exp.Paren(this=new)
    column.replace(new)
    if top is column:
        top = new
    if is_output and (not isinstance(top, exp.Column) or top.name != column.name):
        name = column.this.copy()
        top.replace(exp.Alias(this=top.copy(), alias=name))


def _move_table(moved: _Moved) -> None:
    table, new = moved.table, moved.place.to
    for part in ("this", "db", "catalog"):
        value = new.args.get(part)
        table.set(part, value.copy() if value is not None else None)
    if not table.args.get("alias") and table.name.lower() != moved.alias.name.lower():
        table.set("alias", exp.TableAlias(this=moved.alias.copy()))
    if not moved.joins:
        return
    joins = [_join(moved, moved.place.joins[name], alias) for name, alias in moved.joins.items()]
    parent = table.parent
    if isinstance(parent, exp.From) and isinstance(parent.parent, exp.Select):
        select = parent.parent
        select.set("joins", [*joins, *select.args.get("joins", [])])
    elif isinstance(parent, exp.Subquery):
        table.set("joins", [*joins, *table.args.get("joins", [])])
    else:
        # In parentheses, so that an outer join's condition still decides about all of it.
        nested = table.copy()
        nested.set("joins", joins)
        table.replace(exp.Subquery(this=nested))


def _join(moved: _Moved, place: JoinPlace, alias: str) -> exp.Join:
    table = place.table.copy()
    table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    on = moved.expression(place.on)
    kind = {"side": "LEFT"} if place.kind == "left" else {}
    return exp.Join(this=table, on=on, **kind)


def _unknown(name: str, moved: _Moved) -> UnsupportedError:
    close = difflib.get_close_matches(name, sorted(moved.place.columns), n=3)
    nearest = f"; nearest: {', '.join(f'`{each}`' for each in close)}" if close else ""
    return UnsupportedError(f"`{moved.place.old}` has no place for column `{name}`{nearest}")
