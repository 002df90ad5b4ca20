"""MySQL's ways in PostgreSQL's words (MySQL 8.4 Reference Manual, 11 to 14).

Most are functions with a form of their own in `mysql.toml`; here stands what needs a look around.
Limits, for no type or collation of a column is known: equality and order are the target's, so they
mind case; a column of texts beside a number is left to the target; sessions are in one time zone;
a division has more than MySQL's four digits; bits of a negative number are signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.prepare.marker import BIND, VALUE
from replay.prepare.rules.truth import fitted, kind_of, settle
from replay.prepare.rules.wording import FACTS, FORMS, as_text, called, filled
from replay.prepare.unsupported import UnsupportedError

_ZERO_DATE = re.compile(r"\d{4}-(?:00-|\d\d-00)")
# What ICU, MySQL's library, reads otherwise than POSIX: \b, look-around, possessive counts.
_FOREIGN_REGEX = re.compile(r"\\[^\WdDwWsS_]|\(\?[^:]|[*+?}]\+")
_INTERVAL = re.compile(r"(?:SQL_TSI_)?(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR)")
_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_Node = Any  # sqlglot's nodes have no types of their own for what they hold


def from_mysql(tree: exp.Expr) -> exp.Expr:
    """Give MySQL's constructs a form that PostgreSQL reads the same way.

    Raises:
        UnsupportedError: a construct has none.
    """
    for select in list(tree.find_all(exp.Select)):
        _clauses(select)
    root = exp.Tuple(expressions=[tree])
    for node in reversed(list(tree.walk())):  # children before their parents
        utc = isinstance(node, exp.Column) and node.name.lower().startswith("utc_")
        name = node.name.lower() if utc or isinstance(node, exp.Anonymous) else node.key
        flagged = {f"{name}+{key}" for key, given in node.args.items() if given} & FORMS.keys()
        name = flagged.pop() if flagged else name
        parts = [node.args.get(key) for key in node.arg_types]
        parts = node.expressions if isinstance(node, exp.Anonymous) else parts
        try:
            done = _RULES[name](node) if name in _RULES else called(name, *parts)
        except (AttributeError, LookupError, TypeError, ValueError, SqlglotError):
            raise UnsupportedError(f"{name.upper()} with these arguments") from None
        if done is not None and done is not node:
            node.replace(fitted(done, node.parent))
        settle(done or node)
    result: exp.Expr = root.expressions[0].pop()
    return result


def _clauses(select: exp.Select) -> None:
    """Hints, DUAL, joins, ROLLUP, ORDER BY NULL, and aliases where PostgreSQL has columns only."""
    select.set("operation_modifiers", None)  # STRAIGHT_JOIN, SQL_NO_CACHE: no other answer
    select.set("hint", None)
    group, having, order = (select.args.get(key) for key in ("group", "having", "order"))
    if "from_" in select.args and select.args["from_"].this.name.lower() == "dual":
        select.set("from_", None)
    for join in select.args.get("joins") or []:
        if join.args.get("kind") in ("STRAIGHT_JOIN", "INNER", "CROSS"):
            join.set("kind", None if join.args.get("on") or join.args.get("using") else "CROSS")
    if group and group.args.get("rollup") and group.expressions:
        group.set("rollup", [exp.Rollup(expressions=group.expressions)])
        group.set("expressions", [])
    if order and all(isinstance(key.this, exp.Null) for key in order.expressions):
        select.set("order", None)
    aliases = {one.alias.lower(): one.this for one in select.expressions if one.alias}
    for clause in filter(None, (having, order, group)):
        for column in list(clause.find_all(exp.Column)):
            stays = column.table or isinstance(column.parent, (exp.Ordered, exp.Group, exp.Rollup))
            if not stays and column.find_ancestor(exp.AggFunc, exp.Query) is select:
                meant = aliases.get(column.name.lower(), column)
                column.replace(fitted(meant.copy(), column.parent))
    parts = (*select.expressions, having)
    if having and not group and not any(part.find(exp.AggFunc, exp.Window) for part in parts):
        select.where(having.this, copy=False)
        select.set("having", None)


def _literal(node: _Node) -> None:
    if node.is_string and _ZERO_DATE.match(node.name):
        raise UnsupportedError("a date with zeros in it: use NULL")


def _number(node: _Node) -> _Node:
    bits = isinstance(node, exp.BitString)
    return exp.Literal.string(int(node.name, 2) if bits else node.name)


def _several(node: _Node) -> None:
    if node.this.args.get("joins"):
        raise UnsupportedError("UPDATE of several tables: use IN")


def _interval(node: _Node) -> None:
    if isinstance(node.this, exp.Tuple):
        raise UnsupportedError("INTERVAL(): use CASE")


def _moved(date: _Node, amount: _Node, unit: str, sign: str) -> _Node:
    """A date and an interval; MySQL rounds the number, PostgreSQL takes it as it is."""
    known, number = _INTERVAL.fullmatch(unit.upper()), amount.sql().strip("'() ")
    if not known or re.fullmatch(r"-?\d*\.\d+", number):
        raise UnsupportedError("an interval of parts or with a fraction: add parts one by one")
    unit, whole = known[1], re.fullmatch(r"-?\d+", number)
    if whole and BIND.search(number):
        amount, whole = exp.Literal.number(number), None
    form = f"d0 {sign} INTERVAL '{number} {unit}'"
    if not whole or unit == "QUARTER":
        by = number if whole else "CAST(_1 AS INTEGER)"
        one = "3 MONTH" if unit == "QUARTER" else f"1 {unit}"
        form = f"d0 {sign} {by} * INTERVAL '{one}'"
    if kind_of(date) == "date" and unit not in ("SECOND", "MINUTE", "HOUR"):
        form = f"CAST({form} AS DATE)"
    return filled(form, date, amount)


def _add(node: _Node) -> _Node:
    plain, unit = isinstance(node, exp.Anonymous), node.text("unit")
    left, right = node.expressions if plain else (node.this, node.expression)
    minus = isinstance(node, (exp.Sub, exp.DateSub)) or node.name.lower() == "subdate"
    if (plain or unit) and not isinstance(right, exp.Interval):
        right = exp.Interval(this=right, unit=exp.var(unit or "DAY"))
    for date, span in ((left, right), (right, left)):
        if isinstance(span, exp.Interval):
            return _moved(date, span.this, span.text("unit"), "-" if minus else "+")
    if {kind_of(left), kind_of(right)} & {"date", "datetime"}:
        raise UnsupportedError("a date in arithmetic: use INTERVAL or DATEDIFF")
    return _numeric(node)


def _numeric(node: _Node) -> None:
    """A text beside a number counts as a number."""
    for side, other in ((node.this, node.expression), (node.expression, node.this)):
        if kind_of(side) == "text" and kind_of(other) == "number":
            side.replace(exp.cast(side.copy(), exp.DType.DOUBLE))


def _date_format(node: _Node) -> _Node:
    done, parent = called("to_char", node.this, node.args["format"]), node.parent
    if type(parent) in _COMPARED and node.args["format"].name.startswith("%Y-%m-"):
        other = parent.this if node.arg_key != "this" else parent.args.get("expression")
        # The column that a whole date is compared with is more likely of dates than of texts.
        if isinstance(other, (exp.Column, exp.TsOrDsToDate)):
            return exp.cast(done, "TIMESTAMP")
    return done


def _marked(node: _Node) -> _Node:
    """A text that no value gives, so that the marker's value becomes part of the key."""
    return exp.Anonymous(this="MARKED", expressions=[*node.args.values()])


def _convert_tz(node: _Node) -> _Node:
    zones = [node.args["source_tz"], node.args["target_tz"]]
    names = [re.sub(r"^[+-]00:00$", "UTC", zone.name) for zone in zones]
    if any(map(VALUE.search, names)):
        return _marked(node)
    known = all(re.match(r"(?!SYSTEM)[A-Z]\w+", name) for name in names)
    if not known or not all(zone.is_string for zone in zones):
        raise UnsupportedError("CONVERT_TZ with an offset: name the zone")
    return called("zoned", node.args["timestamp"], *map(exp.Literal.string, names))


def _cast(node: _Node) -> _Node:
    kind, sizes = node.to.this.name, node.to.expressions
    known = FACTS["types"].get(kind, "")
    if known.startswith("!"):
        raise UnsupportedError(known[1:])
    if kind in ("BINARY", "VARBINARY", "CHARACTER_SET"):
        node.parent.meta["binary"] = kind != "CHARACTER_SET"
        return node.this  # PostgreSQL's = minds case as BINARY does; LIKE becomes ILIKE
    if "CHAR" in kind and sizes:
        node.to.set("this", exp.DType.VARCHAR)
    elif known and not (kind == "DECIMAL" and sizes):
        node.set("to", exp.DataType.build(known, dialect="postgres"))
    return node


def _like(node: _Node) -> _Node:
    """MySQL's default collations compare without case, as ILIKE does."""
    kind = exp.Like if node.meta.get("binary") else exp.ILike
    return kind(**{**node.args, "this": as_text(node.this)})


def _regexp(node: _Node) -> _Node:
    binary = "c" if node.meta.get("binary") else "i"
    pattern, flag = node.expression, node.text("flag") or binary
    if VALUE.search(pattern.name + flag):
        return _marked(node)
    if flag not in "ic" or (pattern.is_string and _FOREIGN_REGEX.search(pattern.name)):
        raise UnsupportedError("a regular expression with Perl's signs: use POSIX classes")
    return called(f"regexp_{flag}", node.this, pattern)


def _concat(node: _Node) -> _Node:
    """|| is NULL where any part is, as MySQL's CONCAT; it wants a text among the first two."""
    parts, kinds = node.expressions, {kind_of(part) for part in node.expressions[:2]}
    first = "_0" if {"text", "literal"} & kinds else "CAST(_0 AS TEXT)"
    return filled(" || ".join([first, *(f"_{i}" for i in range(1, len(parts)))]), *parts)


def _group_concat(node: _Node) -> _Node:
    order = node.this if isinstance(node.this, exp.Order) else None
    inner = order.this if order else node.this
    distinct = isinstance(inner, exp.Distinct)
    value = inner.expressions[0] if distinct else inner
    if not (order and distinct):  # where PostgreSQL wants the very same value
        value.replace(as_text(value.copy()))
    elif any(key.this != value for key in order.expressions):
        raise UnsupportedError("GROUP_CONCAT of DISTINCT values in another's order: sort later")
    node.set("separator", node.args.get("separator") or exp.Literal.string(","))
    return node


def _count(node: _Node) -> None:
    values = node.this.expressions if isinstance(node.this, exp.Distinct) else ()
    if len(values) > 1:  # as one text, NULL if any is
        form = " || CHR(31) || ".join(f"CAST(_{i} AS TEXT)" for i in range(len(values)))
        node.this.set("expressions", [filled(form, *values)])


def _greatest(node: _Node) -> _Node:
    """NULL if any argument is; PostgreSQL passes over NULLs."""
    parts = [one for one in (node.this, *node.expressions) if not isinstance(one, exp.Literal)]
    nulls = exp.or_(*(part.is_(exp.null()) for part in parts))
    return exp.case().when(nulls, exp.null()).else_(node.copy()) if parts else node


def _field(node: _Node) -> _Node:
    form = "".join(f" WHEN _{i} THEN {i}" for i in range(1, len(node.expressions)))
    return filled(f"CASE _0{form} ELSE 0 END", *node.expressions)


def _elt(node: _Node) -> _Node:
    form = "".join(f" WHEN {i + 1} THEN _{i + 1}" for i in range(len(node.expressions)))
    return filled(f"CASE _0{form} END", node.this, *node.expressions)


def _extract(node: _Node) -> _Node:
    return called(node.name.lower(), node.expression)


def _substring(node: _Node) -> _Node:
    start, length = node.args["start"], node.args.get("length")
    if isinstance(start, exp.Neg):
        return called("substring_end", node.this, start.this, length)
    return called("substring", node.this, start, length)


def _json(node: _Node) -> _Node:
    node.set("this", called(node.key, node.this))
    return node


_RULES: dict[str, Callable[[_Node], _Node]] = {
    name: rule
    for names, rule in {
        "add sub dateadd datesub timestampadd adddate subdate": _add,
        "bitstring national": _number,
        "cast": _cast,
        "concat": _concat,
        "converttimezone": _convert_tz,
        "count": _count,
        "elt": _elt,
        "eq neq gt gte lt lte mul div": _numeric,
        "extract": _extract,
        "field": _field,
        "greatest least": _greatest,
        "groupconcat": _group_concat,
        "interval": _interval,
        "jsonextract jsonextractscalar": _json,
        "like": _like,
        "literal": _literal,
        "regexplike": _regexp,
        "substring": _substring,
        "timetostr": _date_format,
        "update": _several,
    }.items()
    for name in names.split()
}
