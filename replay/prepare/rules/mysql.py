"""MySQL's ways that PostgreSQL and Redshift do not have (MySQL 8.4 Reference Manual, 11 to 14).

Most are functions with a form of their own in `mysql.toml`; here stands what needs a look around.
Limits, for no type or collation of a column is known: equality and order are the target's, so they
mind case; a column of texts beside a number is left to the target; sessions are in one time zone;
a division has more than MySQL's four digits.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects import Postgres

from replay.prepare.unsupported import UnsupportedError

_FACTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_FORMS: dict[str, list[str]] = {
    name: [
        one.replace("NAME", re.split("[:/]", name)[0].upper()).format(**_FACTS["parts"])
        for one in ([form] if isinstance(form, str) else form)
    ]
    for names, form in _FACTS["forms"].items()
    for name in names.split()
}
_BY_VALUE = frozenset(name.split(":")[0] for name in _FORMS if ":" in name)
_KINDS = {name: kind for kind, names in _FACTS["kinds"].items() for name in names.split()}
_MARKER, _BIND = re.compile(r"77\d{5}077|fsq\d{5}q"), re.compile(r"78\d{5}078")
_ZERO_DATE = re.compile(r"\d{4}-(?:00-|\d\d-00)")
# What ICU, MySQL's library, reads otherwise than POSIX: \b, look-around, possessive counts.
_FOREIGN_REGEX = re.compile(r"\\[^\WdDwWsS_]|\(\?[^:]|[*+?}]\+")
_UNITS = frozenset("SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR".split())
_OPERATORS = (exp.Binary, exp.Unary, exp.In, exp.Between, exp.AtTimeZone)
_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_VALUES = (*_OPERATORS, exp.Func, exp.Alias, exp.Ordered, exp.Group, exp.Tuple, exp.Distinct)


class _Verbatim(Postgres):
    """PostgreSQL whose functions stay as a form names them."""

    class Parser(Postgres.Parser):
        FUNCTIONS = {}


def from_mysql(tree: exp.Expr, *, write: str) -> exp.Expr:
    """Give MySQL's constructs a form that `write`, postgres or redshift, reads the same way.

    Raises:
        UnsupportedError: a construct has none.
    """
    for select in list(tree.find_all(exp.Select)):
        _clauses(select)
    root = exp.Tuple(expressions=[tree])
    for node in reversed(list(tree.walk())):  # children before their parents
        utc = isinstance(node, exp.Column) and node.name.lower().startswith("utc_")
        name = node.name.lower() if utc or isinstance(node, exp.Anonymous) else node.key
        rule = _RULES.get(name)
        done = rule(node, write) if rule else _by_form(node, name, write)
        if done is not None and done is not node:
            node.replace(_fitted(done, node.parent))
        _settle(done or node)
    return root.expressions[0].pop()


def _by_form(node: exp.Expr, name: str, write: str) -> exp.Expr | None:
    parts = [node.args.get(key) for key in node.arg_types]
    return _called(name, node.expressions if isinstance(node, exp.Anonymous) else parts, write)


def _called(name: str, parts: Sequence[Any], write: str) -> exp.Expr | None:
    given = [part for part in parts if isinstance(part, exp.Expr)]
    last = given[-1].sql().lower() if given and name in _BY_VALUE else ""
    keys = (f"{name}:{last}", f"{name}/{len(given)}", name)
    form = next((_FORMS[key] for key in keys if key in _FORMS), None)
    # A marker in the place of a value must give another text than any value.
    return _filled(form, parts, write) if form and not _MARKER.search(last) else None


def _filled(form: Sequence[str], parts: Sequence[Any], write: str) -> exp.Expr:
    text = form[-1] if write == "redshift" else form[0]
    if text.startswith("!"):
        raise UnsupportedError(text[1:])
    tree = exp.Tuple(expressions=[_parsed(text).copy()])
    for place in list(tree.find_all(exp.Column)):
        letter, number = place.name[0], place.name[1:]
        part = parts[int(number)].copy() if number.isdecimal() else exp.var(place.name)
        if letter == "t":
            part = _text(part, write)
        elif letter == "d" and _kind(part) == "literal":
            part = exp.cast(part, "TIMESTAMP")
        place.replace(_fitted(part, place.parent))
    return tree.expressions[0].pop()


@lru_cache(maxsize=1000)
def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, read=_Verbatim)


def _text(node: exp.Expr, write: str) -> exp.Expr:
    """Redshift casts arguments of functions of texts by itself, PostgreSQL literals only."""
    known = write == "redshift" or _kind(node) in ("text", "literal")
    return node if known else exp.cast(node, "TEXT")


def _fitted(node: exp.Expr, parent: exp.Expr | None) -> exp.Expr:
    """In parentheses where `parent` is an operator that could take a part of it."""
    tight = isinstance(parent, _OPERATORS) and not isinstance(parent, (exp.Paren, exp.Escape))
    loose = isinstance(node, _OPERATORS) and not isinstance(node, exp.Paren)
    if isinstance(parent, (exp.Connector, exp.Not)):
        loose = isinstance(node, exp.Connector)
    elif isinstance(parent, exp.Predicate):
        loose = loose and _kind(node) == "truth"
    return exp.Paren(this=node) if tight and loose else node


def _kind(node: exp.Expr | None) -> str | None:
    """truth, number, text, literal (a string as yet of no type), date, datetime; None: unknown."""
    if node is None or isinstance(node, (exp.Any, exp.All)):
        return None
    if isinstance(node, (exp.Paren, exp.Alias)):
        return _kind(node.this)
    if isinstance(node, exp.Literal):
        return "literal" if node.is_string else "number"
    if isinstance(node, (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Escape)):
        return "truth"
    if isinstance(node, (exp.Add, exp.Sub)) and node.expression.find(exp.Interval):
        return "datetime"
    name = node.to.this.name if isinstance(node, exp.Cast) else node.key
    return _KINDS.get((node.name if isinstance(node, exp.Anonymous) else name).lower())


def _settle(node: exp.Expr) -> None:
    """Where MySQL's truth is a number: give a condition or value the type its place wants.

    `<> '0'` and `= '1'` are right for a column of numbers and for one of booleans.
    """
    parent, key, kind = node.parent, node.arg_key, _kind(node)
    if isinstance(parent, (exp.Where, exp.Having, exp.Connector, exp.Not)) or (
        (isinstance(parent, exp.Join) and key == "on")
        or (isinstance(parent, exp.Is) and isinstance(parent.expression, exp.Boolean))
        or (isinstance(parent, exp.If) and key == "this" and not parent.parent.args.get("this"))
    ):
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
        select.where(having.this, copy=False)  # one row a row, not one in all
        select.set("having", None)


def _changed(node: exp.Expr, _: str) -> None:
    many = any(node.args.get(key) for key in ("tables", "using", "order", "limit", "ignore"))
    if many or (node.this and node.this.args.get("joins")):
        raise UnsupportedError(f"{node.key.upper()} of several tables, LIMIT or IGNORE: use IN")


def _string(node: exp.Expr, _: str) -> None:
    if node.is_string and _ZERO_DATE.match(node.name):
        raise UnsupportedError("a date with zeros in it: use NULL")


def _moved(date: exp.Expr, amount: exp.Expr, unit: str, sign: str, write: str) -> exp.Expr:
    """A date and an interval. MySQL rounds the number, which the targets take as it is."""
    unit, number = unit.upper().removeprefix("SQL_TSI_"), amount.sql().strip("'() ")
    if unit not in _UNITS or re.fullmatch(r"-?\d*\.\d+", number):
        raise UnsupportedError(f"an interval in {unit} or with a fraction: add its parts apart")
    whole = re.fullmatch(r"-?\d+", number) and not _BIND.search(number)
    if write == "redshift":
        by = number if whole else "CAST(_1 AS INTEGER)"
        text = f"DATEADD({unit}, {f'-{by}'.replace('--', '') if sign == '-' else by}, _0)"
    elif whole and unit != "QUARTER":
        text = f"d0 {sign} INTERVAL '{number} {unit}'"
    else:
        one = "3 MONTH" if unit == "QUARTER" else f"1 {unit}"
        text = f"d0 {sign} CAST(_1 AS INTEGER) * INTERVAL '{one}'"
    if _kind(date) == "date" and unit not in ("SECOND", "MINUTE", "HOUR"):
        text = f"CAST({text} AS DATE)"
    return _filled([text], [date, amount], write)


def _add(node: exp.Expr, write: str) -> exp.Expr | None:
    plain, minus = isinstance(node, exp.Anonymous), node.name.lower() == "subdate"
    sign = "-" if minus or isinstance(node, (exp.Sub, exp.DateSub)) else "+"
    left, right = node.expressions if plain else (node.this, node.expression)
    if plain or node.args.get("unit"):
        right = right if isinstance(right, exp.Interval) else exp.Interval(this=right)
        return _moved(left, right.this, right.text("unit") or node.text("unit") or "DAY", sign, write)
    for date, span in ((left, right), (right, left)):
        if isinstance(span, exp.Interval):
            return _moved(date, span.this, span.text("unit"), sign, write)
    if {_kind(left), _kind(right)} & {"date", "datetime"}:
        raise UnsupportedError("a date in arithmetic: use INTERVAL or DATEDIFF")
    return _numbers(node, write)


def _numbers(node: exp.Expr, _: str) -> None:
    """A text beside a number counts as a number."""
    for side, other in ((node.this, node.expression), (node.expression, node.this)):
        if _kind(side) == "text" and _kind(other) == "number":
            side.replace(exp.cast(side.copy(), exp.DType.DOUBLE))


def _format(node: exp.Expr | None) -> exp.Expr:
    """A format for TO_CHAR, its literal text in double quotes."""
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise UnsupportedError("a date format that is computed: write it as a literal")
    done = ""
    for piece in re.findall(r"%-?.|[^%]+|%", node.name, re.DOTALL):
        known = _FACTS["letters"].get(piece[1:], "") if piece[0] == "%" else ""
        if known.startswith("!"):
            raise UnsupportedError(f"%{known[1:]} in a date format: use EXTRACT or WEEK")
        text = re.sub(r'(["\\])', r"\\\1", piece.removeprefix("%") or piece)
        done += known or (f'"{text}"' if re.search(r'[\w"\\]', text) else text)
    return exp.Literal.string(done)


def _to_char(node: exp.Expr, write: str) -> exp.Expr | None:
    format_, parent, this = node.args.get("format"), node.parent, node.this
    if isinstance(node, exp.UnixToTime):
        this = _called("unixtotime", [this], write)
        if not format_:
            return this
    done = _filled(["TO_CHAR(d0, _1)"], [this, _format(format_)], write)
    if isinstance(parent, _COMPARED) and format_.name.startswith("%Y-%m-"):
        other = parent.this if node.arg_key != "this" else parent.args.get("expression")
        # The column that a whole date is compared with is more likely of dates than of texts.
        if isinstance(other, (exp.Column, exp.TsOrDsToDate)):
            return exp.cast(done, "TIMESTAMP")
    return done


def _from_text(node: exp.Expr, write: str) -> exp.Expr:
    form = "TO_DATE(_0, _1)" if isinstance(node, exp.StrToDate) else "CAST(TO_TIMESTAMP(_0, _1) AS TIMESTAMP)"
    return _filled([form], [node.this, _format(node.args["format"])], write)


def _zones(node: exp.Expr, write: str) -> exp.Expr | None:
    zones = [node.args[key] for key in ("source_tz", "target_tz")]
    if any(_MARKER.search(zone.name) for zone in zones):
        return None
    names = ["UTC" if zone.name in ("+00:00", "-00:00") else zone.name for zone in zones]
    if not all(re.match(r"(?!SYSTEM)[A-Z]\w+", name) for name in names):
        raise UnsupportedError("CONVERT_TZ with an offset: name the zone")
    form = ["CAST(_0 AS TIMESTAMP) AT TIME ZONE _1 AT TIME ZONE _2", "CONVERT_TIMEZONE(_1, _2, _0)"]
    return _filled(form, [node.args["timestamp"], *map(exp.Literal.string, names)], write)


def _cast(node: exp.Expr, _: str) -> exp.Expr:
    kind, sizes = node.to.this.name, node.to.expressions
    known = _FACTS["types"].get(kind, "")
    if known.startswith("!"):
        raise UnsupportedError(known[1:])
    if kind in ("BINARY", "VARBINARY", "CHARACTER_SET"):
        return _binary(node, kind)
    if "CHAR" in kind and sizes:
        node.to.set("this", exp.DType.VARCHAR)
    elif known and not (kind == "DECIMAL" and sizes):
        node.set("to", exp.DataType.build(known, dialect="postgres"))
    return node


def _binary(node: exp.Expr, _: str) -> exp.Expr:
    """Both targets compare as BINARY and COLLATE ..._bin ask for; only LIKE needs to know."""
    if isinstance(node, exp.Collate) and not node.expression.name.lower().endswith("_bin"):
        raise UnsupportedError("COLLATE: compare LOWER(...) of both sides")
    if not node.args.get("to") or node.to.this is not exp.DType.CHARACTER_SET:
        node.parent.meta["binary"] = True
    return node.this


def _like(node: exp.Expr, write: str) -> exp.Expr:
    """MySQL's default collations compare without case, as ILIKE does."""
    kind = exp.Like if node.meta.get("binary") else exp.ILike
    return kind(**{**node.args, "this": _text(node.this, write)})


def _regexp(node: exp.Expr, write: str) -> exp.Expr | None:
    pattern, flag = node.expression, node.text("flag") or "i"
    if _MARKER.search(pattern.name + flag):
        return None
    if flag not in "ic" or (pattern.is_string and _FOREIGN_REGEX.search(pattern.name)):
        raise UnsupportedError("a regular expression with Perl's signs: use POSIX classes")
    if write == "redshift":
        return _filled([f"REGEXP_INSTR(_0, _1, 1, 1, 0, '{flag}') > 0"], [node.this, pattern], write)
    kind = exp.RegexpILike if flag == "i" else exp.RegexpLike
    return kind(this=_text(node.this, write), expression=pattern)


def _concat(node: exp.Expr, write: str) -> exp.Expr:
    """|| is NULL where any part is, as MySQL's CONCAT; it wants a text among the first two."""
    first, *rest = node.expressions
    if not {_kind(part) for part in node.expressions[:2]} & {"text", "literal"}:
        first = exp.cast(first, "TEXT")
    form = " || ".join(f"_{place}" for place in range(len(rest) + 1))
    return _filled([form], [first, *rest], write)


def _concat_ws(node: exp.Expr, write: str) -> exp.Expr:
    rest = range(1, len(node.expressions))
    form = " || ".join(f"COALESCE(_0 || _{place}, '')" for place in rest)
    form = f"SUBSTRING({form}, LENGTH(_0 || '.'))"
    return node if write == "postgres" else _filled([form], node.expressions, write)


def _group_concat(node: exp.Expr, write: str) -> exp.Expr:
    order = node.this if isinstance(node.this, exp.Order) else None
    inner = order.this if order else node.this
    distinct = isinstance(inner, exp.Distinct)
    value = inner.expressions[0] if distinct else inner
    if not (order and distinct):  # where PostgreSQL wants the very same value
        value.replace(_text(value.copy(), write))
    elif any(key.this != value for key in order.expressions):
        raise UnsupportedError("GROUP_CONCAT of DISTINCT values in the order of others: sort later")
    node.set("separator", node.args.get("separator") or exp.Literal.string(","))
    if order and write == "redshift":
        keys = exp.Order(expressions=order.expressions)
        node.set("this", order.this)
        return exp.WithinGroup(this=node.copy(), expression=keys)
    return node


def _count(node: exp.Expr, write: str) -> exp.Expr:
    values = node.this.expressions if isinstance(node.this, exp.Distinct) else ()
    if len(values) > 1 and write == "redshift":
        joined = " || CHR(31) || ".join(f"CAST(_{place} AS TEXT)" for place in range(len(values)))
        node.this.set("expressions", [_filled([joined], values, write)])
    return node


def _greatest(node: exp.Expr, _: str) -> exp.Expr:
    """NULL if any argument is; the targets pass over NULLs."""
    parts = [part for part in (node.this, *node.expressions) if not isinstance(part, exp.Literal)]
    nulls = exp.or_(*(part.is_(exp.null()) for part in parts))
    return exp.case().when(nulls, exp.null()).else_(node.copy()) if parts else node


def _chosen(node: exp.Expr, _: str) -> exp.Expr:
    """FIELD and ELT: which, and which one."""
    field = isinstance(node, exp.Anonymous)
    this, *values = node.expressions if field else (node.this, *node.expressions)
    numbers = [exp.Literal.number(place + 1) for place in range(len(values))]
    pairs = zip(values, numbers, strict=True) if field else zip(numbers, values, strict=True)
    default = exp.Literal.number(0) if field else None
    return exp.Case(this=this, ifs=[exp.If(this=a, true=b) for a, b in pairs], default=default)


def _substring(node: exp.Expr, write: str) -> exp.Expr | None:
    start, length = node.args["start"], node.args.get("length")
    if isinstance(start, exp.Neg):
        return _called("substring_end", [node.this, start.this, length], write)
    return _called("substring", [node.this, start, length], write)


def _json(node: exp.Expr, write: str) -> exp.Expr:
    if isinstance(node, exp.JSONExtract) and write == "redshift" and not isinstance(node.parent, exp.Anonymous):
        raise UnsupportedError("JSON_EXTRACT or ->, which keep quotes: use ->>")
    node.set("this", node.this if write == "redshift" else exp.cast(node.this, "JSON"))
    return node


def _unquoted(node: exp.Expr, write: str) -> exp.Expr | None:
    inner = node.expressions[0]
    if not isinstance(inner, exp.JSONExtract):
        raise UnsupportedError("JSON_UNQUOTE: use ->>")
    return exp.JSONExtractScalar(**inner.args)


def _extract(node: exp.Expr, write: str) -> exp.Expr | None:
    done = _called(node.this.name.lower(), [node.expression], write)
    if done is None or "_" in node.this.name:
        raise UnsupportedError("EXTRACT of this unit: take its parts one by one")
    return done


_RULES: dict[str, Callable[[Any, str], exp.Expr | None]] = {
    **dict.fromkeys("add sub dateadd datesub timestampadd adddate subdate".split(), _add),
    **dict.fromkeys("eq neq gt gte lt lte mul div".split(), _numbers),
    **dict.fromkeys(("update", "delete", "insert"), _changed),
    **dict.fromkeys(("timetostr", "unixtotime"), _to_char),
    **dict.fromkeys(("strtodate", "strtotime"), _from_text),
    **dict.fromkeys(("greatest", "least"), _greatest),
    **dict.fromkeys(("field", "elt"), _chosen),
    **dict.fromkeys(("jsonextract", "jsonextractscalar"), _json),
    "literal": _string, "converttimezone": _zones, "cast": _cast, "collate": _binary,
    "like": _like, "regexplike": _regexp, "concat": _concat, "concatws": _concat_ws,
    "groupconcat": _group_concat, "count": _count, "substring": _substring, "extract": _extract,
    "json_unquote": _unquoted,
    "length": lambda n, w: _called("octet_length" if n.args.get("binary") else "length", [n.this], w),
    "pad": lambda n, w: _called("lpad" if n.args.get("is_left") else "rpad", [n.this, n.expression, n.args["fill_pattern"]], w),
    "trim": lambda n, w: exp.Trim(**{**n.args, "this": _text(n.this, w)}),
    "bitstring": lambda n, w: exp.Literal.string(int(n.name, 2)),
    "national": lambda n, w: exp.Literal.string(n.name),
    "introducer": lambda n, w: n.expression,
}  # fmt: skip
