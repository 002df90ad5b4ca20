"""Moves a parsed statement from 1.0's tables and columns to 2.0's, name by name in its scope.

Output names stay what they were, so that whoever reads the answer finds the same columns. Only the
joins that the columns of a statement need are added.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from replay.prepare.catalog import Catalog
from replay.prepare.frame import GROWING, Frame, Moved, Source, merged_column
from replay.prepare.places import Places
from replay.prepare.survey import Survey
from replay.prepare.unsupported import UnsupportedError

# Where an expression of any form stands between commas, words or parentheses.
_ANY_FORM = (
    *(exp.Select, exp.Alias, exp.Ordered, exp.Group, exp.Paren, exp.Tuple, exp.Where, exp.If),
    *(exp.Anonymous, exp.AggFunc, exp.Coalesce, exp.Lower, exp.Upper, exp.Cast),
)
_GROUPING = (exp.Group, exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple)
# What an answer's column is called by, whatever is around it.
_KEEPS_NAME = (exp.Cast, exp.Paren, exp.Collate, exp.Bracket)
# Functions that are called without parentheses and parse as columns; MySQL has none of them.
_WORDS = frozenset("user system_user current_role current_catalog current_schema sysdate".split())


def relocate(tree: exp.Expr, places: Places, catalog: Catalog | None = None) -> bool:
    """Move every reference in place; True when there was one.

    With 1.0's `catalog`, stars and names without a table are understood wherever they stand.

    Raises:
        UnsupportedError: a reference has no place, cannot be resolved, or is none of 1.0's.
    """
    survey = Survey(tree, places, catalog)
    if not survey.moved:
        return False
    # Nothing is replaced meanwhile: whom a name means is told by the old tree alone.
    resolved = [(each, _resolved(each, frame, places)) for each, frame in survey.columns]
    for column, new in resolved:
        if new is not column:
            _replace(column, new)
    for join, condition in survey.conditions:
        join.set("using", None)
        join.set("method", None)
        join.on(condition, copy=False)
    for moved in survey.moved:
        _move_table(moved)
    return True


def _resolved(column: exp.Column, frame: Frame, places: Places) -> exp.Expr:
    """What a column becomes: itself where it stays."""
    name, frames = places.fold(column.this), list(frame.around())
    if column.table:
        qualifier = places.fold(column.args["table"])
        known = (each for at in frames for each in at.sources if each.name == qualifier)
        source = next(known, None)
        return column if source is None else _of_source(column, source, name)
    if name in _WORDS and not column.this.quoted and places.dialect != "mysql":
        return column
    if name in frame.answer and _is_ordered(column, frame):
        return column
    changes = any(each.changes for each in frames)
    for depth, at in enumerate(frames):
        if name in at.merged:
            stays = not changes or (depth == 0 and not at.changes)
            return column if stays else merged_column(name, _visible(at.merged[name], frames, at))
        certain = at.certain(name)
        found = certain or at.possible(name)
        if found and not changes:
            return column
        if found and not certain and name in frame.answer and _names_answer(column):
            used = _used(frame, name)
            if name not in used:
                return _of_answer(column, frame, name) if used else column
        # Of what is not certain, a query further out may be the owner.
        further = [] if certain else frames[depth + 1 :]
        behind = [each for around in further for each in around.possible(name)]
        crossed = any(each.changes for each in frames[:depth])
        doubt = any(each.changes for each in behind) or (behind and (at.changes or crossed))
        several = len(found) > 1 and (crossed or any(each.changes for each in found))
        is_row = not certain and any(each.name == name for each in at.sources)
        if found and (doubt or several or is_row):
            hint = "qualify it or give 1.0's catalog"
            raise UnsupportedError(f"column `{name}` could be of several tables: {hint}")
        if len(found) == 1:
            return _visible(found, frames, at)[0].column(column.this, name)
        if found:
            # The server itself knows whose column it is.
            return column
    if name in frame.answer and _names_answer(column):
        return _of_answer(column, frame, name)
    row = next((each for at in frames for each in at.sources if each.name == name), None)
    if row is not None:
        _of_source(exp.Column(this=exp.Star()), row, name)
        return column
    for source in (each for at in frames for each in at.sources if each.changes or each.table):
        source.column(column.this, name)
    return column


def _visible(owners: Sequence[Source], frames: Sequence[Frame], at: Frame) -> Sequence[Source]:
    """The owners of a name that stood alone, which must now be called by their own names."""
    nearer = {each.name for frame in frames[: frames.index(at)] for each in frame.sources}
    hidden = next((each.name for each in owners if each.name in nearer), None)
    if hidden is not None:
        hint = "rename one of the two"
        raise UnsupportedError(f"a column of `{hidden}`, which a nearer `{hidden}` hides: {hint}")
    return owners


def _of_source(column: exp.Column, source: Source, name: str) -> exp.Expr:
    if not isinstance(column.this, exp.Star):
        moved = source.column(column.this, name)
        return moved if source.moved is not None else column
    if source.changes:
        raise UnsupportedError(f"a row of `{source.name}` as one value, which moves")
    if source.moved is None:
        return column
    return exp.Column(this=exp.Star(), table=source.identifier.copy())


def _is_ordered(column: exp.Column, frame: Frame) -> bool:
    """True where a name alone means the answer's column before any other.

    That is in ORDER BY and DISTINCT ON; in GROUP BY and HAVING it means one only where no input
    column has the name (PostgreSQL manual, SELECT).
    """
    around = column.parent.parent if column.parent is not None else None
    return isinstance(around, exp.Order | exp.Distinct) and around.parent is frame.query


def _names_answer(column: exp.Column) -> bool:
    clause = column.find_ancestor(exp.Group, exp.Having, exp.Order, exp.Select)
    return clause is not None and not isinstance(clause, exp.Select)


def _used(frame: Frame, name: str) -> set[str]:
    """What a column of the answer is made of, or nothing where it cannot be grouped by.

    Where it is not made of an input column of its own name, there is none that 1.0 took GROUP BY
    for: it would leave the others ungrouped.
    """
    shown = frame.query.expressions[frame.answer[name] - 1] if frame.query is not None else None
    if shown is None or shown.find(exp.AggFunc):
        return set()
    return {each.name.lower() for each in shown.find_all(exp.Column)}


def _of_answer(column: exp.Column, frame: Frame, name: str) -> exp.Expr:
    """By number in GROUP BY, since 2.0's tables may have a column of this name."""
    stars = frame.query is None or any(each.is_star for each in frame.query.expressions)
    if stars or not frame.changes or not isinstance(column.parent, _GROUPING):
        return column
    return exp.Literal.number(frame.answer[name])


def _replace(column: exp.Column, new: exp.Expr) -> None:
    top: exp.Expr = column
    while isinstance(top.parent, _KEEPS_NAME) and top.arg_key == "this":
        top = top.parent
    is_output = isinstance(top.parent, exp.Select) and top.arg_key == "expressions"
    if isinstance(column.parent, exp.Bracket) and not isinstance(new, exp.Column):
        # How an element is counted depends on a type that is not known.
        raise UnsupportedError(f"an element of `{column.name}`, which has become an expression")
    if isinstance(new, GROWING) and not isinstance(column.parent, _ANY_FORM):
        new = exp.Paren(this=new)
    column.replace(new)
    if top is column:
        top = new
    if is_output and (not isinstance(top, exp.Column) or top.name != column.name):
        top.replace(exp.Alias(this=top.copy(), alias=column.this.copy()))


def _move_table(moved: Moved) -> None:
    table, new = moved.table, moved.place.to or moved.table
    for part in ("this", "db", "catalog"):
        value = new.args.get(part)
        table.set(part, value.copy() if value is not None else None)
    if not table.args.get("alias") and table.name.lower() != moved.alias.name.lower():
        table.set("alias", exp.TableAlias(this=moved.alias.copy()))
    if table.args.get("alias") and moved.place.columns:
        table.args["alias"].set("columns", None)
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
