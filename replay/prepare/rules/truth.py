"""MySQL's truth, which is a number: what a node gives, and the type that its place wants."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from replay.prepare.unsupported import UnsupportedError

_OPERATORS = (exp.Binary, exp.Unary, exp.In, exp.Between, exp.AtTimeZone)
_TRUTHS = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Escape)
_VALUES = (*_OPERATORS, exp.Func, exp.Alias, exp.Ordered, exp.Group, exp.Tuple, exp.Distinct)
_GIVES = {
    "date": "currentdate date",
    "datetime": "localtimestamp attimezone timestamp datetime",
    "text": "to_char split_part upper lower left right substring trim lpad rpad replace dpipe md5 "
    "reverse repeat groupconcat concatws text varchar jsonextractscalar",
    "number": "extract count sum avg round floor ceil abs sign length octet_length trunc div mul "
    "mod neg bitwiseand bitwiseor bitwisexor bitwisenot bitwiseleftshift bitwiserightshift int "
    "bigint ln pow sqrt decimal double strposition add sub random",
}
"""Of functions and nodes of a tree that is translated."""
_KINDS = {name: kind for kind, names in _GIVES.items() for name in names.split()}
_Node = Any  # sqlglot's nodes have no types of their own for what they hold


def fitted(node: _Node, parent: _Node) -> _Node:
    """In parentheses where `parent` is an operator that could take a part of it."""
    tight = isinstance(parent, _OPERATORS) and not isinstance(parent, (exp.Paren, exp.Escape))
    loose = isinstance(node, _OPERATORS) and not isinstance(node, exp.Paren)
    if isinstance(parent, (exp.Connector, exp.Not)):
        loose = isinstance(node, exp.Connector)
    elif isinstance(parent, exp.Predicate):
        loose = loose and isinstance(node, _TRUTHS)
    return exp.Paren(this=node) if tight and loose else node


def kind_of(node: _Node) -> str | None:
    """truth, number, text, literal (a string as yet of no type), date, datetime; None: unknown."""
    node = node.this if isinstance(node, exp.Alias) else node.unnest()
    if isinstance(node, exp.Literal):
        return "literal" if node.is_string else "number"
    if isinstance(node, _TRUTHS):
        return None if isinstance(node, (exp.Any, exp.All)) else "truth"
    if isinstance(node, (exp.Add, exp.Sub)) and node.expression.find(exp.Interval):
        return "datetime"
    name = node.to.this.name if isinstance(node, exp.Cast) else node.key
    return _KINDS.get((node.name if isinstance(node, exp.Anonymous) else name).lower())


def settle(node: _Node) -> None:
    """Where MySQL's truth is a number: give a condition or value the type its place wants.

    `<> '0'` and `= '1'` are right for a column of numbers and for one of booleans.
    """
    parent, key, kind = node.parent, node.arg_key, kind_of(node)
    if isinstance(parent, (exp.Where, exp.Having, exp.Connector, exp.Not)) or (
        (isinstance(parent, exp.Join) and key == "on")
        or (isinstance(parent, exp.Is) and isinstance(parent.expression, exp.Boolean))
        or (isinstance(parent, exp.If) and key == "this"
            and not (isinstance(parent.parent, exp.Case) and parent.parent.this))
    ):  # fmt: skip
        if kind in ("text", "date", "datetime"):
            raise UnsupportedError(f"a {kind} as a condition: compare it")
        if kind != "truth" and not isinstance(node, exp.Null):
            zero = exp.Literal.number(0) if kind == "number" else exp.Literal.string("0")
            node.replace(fitted(exp.NEQ(this=node.copy(), expression=zero), parent))
    elif kind != "truth" or isinstance(parent, (exp.Escape, exp.Is, exp.Paren)):
        return
    elif isinstance(parent, _VALUES) or (isinstance(parent, exp.Select) and key == "expressions"):
        if not isinstance(node, exp.Boolean):
            node.replace(exp.cast(node.unnest().copy(), "INTEGER"))
        elif isinstance(parent, (exp.Predicate, exp.Coalesce, exp.Nullif, exp.Tuple)):
            node.replace(exp.Literal.string(int(node.this)))
        else:
            node.replace(exp.Literal.number(int(node.this)))
