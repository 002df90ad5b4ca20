"""Moments and spans of time as Redshift has them (Date and time functions, Interval literals)."""

from __future__ import annotations

import re

from sqlglot import exp

from replay.prepare.rules.form import form

# EXTRACT gives integers, DATE_PART all of the seconds, and decades differ (Date parts for date or
# timestamp functions).
_FIELDS = {
    "decade": "FLOOR(EXTRACT(YEAR FROM :expression) / 10)",
    "epoch": "__DATE_PART('epoch', :expression)",
    "isodow": "((EXTRACT(DOW FROM :expression) + 6) % 7 + 1)",
    "isoyear": "CAST(TO_CHAR(:expression, 'IYYY') AS INTEGER)",
    "microseconds": "(__DATE_PART('second', :expression) * 1000000)",
    "milliseconds": "(__DATE_PART('second', :expression) * 1000)",
    "second": "__DATE_PART('second', :expression)",
}
_ZONED = "__DATE_PART('epoch', CAST(:expression AS TIMESTAMPTZ))"
_WHOLE = re.compile(r"(?i)\s*([-+]?\d+)\s*(mon|y)(?:s|ths?|ears?|rs?)?\s*")
_MONTHS = re.compile(r"(?i)^\s*p|\d-\d|(?<![a-z])(mon|y|dec|cent|millen)")
_UNITS = {"mon": "MONTH", "y": "YEAR"}


def of_now(moment: exp.Expr) -> bool:
    """True for a moment with the session's zone, which SYSDATE does not tell."""
    told = moment.find(exp.AtTimeZone, exp.Cast)
    return not told and bool(moment.find(exp.CurrentTimestamp))


def extract(node: exp.Expr) -> exp.Expr:
    """EXTRACT with PostgreSQL's fractions, and of a gap between moments its seconds."""
    field, gap = node.name.lower(), node.expression.unnest()
    less = gap.expression.unnest() if isinstance(gap, exp.Sub) else gap
    if less is not gap and not less.is_number and not isinstance(less, (exp.Interval, exp.Mul)):
        micro = "(__DATEDIFF(MICROSECOND, :expression, :this) / 1000000.0)"
        return form(micro, **gap.args) if field == "epoch" else node
    if field == "epoch" and of_now(gap):
        return form(_ZONED, **node.args)
    text = [each for known, each in _FIELDS.items() if known.rstrip("s") == field.rstrip("s")]
    # An integer, where PostgreSQL's quotient has a fraction; a double has no remainder.
    divided = isinstance(node.find_ancestor(exp.Div, exp.Func, exp.Query), exp.Div)
    within = node.find_ancestor(exp.Mod, exp.Div)
    kind = "DECIMAL(30, 10)" if isinstance(within, exp.Mod) else "DOUBLE PRECISION"
    text = text or [f"CAST(:node AS {kind})"] * divided
    return form(text[0], node, **node.args) if text else node


def has_months(span: exp.Expr) -> bool:
    """True for an interval that is not of days, hours, minutes and seconds alone."""
    return bool(_MONTHS.search(_text(span)))


def dateadd(node: exp.Expr) -> exp.Expr:
    """A moment and months or years as DATEADD: of a column, Redshift takes no such interval.

    The day is the month's last where the month is shorter, as in PostgreSQL (DATEADD function).
    """
    pairs = [(node.this, node.expression), (node.expression, node.this)]
    for moment, span in pairs if isinstance(node, exp.Add) else pairs[:1]:
        factors = [span.unnest()]
        if isinstance(factors[0], exp.Mul):
            factors = [factors[0].this.unnest(), factors[0].expression.unnest()]
        spans = [each for each in factors if isinstance(each, exp.Interval)]
        found = _WHOLE.fullmatch(_text(spans[0])) if spans else None
        times = [each for each in factors if each not in spans]
        broken = any(each.is_number and not each.is_int for each in times)
        if found and not broken and not isinstance(moment.unnest(), exp.Interval):
            unit, number = _UNITS[found[2].lower()], int(found[1])
            number = -number if isinstance(node, exp.Sub) else number
            by = f":times * {number}".removesuffix(" * 1") if times else f"{number}"
            parts = {"moment": moment, "times": times[0] if times else moment}
            return form(f"__DATEADD({unit}, {by}, :moment)", **parts)
    return node


def _text(span: exp.Expr) -> str:
    return f"{span.name} {span.text('unit')}"
