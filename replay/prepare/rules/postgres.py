"""Redshift's ways that PostgreSQL has otherwise (Amazon Redshift Database Developer Guide)."""

from __future__ import annotations

from functools import partial

from sqlglot import exp

from replay.prepare.rules.form import Form, built, called, form, refuse, rewrite
from replay.prepare.unsupported import UnsupportedError

_T = exp.DType
_STORED = (exp.DistKeyProperty, exp.DistStyleProperty, exp.SortKeyProperty)
_PARTS = {"DAYOFWEEK": "DOW", "DW": "DOW", "WEEKDAY": "DOW", "DAYOFYEAR": "DOY", "DY": "DOY"}
_PARTS |= {"YEARDAY": "DOY", "QTR": "QUARTER", "W": "WEEK", "M": "MINUTE", "YR": "YEAR"}
_ALONE = {_T.VARCHAR: "VARCHAR(256)", _T.BPCHAR: "CHAR(256)", _T.DECIMAL: "DECIMAL(18, 0)"}
# DATEDIFF counts the boundaries that are crossed (DATEDIFF function).
_YEARS = "EXTRACT(YEAR FROM :this) - EXTRACT(YEAR FROM :expression)"
_SINCE = "EXTRACT(EPOCH FROM DATE_TRUNC('{0}', :this) - DATE_TRUNC('{0}', :expression)) / {1}"
_CROSSED = {
    "YEAR": _YEARS,
    "MONTH": f"({_YEARS}) * 12 + EXTRACT(MONTH FROM :this) - EXTRACT(MONTH FROM :expression)",
    "QUARTER": f"({_YEARS}) * 4 + EXTRACT(QUARTER FROM :this) - EXTRACT(QUARTER FROM :expression)",
    "DAY": "CAST(:this AS DATE) - CAST(:expression AS DATE)",
    "HOUR": _SINCE.format("hour", 3600),
    "MINUTE": _SINCE.format("minute", 60),
    "MICROSECOND": "EXTRACT(EPOCH FROM :this - :expression) * 1000000",
    "SECOND": _SINCE.format("second", 1),
}
_SUBSTR = "CASE WHEN NOT :this IS NULL THEN COALESCE(__REGEXP_SUBSTR(:this, :expression), '') END"
_REPLACE = "__REGEXP_REPLACE(:this, :expression, :replacement, 'g')"
_LACKING: list[Form] = [
    (exp.Bracket, bool, "SUPER: columns"),
    (exp.Copy, bool, "COPY from S3: psql"),
    (exp.DataType, lambda n: n.this in (_T.SUPER, _T.HLLSKETCH), "SUPER, HLLSKETCH: columns"),
    (exp.Extract, lambda n: n.name.upper()[:3] == "SEC", "SECOND without a fraction: FLOOR"),
    (exp.Func, partial(called, "months_between|next_day|ratio_to_report"), "{}(): AGE()"),
    (exp.JSONExtractScalar, lambda n: n.expressions, "null_if_invalid: valid JSON"),
    (exp.RegexpExtract, lambda n: n.args.get("position"), "REGEXP_SUBSTR like this: SUBSTRING"),
    (exp.RegexpReplace, lambda n: n.args.get("position"), "REGEXP_REPLACE like this: two texts"),
    (exp.TsOrDsDiff, lambda n: n.text("unit").upper() not in _CROSSED, "DATEDIFF like this: days"),
    (exp.Unnest, bool, "SUPER: columns"),
]


def from_redshift(tree: exp.Expr) -> exp.Expr:
    """Give Redshift's constructs a form that means the same on PostgreSQL.

    Not seen: AVG of integers and DECIMALs drops digits, ADD_MONTHS keeps to a month's last day.

    Raises:
        UnsupportedError: a construct has none.
    """
    for node in tree.find_all(exp.Extract):
        node.set("this", exp.var(_PARTS.get(node.name.upper(), node.name)))
    refuse(tree, _LACKING, "postgres")
    return rewrite(tree, _FORMS)


def _unstored(key: str, node: exp.Expr) -> exp.Expr:
    """Without DISTKEY, SORTKEY, DISTSTYLE and ENCODE."""
    stored = (*_STORED, exp.EncodeColumnConstraint)
    node.set(key, [each for each in node.args.get(key) or [] if not each.find(*stored)])
    return node


def _difference(node: exp.Expr) -> exp.Expr:
    return form(f"CAST({_CROSSED[node.text('unit').upper()]} AS BIGINT)", **node.args)


def _moved(node: exp.Expr) -> exp.Expr:
    """DATEADD without sqlglot's cast to a timestamp, which would lose a zone."""
    return exp.DateAdd(this=node.this, expression=node.expression, unit=node.args["unit"])


def _json(node: exp.Expr) -> exp.Expr:
    node.set("this", exp.cast(node.this, _T.JSON))
    return node


def _string_agg(node: exp.Expr) -> exp.Expr:
    """LISTAGG's delimiter is none unless said, and ORDER BY goes inside (LISTAGG function)."""
    call, within = (node.this, node.expression) if node.key == "withingroup" else (node, None)
    if not isinstance(call, exp.GroupConcat):
        return node
    this, by = call.this, call.args.get("separator") or exp.Literal.string("")
    if isinstance(this, exp.Distinct) and len(this.expressions) == 2:
        this, by = exp.Distinct(expressions=this.expressions[:1]), this.expressions[1]
    this = exp.Order(this=this, expressions=within.expressions) if within else this
    return exp.GroupConcat(this=this, separator=by)


def _qualify(node: exp.Expr) -> exp.Expr:
    """QUALIFY, which sqlglot puts around LIMIT too, in a derived table of its own."""
    assert isinstance(node, exp.Select)
    clauses = ("with_", "order", "limit", "offset")
    after = {key: node.args[key] for key in clauses if node.args.get(key)}
    names = [each.output_name for each in node.selects]
    keys = [each.this for each in after["order"].expressions] if "order" in after else []
    if node.is_star or "" in names or not all(key.is_int or key.name in names for key in keys):
        raise UnsupportedError("postgres has no QUALIFY like this: name all columns")
    for key in after:
        node.set(key, None)
    outer = exp.select(*names).from_(exp.Subquery(this=node.copy(), alias="fs"))
    for key, clause in after.items():
        outer.set(key, clause)
    return outer


_FORMS: list[Form] = [
    (exp.Anonymous, partial(called, "isnull"), "COALESCE(:first, :second)"),
    (exp.ApproxDistinct, bool, "COUNT(DISTINCT :this)"),
    (exp.ApproxQuantile, bool, "PERCENTILE_DISC(:quantile) WITHIN GROUP (ORDER BY :this)"),
    (exp.ColumnDef, bool, partial(_unstored, "constraints")),
    # NULL makes all NULL (CONCAT function).
    (exp.Concat, bool, "(:first || :second)"),
    # CURRENT_TIMESTAMP has a zone in PostgreSQL.
    (exp.CurrentTimestamp, bool, "LOCALTIMESTAMP"),
    (exp.DataType, lambda n: n.find(exp.Var), lambda n: exp.DataType.build("TEXT")),
    (exp.DataType, bool, partial(built, _ALONE)),
    (exp.FromBase, lambda n: n.expression.name == "10", "CAST(:this AS BIGINT)"),
    (exp.GroupConcat, bool, _string_agg),
    (exp.JSONExtractScalar, bool, _json),
    (exp.Properties, bool, partial(_unstored, "expressions")),
    (exp.RegexpExtract, bool, _SUBSTR),
    (exp.RegexpReplace, lambda n: n.args.get("replacement"), _REPLACE),
    (exp.Select, lambda n: n.args.get("qualify"), _qualify),
    (exp.Trunc, lambda n: n.this.key == "localtimestamp", "CAST(:this AS DATE)"),
    (exp.Trunc, lambda n: n.this.is_type("date", "timestamp"), "CAST(:this AS DATE)"),
    (exp.TsOrDsAdd, lambda n: not n.this.is_string, _moved),
    (exp.TsOrDsDiff, bool, _difference),
    (exp.WithinGroup, bool, _string_agg),
]
