"""Forms of a target: SQL with a `:name` for each part of the node that it replaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import sqlglot
from sqlglot import exp

from replay.prepare.unsupported import UnsupportedError

Form = tuple[type[exp.Expr], Callable[[exp.Expr], object], str | Callable[[exp.Expr], exp.Expr]]
"""A kind of node, a test, and for one that passes a template or a function.

Where the target lacks it, `construct: hint`; `{}` in it is what the test found.
"""


def refuse(tree: exp.Expr, lacking: Iterable[Form], target: str) -> None:
    """Raise UnsupportedError for the first node that `target` lacks."""
    for node in tree.walk():
        for kind, test, construct in lacking:
            found = isinstance(node, kind) and test(node)
            if found:
                raise UnsupportedError(f"{target} has no {str(construct).format(found)}")


def rewrite(tree: exp.Expr, forms: Iterable[Form]) -> exp.Expr:
    """The tree with the first of `forms` that fits each node, children before parents."""
    for node in reversed(list(tree.dfs())):
        fits = (each[2] for each in forms if type(node) is each[0] and each[1](node))
        new = next(fits, None)
        if new is None:
            continue
        made = form(new, node, **node.args) if isinstance(new, str) else new(node)
        if node is tree:
            tree = made
        elif made is not node:
            node.replace(made)
    return tree


def form(template: str, node: exp.Expr | None = None, **parts: exp.Expr) -> exp.Expr:
    """`template` with a copy of a part for each `:name`.

    `:given` is what an aggregate takes, `:first` and `:second` are of a list. `__` before a
    function's name keeps it from being read, and written, as sqlglot knows it.
    """
    if node is not None:
        parts |= {"node": node, "given": given(node)}
        parts |= dict(zip(("first", "second"), node.expressions, strict=False))
    tree = sqlglot.parse_one(template, read="redshift")
    for call in tree.find_all(exp.Anonymous):
        call.set("this", call.name.removeprefix("__"))
    for place in list(tree.find_all(exp.Placeholder)):
        part = parts[place.name].copy()
        operand = isinstance(part, (exp.Binary, exp.Not)) and isinstance(place.parent, exp.Binary)
        place.replace(exp.paren(part) if operand else part)
    return tree


def built(types: Mapping[exp.DType, str], node: exp.Expr) -> exp.Expr:
    """The type that `types` has for this one where it stands without length or precision."""
    text = "" if node.expressions else types.get(node.this, "")
    return exp.DataType.build(text) if text else node


def called(names: str, node: exp.Expr) -> str:
    """The name in lower case of a function that is called as `names`, a pattern, else empty."""
    known = node.sql_names() if isinstance(node, exp.Func) else []
    known = [node.name] if isinstance(node, exp.Anonymous) else known
    found = (name.lower().replace("j_s_o_n", "json").replace("json_b", "jsonb") for name in known)
    return next((name for name in found if re.fullmatch(names, name)), "")


def given(call: exp.Expr) -> exp.Expr:
    """What an aggregate takes, DISTINCT aside."""
    inner: exp.Expr = call.this
    return inner.expressions[0] if isinstance(inner, exp.Distinct) else inner


def output(select: exp.Expr | None, key: exp.Expr) -> exp.Expr:
    """What a number or an alias in ORDER BY, GROUP BY or DISTINCT ON stands for.

    Raises:
        UnsupportedError: there is no such output; a marker is none, so that its slot is kept.
    """
    outputs = select.selects if isinstance(select, exp.Select) else []
    if key.is_int:
        if not 0 < int(key.name) <= len(outputs) or any(each.is_star for each in outputs):
            raise UnsupportedError("an output by its number: its name")
        return outputs[int(key.name) - 1].unalias()
    name = key.name if isinstance(key, exp.Column) and not key.table else ""
    found = (each.this for each in outputs if isinstance(each, exp.Alias) and each.alias == name)
    return next(found, key)
