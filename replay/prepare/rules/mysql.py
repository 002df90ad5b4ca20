"""MySQL's ways that PostgreSQL and Redshift do not have (MySQL 8.4 Reference Manual, 11 to 14).

Most are functions with a form of their own in `mysql.toml`; here stands what needs a look around.
Limits, for no type or collation of a column is known: equality and order are the target's, so they
mind case; a column of texts beside a number is left to the target; sessions are in one time zone;
a division has more than MySQL's four digits; bits of a negative number are signed.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects import Postgres
from sqlglot.errors import SqlglotError

from replay.prepare.unsupported import UnsupportedError

_FACTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_FORMS: dict[str, list[str]] = {
    name: [
        form.replace("NAME", re.split("[:/]", name)[0].upper()).format(**_FACTS["parts"])
        for form in forms
    ]
    for names, forms in _FACTS["forms"].items()
    for name in names.split()
}
_BY_VALUE = {name.split(":")[0] for name in _FORMS if ":" in name}
_KINDS = {name: kind for kind, names in _FACTS["kinds"].items() for name in names.split()}
_MARKER, _BIND = re.compile(r"77\d{5}077|fsq\d{5}q"), re.compile(r"78\d{5}078")
_ZERO_DATE = re.compile(r"\d{4}-(?:00-|\d\d-00)")
# What ICU, MySQL's library, reads otherwise than POSIX: \b, look-around, possessive counts.
_FOREIGN_REGEX = re.compile(r"\\[^\WdDwWsS_]|\(\?[^:]|[*+?}]\+")
_INTERVAL = re.compile(r"(?:SQL_TSI_)?(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|QUARTER|YEAR)")
_OPERATORS = (exp.Binary, exp.Unary, exp.In, exp.Between, exp.AtTimeZone)
_TRUTHS = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Escape)
_VALUES = (*_OPERATORS, exp.Func, exp.Alias, exp.Ordered, exp.Group, exp.Tuple, exp.Distinct)
_Node = Any  # sqlglot's nodes have no types of their own for what they hold


class _Verbatim(Postgres):  # type: ignore[misc]
    """PostgreSQL whose functions stay as a form names them."""

    class Parser(Postgres.Parser):  # type: ignore[misc]
        FUNCTIONS: ClassVar[dict[str, _Node]] = {}


def from_mysql(tree: exp.Expr, *, write: str) -> exp.Expr:
    """Give MySQL's constructs a form that `write`, postgres or redshift, reads the same way.

    Raises:
        UnsupportedError: a construct has none.
    """
    for select in list(tree.find_all(exp.Select)):
        _clauses(select)
    rules, root = _Rules(write), exp.Tuple(expressions=[tree])
    for node in reversed(list(tree.walk())):  # children before their parents
        utc = isinstance(node, exp.Column) and node.name.lower().startswith("utc_")
        name = node.name.lower() if utc or isinstance(node, exp.Anonymous) else node.key
        flagged = {f"{name}+{key}" for key, given in node.args.items() if given} & _FORMS.keys()
        name = flagged.pop() if flagged else name
        rule = getattr(rules, f"on_{name}", None)
        parts = [node.args.get(key) for key in node.arg_types]
        parts = node.expressions if isinstance(node, exp.Anonymous) else parts
        try:
            done = rule(node) if rule else rules.called(name, *parts)
        except (AttributeError, LookupError, TypeError, ValueError, SqlglotError):
            raise UnsupportedError(f"{name.upper()} with these arguments") from None
        if done is not None and done is not node:
            node.replace(_fitted(done, node.parent))
        _settle(done or node)
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
                column.replace(_fitted(meant.copy(), column.parent))
    parts = (*select.expressions, having)
    if having and not group and not any(part.find(exp.AggFunc, exp.Window) for part in parts):
        select.where(having.this, copy=False)
        select.set("having", None)


def _fitted(node: _Node, parent: _Node) -> _Node:
    """In parentheses where `parent` is an operator that could take a part of it."""
    tight = isinstance(parent, _OPERATORS) and not isinstance(parent, (exp.Paren, exp.Escape))
    loose = isinstance(node, _OPERATORS) and not isinstance(node, exp.Paren)
    if isinstance(parent, (exp.Connector, exp.Not)):
        loose = isinstance(node, exp.Connector)
    elif isinstance(parent, exp.Predicate):
        loose = loose and isinstance(node, _TRUTHS)
    return exp.Paren(this=node) if tight and loose else node


def _kind(node: _Node) -> str | None:
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


def _settle(node: _Node) -> None:
    """Where MySQL's truth is a number: give a condition or value the type its place wants.

    `<> '0'` and `= '1'` are right for a column of numbers and for one of booleans.
    """
    parent, key, kind = node.parent, node.arg_key, _kind(node)
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
            node.replace(_fitted(exp.NEQ(this=node.copy(), expression=zero), parent))
    elif kind != "truth" or isinstance(parent, (exp.Escape, exp.Is, exp.Paren)):
        return
    elif isinstance(parent, _VALUES) or (isinstance(parent, exp.Select) and key == "expressions"):
        if not isinstance(node, exp.Boolean):
            node.replace(exp.cast(node.unnest().copy(), "INTEGER"))
        elif isinstance(parent, (exp.Predicate, exp.Coalesce, exp.Nullif, exp.Tuple)):
            node.replace(exp.Literal.string(int(node.this)))
        else:
            node.replace(exp.Literal.number(int(node.this)))


@lru_cache(maxsize=1000)
def _parsed(text: str) -> _Node:
    return sqlglot.parse_one(text, read=_Verbatim)


class _Rules:
    """What a node of MySQL's becomes on one target: None or itself where it stays."""

    def __init__(self, write: str) -> None:
        self._redshift = write == "redshift"

    def called(self, name: str, *parts: _Node) -> _Node:
        """The form of a function with these arguments."""
        given = [part for part in parts if isinstance(part, exp.Expr)]
        last = given[-1].sql().lower() if given and name in _BY_VALUE else ""
        keys = (f"{name}:{last}", f"{name}/{len(given)}", name)
        forms = next((_FORMS[key] for key in keys if key in _FORMS), None)
        # A marker in the place of a value must give another text than any value.
        return self._filled(*parts, forms=forms) if forms and not _MARKER.search(last) else None

    def _filled(self, *parts: _Node, forms: list[str]) -> _Node:
        form = forms[-1] if self._redshift else forms[0]
        if form.startswith("!"):
            raise UnsupportedError(form[1:])
        tree = exp.Tuple(expressions=[_parsed(form).copy()])
        for place in list(tree.find_all(exp.Column)):
            letter, number = place.name[0], place.name[1:]
            part = parts[int(number)].copy() if number.isdecimal() else exp.var(place.name)
            if letter == "d" and _kind(part) == "literal":
                part = exp.cast(part, "TIMESTAMP")
            part = self._text(part) if letter == "t" else part
            part = self._format(part) if letter == "f" else part
            place.replace(_fitted(part, place.parent))
        return tree.expressions[0].pop()

    def _text(self, node: _Node) -> _Node:
        """Redshift casts arguments of functions of texts by itself, PostgreSQL literals only."""
        known = self._redshift or _kind(node) in ("text", "literal")
        return node if known else exp.cast(node, "TEXT")

    def on_literal(self, node: _Node) -> None:
        if node.is_string and _ZERO_DATE.match(node.name):
            raise UnsupportedError("a date with zeros in it: use NULL")

    def on_update(self, node: _Node) -> None:
        if node.this.args.get("joins"):
            raise UnsupportedError("UPDATE of several tables: use IN")

    def on_interval(self, node: _Node) -> None:
        if isinstance(node.this, exp.Tuple):
            raise UnsupportedError("INTERVAL(): use CASE")

    def _moved(self, date: _Node, amount: _Node, unit: str, sign: str) -> _Node:
        """A date and an interval; MySQL rounds the number, the targets take it as it is."""
        known, number = _INTERVAL.fullmatch(unit.upper()), amount.sql().strip("'() ")
        if not known or re.fullmatch(r"-?\d*\.\d+", number):
            raise UnsupportedError("an interval of parts or with a fraction: add parts one by one")
        unit, whole = known[1], re.fullmatch(r"-?\d+", number)
        if whole and _BIND.search(number):
            amount, whole = exp.Literal.number(number), None
        by = number if whole else "CAST(_1 AS INTEGER)"
        if self._redshift:
            by = f"-{by}".removeprefix("--") if sign == "-" else by
            form = f"DATEADD({unit}, {by}, _0)"
        elif whole and unit != "QUARTER":
            form = f"d0 {sign} INTERVAL '{number} {unit}'"
        else:
            one = "3 MONTH" if unit == "QUARTER" else f"1 {unit}"
            form = f"d0 {sign} {by} * INTERVAL '{one}'"
        if _kind(date) == "date" and unit not in ("SECOND", "MINUTE", "HOUR"):
            form = f"CAST({form} AS DATE)"
        return self._filled(date, amount, forms=[form])

    def on_add(self, node: _Node) -> _Node:
        plain, unit = isinstance(node, exp.Anonymous), node.text("unit")
        left, right = node.expressions if plain else (node.this, node.expression)
        minus = isinstance(node, (exp.Sub, exp.DateSub)) or node.name.lower() == "subdate"
        if (plain or unit) and not isinstance(right, exp.Interval):
            right = exp.Interval(this=right, unit=exp.var(unit or "DAY"))
        for date, span in ((left, right), (right, left)):
            if isinstance(span, exp.Interval):
                return self._moved(date, span.this, span.text("unit"), "-" if minus else "+")
        if {_kind(left), _kind(right)} & {"date", "datetime"}:
            raise UnsupportedError("a date in arithmetic: use INTERVAL or DATEDIFF")
        return self.on_eq(node)

    on_sub = on_dateadd = on_datesub = on_timestampadd = on_adddate = on_subdate = on_add

    def on_eq(self, node: _Node) -> _Node:
        """A text beside a number counts as a number."""
        for side, other in ((node.this, node.expression), (node.expression, node.this)):
            if _kind(side) == "text" and _kind(other) == "number":
                side.replace(exp.cast(side.copy(), exp.DType.DOUBLE))

    on_neq = on_gt = on_gte = on_lt = on_lte = on_mul = on_div = on_eq

    def _format(self, node: _Node) -> _Node:
        """A format of TO_CHAR's, which has literal text in double quotes."""
        if not node.is_string:
            raise UnsupportedError("a date format that is computed: write it as a literal")
        done = ""
        for piece in re.findall(r"%-?.|[^%]+|%", node.name, re.DOTALL):
            known = _FACTS["letters"].get(piece[1:], "") if piece[0] == "%" else ""
            if known.startswith("!"):
                raise UnsupportedError(f"%{known[1:]} in a date format: use EXTRACT or WEEK")
            text = re.sub(r'(["\\])', r"\\\1", piece.removeprefix("%") or piece)
            done += known or (f'"{text}"' if re.search(r'[\w"\\]', text) else text)
        return exp.Literal.string(done)

    def on_timetostr(self, node: _Node) -> _Node:
        done, parent = self.called("to_char", node.this, node.args["format"]), node.parent
        compared = type(parent) in (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
        if compared and node.args["format"].name.startswith("%Y-%m-"):
            other = parent.this if node.arg_key != "this" else parent.args.get("expression")
            # The column that a whole date is compared with is more likely of dates than of texts.
            if isinstance(other, (exp.Column, exp.TsOrDsToDate)):
                return exp.cast(done, "TIMESTAMP")
        return done

    def on_converttimezone(self, node: _Node) -> _Node:
        zones = [node.args["source_tz"], node.args["target_tz"]]
        names = [re.sub(r"^[+-]00:00$", "UTC", zone.name) for zone in zones]
        if any(map(_MARKER.search, names)):
            return exp.Anonymous(this="MARKED", expressions=[*node.args.values()])
        known = all(re.match(r"(?!SYSTEM)[A-Z]\w+", name) for name in names)
        if not known or not all(zone.is_string for zone in zones):
            raise UnsupportedError("CONVERT_TZ with an offset: name the zone")
        return self.called("zoned", node.args["timestamp"], *map(exp.Literal.string, names))

    def on_cast(self, node: _Node) -> _Node:
        kind, sizes = node.to.this.name, node.to.expressions
        known = _FACTS["types"].get(kind, "")
        if known.startswith("!"):
            raise UnsupportedError(known[1:])
        if kind in ("BINARY", "VARBINARY", "CHARACTER_SET"):
            node.parent.meta["binary"] = kind != "CHARACTER_SET"
            return node.this  # the targets' = minds case as BINARY does; LIKE becomes ILIKE
        if "CHAR" in kind and sizes:
            node.to.set("this", exp.DType.VARCHAR)
        elif known and not (kind == "DECIMAL" and sizes):
            node.set("to", exp.DataType.build(known, dialect="postgres"))
        return node

    def on_like(self, node: _Node) -> _Node:
        """MySQL's default collations compare without case, as ILIKE does."""
        kind = exp.Like if node.meta.get("binary") else exp.ILike
        return kind(**{**node.args, "this": self._text(node.this)})

    def on_regexplike(self, node: _Node) -> _Node:
        pattern, flag = node.expression, node.text("flag") or "i"
        if _MARKER.search(pattern.name + flag):
            return exp.Anonymous(this="MARKED", expressions=[*node.args.values()])
        if flag not in "ic" or (pattern.is_string and _FOREIGN_REGEX.search(pattern.name)):
            raise UnsupportedError("a regular expression with Perl's signs: use POSIX classes")
        return self.called(f"regexp_{flag}", node.this, pattern)

    def on_concat(self, node: _Node) -> _Node:
        """|| is NULL where any part is, as MySQL's CONCAT; it wants a text among the first two."""
        parts, kinds = node.expressions, [_kind(part) for part in node.expressions[:2]]
        first = "_0" if {"text", "literal"} & {*kinds} else "CAST(_0 AS TEXT)"
        rest = [f"_{place}" for place in range(1, len(parts))]
        return self._filled(*parts, forms=[" || ".join([first, *rest])])

    def on_concatws(self, node: _Node) -> _Node:
        rest = range(1, len(node.expressions))
        form = " || ".join(f"COALESCE(_0 || _{place}, '')" for place in rest)
        form = f"SUBSTRING({form}, LENGTH(_0 || '.'))"
        return self._filled(*node.expressions, forms=[form]) if self._redshift else node

    def on_groupconcat(self, node: _Node) -> _Node:
        order = node.this if isinstance(node.this, exp.Order) else None
        inner = order.this if order else node.this
        distinct = isinstance(inner, exp.Distinct)
        value = inner.expressions[0] if distinct else inner
        if not (order and distinct):  # where PostgreSQL wants the very same value
            value.replace(self._text(value.copy()))
        elif any(key.this != value for key in order.expressions):
            raise UnsupportedError("GROUP_CONCAT of DISTINCT values in another's order: sort later")
        node.set("separator", node.args.get("separator") or exp.Literal.string(","))
        if order and self._redshift:
            node.set("this", inner)
            order = exp.Order(expressions=order.expressions)
            return exp.WithinGroup(this=node.copy(), expression=order)
        return node

    def on_count(self, node: _Node) -> None:
        values = node.this.expressions if isinstance(node.this, exp.Distinct) else ()
        if len(values) > 1 and self._redshift:
            form = " || CHR(31) || ".join(f"CAST(_{place} AS TEXT)" for place in range(len(values)))
            node.this.set("expressions", [self._filled(*values, forms=[form])])

    def on_greatest(self, node: _Node) -> _Node:
        """NULL if any argument is; the targets pass over NULLs."""
        parts = [one for one in (node.this, *node.expressions) if not isinstance(one, exp.Literal)]
        nulls = exp.or_(*(part.is_(exp.null()) for part in parts))
        return exp.case().when(nulls, exp.null()).else_(node.copy()) if parts else node

    on_least = on_greatest

    def on_field(self, node: _Node) -> _Node:
        form = "".join(f" WHEN _{i} THEN {i}" for i in range(1, len(node.expressions)))
        return self._filled(*node.expressions, forms=[f"CASE _0{form} ELSE 0 END"])

    def on_elt(self, node: _Node) -> _Node:
        form = "".join(f" WHEN {i + 1} THEN _{i + 1}" for i in range(len(node.expressions)))
        return self._filled(node.this, *node.expressions, forms=[f"CASE _0{form} END"])

    def on_extract(self, node: _Node) -> _Node:
        return self.called(f"extract_{node.name.lower()}", node.expression)

    def on_substring(self, node: _Node) -> _Node:
        start, length = node.args["start"], node.args.get("length")
        if isinstance(start, exp.Neg):
            return self.called("substring_end", node.this, start.this, length)
        return self.called("substring", node.this, start, length)

    def on_jsonextract(self, node: _Node) -> _Node:
        node.set("this", self.called(node.key, node.this))
        return node

    on_jsonextractscalar = on_jsonextract

    def on_national(self, node: _Node) -> _Node:
        bits = isinstance(node, exp.BitString)
        return exp.Literal.string(int(node.name, 2) if bits else node.name)

    on_bitstring = on_national
