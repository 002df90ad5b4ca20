"""What Redshift lacks or has otherwise (Amazon Redshift Database Developer Guide, by page)."""

from __future__ import annotations

import re
from functools import partial

from sqlglot import exp
from sqlglot.transforms import eliminate_window_clause

from replay.prepare.marker import VALUE
from replay.prepare.rules.form import Form, built, called, form, given, output, refuse, rewrite
from replay.prepare.rules.moment import dateadd, extract, has_months, of_now
from replay.prepare.unsupported import UnsupportedError

_T = exp.DType
_FIRST_MATCH = "regexp_replace of the first match or with references: flag 'g'"
_OTHER_FORMAT = r"(?i)%[ab]|TM|SSSS|FF\d|TZ[HM]|fs\S{6,10}q"
_PATHS = {"jsonbextract": "#>", "jsonbextractscalar": "#>>"}
_OF_TEXTS = "ilike left length like lower md5 pad regexpilike regexplike repeat replace reverse "
_OF_TEXTS += "right splitpart strposition substring upper"
_LIKES = (exp.Like, exp.ILike)
_RE = ("regexplike", "regexpilike", "similarto")
_SEPARATOR = "string_agg with a separator for each row: a constant"
_NO_INTERVAL = "cast to interval: n * INTERVAL '1 day'"
_ROWS = "keep the values in rows"
_JSON = (exp.JSONExtract, exp.JSONExtractScalar)
_ORDERS = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile)
_CONSTANTS = (exp.Literal, exp.Parameter, type(None))
_TYPES = {_T.ARRAY, _T.JSON, _T.JSONB, _T.HSTORE, _T.XML, _T.VARBINARY, _T.BIT, _T.USERDEFINED}
_TYPES |= {_T.INET, _T.MONEY, _T.TSRANGE, _T.TSTZRANGE, _T.DATERANGE, _T.INT4RANGE, _T.INT8RANGE}
# Alone VARCHAR is 256 long and DECIMAL has no fraction (Character types, Numeric types); quotients
# of two such keep 8 digits after the point, products 18 before it.
_ALONE = {_T.VARCHAR: "TEXT", _T.NVARCHAR: "TEXT", _T.BPCHAR: "TEXT", _T.DECIMAL: "DECIMAL(30, 10)"}


def _every(node: exp.Expr) -> str:
    """The flags `g`, `gi` where every match is replaced by a plain text, else empty."""
    new, flags = node.args.get("replacement"), node.text("modifiers")
    if not node.args.get("single_replace"):
        return "" if node.args.get("position") else f"g{flags}"
    given = new.name if isinstance(new, exp.Literal) else "$"
    plain = re.fullmatch(r"[^\\$]*", given) and not VALUE.search(given)
    return flags if plain and flags in ("g", "gi") else ""


def _implied(cast: exp.Expr) -> bool:
    """True for a cast to a text that Redshift makes unasked (Type compatibility and conversion).

    VARCHAR(MAX) would take that much memory for each row of a sort or a group (Best practices).
    """
    of_text = cast.arg_key == "this" and cast.parent and cast.parent.key in _OF_TEXTS.split()
    return bool(of_text) and cast.is_type("text") and isinstance(cast.this, exp.Column)


def _frameless(window: exp.Expr) -> bool:
    """True for an ordered aggregate without a frame of ROWS, which it needs (Window functions)."""
    spec = window.args.get("spec")
    rows = spec and spec.args["kind"].upper() == "ROWS" and not spec.args.get("exclude")
    return (
        not rows
        and bool(window.args.get("order"))
        and not window.this.find(*_RANKS, exp.Lag, exp.Lead)
    )


def _tied(window: exp.Expr) -> bool:
    """True unless ROWS do for RANGE, which has all ties: a first value, a row for each group."""
    spec, select = window.args.get("spec"), window.find_ancestor(exp.Select)
    if not _frameless(window) or (window.this.find(exp.FirstValue) and not spec):
        return False
    group = select.args.get("group") if select else None
    if spec or not group or any(map(group.args.get, ("grouping_sets", "cube", "rollup"))):
        return True
    order = window.args["order"].expressions
    keys = [*(window.args.get("partition_by") or []), *(each.this for each in order)]
    for key in group.expressions:
        out = output(select, key)
        # A name is a column's first, an alias where no column of this name is behind it.
        known = out in keys and key.name not in {each.name for each in out.find_all(exp.Column)}
        if key not in keys and not known:
            return True
    return False


def _unnamed(values: exp.Expr) -> bool:
    """True for columns that PostgreSQL calls column1, column2; `_values` stands in a CTE."""
    alias, cte = values.args.get("alias"), values.find_ancestor(exp.CTE)
    alias = cte.args["alias"] if cte and values.alias == "_values" else alias
    return not (alias and alias.columns) and not isinstance(values.parent, exp.Insert)


_FUNCTIONS = {
    r"array\w*|cardinality|(string|regexp_split)_to_\w+|regexp_match(es)?": _ROWS,
    r"jsonb?_(?!extract)\w+|(row_|array_)?to_jsonb?": "->> takes one value as text",
    r"age|date_bin": "DATEDIFF, MONTHS_BETWEEN, DATE_TRUNC",
    r"make_interval|justify_\w+": "n * INTERVAL '1 day'",
    r"(date|time|timestamp)_from_parts": "TO_DATE or TO_TIMESTAMP of a text",
    r"corr|covar_\w+|regr_\w+|bitwise_xor_agg|mode|percentile_disc": "sums, or ROW_NUMBER()",
    r"nextval|currval|lastval|setval": "an IDENTITY column",
    r"localtime|current_time|current_catalog": "GETDATE() or CURRENT_DATABASE()",
    r"overlay|format|encode|decode|convert_(from|to)|bit_length|quote_\w+|\w*to_ts\w+": "||",
    r"width_bucket|setseed|factorial|gcd|lcm|(\w+_)?scale|num_n\w+": "TRUNC(a / b), CASE",
    r"row|lo_\w+|txid_\w+|to_reg\w+|set_config|inet_\w+": "no counterpart",
    r"pg_sleep\w*|pg_\w*(lock|size|pretty|typeof)": "no counterpart",
}
_LACKING: list[Form] = [
    (exp.AggFunc, lambda n: n.args.get("default"), "default of lag(): COALESCE"),
    (exp.Alias, lambda n: n.this.is_number and re.match(r"_\d", n.alias), "1_000: 1000"),
    (exp.ArrayContainsAll, bool, f"operator @>: {_ROWS}"),
    (exp.Binary, lambda n: _PATHS.get(n.key), "operator {}: ->> of ->"),
    (exp.Bracket, bool, f"subscripts: {_ROWS}"),
    (exp.CTE, lambda n: not isinstance(n.this, exp.Query), "writing in WITH: two statements"),
    (exp.Cast, lambda n: n.is_type("interval") and not n.this.is_string, _NO_INTERVAL),
    (exp.Collate, lambda n: n.expression.name not in ("C", "POSIX"), "COLLATE: drop it"),
    (exp.Condition, lambda n: n.key in ("bitstring", "hexstring"), "bit strings: a number"),
    (exp.DataType, lambda n: n.this in _TYPES and n.this.value, "type {}: a text or number"),
    (exp.Delete, lambda n: n.this.alias, "alias in DELETE: the table's name"),
    (
        exp.Distinct,
        lambda n: n.expressions[1:] or exp.Tuple in map(type, n.expressions),
        "DISTINCT of several: ||",
    ),
    (exp.Expr, lambda n: n.key in _RE and n.expression.find(exp.Column), "column as pattern: LIKE"),
    (exp.Expr, lambda n: n.key in ("explode", "unnest"), f"unnest: {_ROWS}"),
    (exp.ExplodingGenerateSeries, bool, "generate_series: join a table of numbers or a calendar"),
    (exp.GroupConcat, lambda n: type(n.args.get("separator")) not in _CONSTANTS, _SEPARATOR),
    (exp.JSONExtract, lambda n: not n.find_ancestor(*_JSON), "-> for a value: ->> takes its text"),
    (exp.JSONExtractScalar, lambda n: n.expression.key != "jsonpath", "->> of no name: its name"),
    (exp.JSONPathSubscript, bool, "->> of a number: JSON_EXTRACT_ARRAY_ELEMENT_TEXT"),
    (exp.Lateral, bool, "LATERAL: join a derived table"),
    (exp.LimitOptions, lambda n: n.args.get("with_ties"), "WITH TIES: RANK()"),
    (exp.Lock, bool, "row locks (FOR UPDATE): drop them"),
    (exp.OnConflict, bool, "ON CONFLICT: MERGE"),
    (exp.Overlaps, bool, "OVERLAPS: compare starts with ends"),
    (exp.RegexpReplace, lambda n: not _every(n), _FIRST_MATCH),
    (exp.Returning, bool, "RETURNING: a statement of its own"),
    (exp.SubqueryPredicate, lambda n: isinstance(n.parent, _LIKES), "LIKE ANY or ALL: OR, AND"),
    (exp.TimeToStr, lambda n: re.search(_OTHER_FORMAT, n.text("format")), "format like this: Mon"),
    (exp.TimestampTrunc, lambda n: n.args.get("zone"), "date_trunc in a zone: AT TIME ZONE"),
    # Before PostgreSQL 8.2 each pair was compared for itself; Redshift comes from 8.0.
    (exp.Tuple, lambda n: isinstance(n.parent, _ORDERS), "order of rows: column by column"),
    (exp.UnicodeString, bool, "U&'...': the character itself"),
    (exp.Values, _unnamed, "VALUES without names for its columns: v(a, b), or SELECT"),
    (exp.Window, _tied, "frame of peers (the default): a unique order, ROWS UNBOUNDED PRECEDING"),
    *((exp.Func, partial(called, names), f"{{}}(): {hint}") for names, hint in _FUNCTIONS.items()),
]
_LEFT: list[Form] = [(exp.Interval, has_months, "months in an interval like this: DATEADD")]
_SAME = ":this = :expression AND NOT :this IS NULL AND NOT :expression IS NULL"
_SAME = f"({_SAME} OR :this IS NULL AND :expression IS NULL)"
_REPLACE = "__REGEXP_REPLACE(:this, :expression, :replacement"
_MATCH = "CASE WHEN :this ~ :start THEN __REGEXP_SUBSTR(:this, :start, 1, 1, 'e') END"


def to_redshift(tree: exp.Expr) -> exp.Expr:
    """Give constructs that Redshift lacks or reads otherwise a form that it has.

    Not seen, for want of types: VARCHAR(n) counts bytes, LISTAGG drops empty strings, quotients of
    DECIMALs have fewer digits, comparisons ignore trailing blanks and know no collation.

    Raises:
        UnsupportedError: a construct has none.
    """
    for select in tree.find_all(exp.Select):
        eliminate_window_clause(select)
    for node in list(tree.find_all(exp.EQ, exp.NEQ, exp.CTE, *_JSON)):
        _unwrap(node)
    refuse(tree, _LACKING, "redshift")
    tree = rewrite(tree, _FORMS)
    refuse(tree, _LEFT, "redshift")
    return tree


def _unwrap(node: exp.Expr) -> None:
    """JSON without its cast, WITH without a plan, `= ANY` and `<> ALL` of a list as [NOT] IN."""
    inner, right = node.this.unnest(), node.expression
    node.set("materialized", None)
    if isinstance(node, _JSON) and isinstance(inner, exp.Cast):
        node.set("this", inner.this if inner.is_type(_T.JSON, _T.JSONB) else inner)
    word = right.name.lower() if isinstance(right, exp.Anonymous) else right.key if right else ""
    if word not in {"eq": ("any", "some"), "neq": ("all",)}.get(node.key, ()):
        return
    found = (right.expressions[0] if right.expressions else right.this).unnest()
    if isinstance(found, exp.Query):
        return
    array = found.this.unnest() if isinstance(found, exp.Cast) else found
    values = array.expressions
    if not isinstance(array, exp.Array):
        if not array.is_string or not re.fullmatch(r'\s*\{[^\\"{}]*\}\s*', array.name):
            raise UnsupportedError("redshift has no ANY or ALL of a bind or column: IN")
        words = [each.strip() for each in array.name.strip()[1:-1].split(",") if each.strip()]
        values = [exp.null() if each == "NULL" else exp.Literal.string(each) for each in words]
    if array is not found and not found.to.expressions[0].is_type(*exp.DataType.TEXT_TYPES):
        values = [exp.cast(value, found.to.expressions[0]) for value in values]
    listed = exp.In(this=node.this, expressions=values) if values else exp.false()
    node.replace(listed if isinstance(node, exp.EQ) else exp.not_(listed))


def _filter(node: exp.Expr) -> exp.Expr:
    """FILTER as CASE inside: the aggregates that are left ignore NULL."""
    call: exp.Expr = node.this
    inside = call.this if isinstance(call, exp.WithinGroup) else call
    if not isinstance(inside, exp.AggFunc) or inside.args.get("expressions"):
        raise UnsupportedError("redshift has no FILTER on this aggregate: CASE inside it")
    by = call.expression.expressions[0] if isinstance(inside, exp.PercentileCont) else inside
    argument = given(by)
    kept: exp.Expr = exp.convert(1) if isinstance(argument, exp.Star) else argument.copy()
    argument.replace(exp.Case(ifs=[exp.If(this=node.expression.this, true=kept)]))
    return call


def _listagg(node: exp.Expr) -> exp.Expr:
    """ORDER BY goes to WITHIN GROUP (LISTAGG function)."""
    call = exp.GroupConcat(this=node.this.this, separator=node.args.get("separator"))
    return exp.WithinGroup(this=call, expression=exp.Order(expressions=node.this.expressions))


def _framed(node: exp.Expr) -> exp.Expr:
    frame = {"start": "UNBOUNDED", "start_side": "PRECEDING", "end": "CURRENT ROW"}
    node.set("spec", exp.WindowSpec(kind="ROWS", **frame))
    return node


def _first(node: exp.Expr) -> exp.Expr:
    """DISTINCT ON as QUALIFY, which comes before ORDER BY and LIMIT too."""
    order, on = node.args.get("order"), node.args["distinct"].args["on"].expressions
    on = [output(node, key).copy() for key in on]
    by = order.copy() if order else exp.Order(expressions=[exp.Ordered(this=key) for key in on])
    for each in by.expressions:
        each.set("this", output(node, each.this).copy())
    number = exp.Window(this=exp.RowNumber(), partition_by=on, order=by)
    node.set("distinct", None)
    node.set("qualify", exp.Qualify(this=exp.EQ(this=number, expression=exp.convert(1))))
    if not any(map(node.args.get, ("where", "group", "having"))):
        # Right after FROM the last table would need an alias (QUALIFY clause).
        node.set("where", exp.Where(this=exp.true()))
    return node


def _concat(node: exp.Expr) -> exp.Expr:
    """CONCAT() leaves NULL out; Redshift's takes two and NULL makes all NULL (CONCAT function)."""
    text = "COALESCE(CAST(:each AS TEXT), '')"
    texts = [each if each.is_string else form(text, each=each) for each in node.expressions]
    return exp.Concat(expressions=texts)


def _concat_ws(node: exp.Expr) -> exp.Expr:
    by, *given = node.expressions
    texts = [form("COALESCE(:by || CAST(:each AS TEXT), '')", by=by, each=each) for each in given]
    return form("SUBSTRING(:all, LENGTH(:by) + 1)", by=by, all=exp.Concat(expressions=texts))


# What is written in another way whatever its literals: `given` is what an aggregate takes.
_FORMS: list[Form] = [
    (exp.Add, bool, dateadd),
    (exp.Anonymous, partial(called, "every"), "BOOL_AND(:first)"),
    (exp.Anonymous, partial(called, "transaction_timestamp|now"), "SYSDATE"),
    (exp.Anonymous, partial(called, "(clock|statement)_timestamp"), "GETDATE()"),
    (exp.AtTimeZone, lambda n: of_now(n.this), "CAST(:this AS TIMESTAMPTZ) AT TIME ZONE :zone"),
    # Of integers it is an integer, of DECIMALs it has no more digits (AVG function).
    (exp.Avg, lambda n: n.find(exp.Distinct), "AVG(DISTINCT CAST(:given AS DOUBLE PRECISION))"),
    (exp.Avg, bool, "AVG(CAST(:given AS DOUBLE PRECISION))"),
    (exp.Cast, _implied, lambda n: n.this),
    (exp.Cast, lambda n: n.is_type("interval"), "INTERVAL :this"),
    (exp.Cast, lambda n: n.is_type("uuid"), "LOWER(CAST(:this AS VARCHAR(36)))"),
    (exp.Collate, bool, "(:this)"),
    (exp.Column, lambda n: n.sql().lower() == "user", "CURRENT_USER"),
    (exp.Concat, lambda n: n.args.get("coalesce"), _concat),
    (exp.ConcatWs, bool, _concat_ws),
    # GETDATE() has no fraction of a second (SYSDATE function).
    (exp.CurrentTimestamp, bool, "SYSDATE"),
    (exp.DataType, bool, partial(built, _ALONE)),
    (exp.Extract, bool, extract),
    (exp.Filter, bool, _filter),
    (exp.GroupConcat, lambda n: isinstance(n.this, exp.Order), _listagg),
    (exp.Hex, bool, "__TO_HEX(:this)"),
    # ILIKE is for ASCII alone (LIKE), and `~*` is no operator (POSIX operators).
    (exp.ILike, lambda n: n.args.get("negate"), "LOWER(:this) NOT LIKE LOWER(:expression)"),
    (exp.ILike, bool, "LOWER(:this) LIKE LOWER(:expression)"),
    (exp.Localtimestamp, bool, "CAST(SYSDATE AS TIMESTAMP)"),
    (exp.NullSafeEQ, bool, _SAME),
    (exp.NullSafeNEQ, bool, f"NOT {_SAME}"),
    (exp.RegexpILike, bool, "REGEXP_INSTR(:this, :expression, 1, 1, 0, 'i') > 0"),
    (exp.RegexpReplace, lambda n: _every(n) == "g", f"{_REPLACE})"),
    (exp.RegexpReplace, lambda n: _every(n) == "gi", f"{_REPLACE}, 1, 'i')"),
    (exp.Select, lambda n: n.args.get("distinct") and n.args["distinct"].args.get("on"), _first),
    (exp.StartsWith, bool, "LEFT(:this, LENGTH(:expression)) = :expression"),
    # No match is an empty text, in PostgreSQL NULL (REGEXP_SUBSTR function).
    (exp.Substring, lambda n: n.args["start"].is_string and not n.args.get("length"), _MATCH),
    (exp.Sub, bool, dateadd),
    (exp.UnixToTime, bool, "(TIMESTAMPTZ '1970-01-01 00:00:00+00' + :this * INTERVAL '1 SECOND')"),
    (exp.Window, _frameless, _framed),
]
