from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cut import cut
from replay.prepare.translate import Translator

PAIRS = {
    "backquotes": ("mysql", "redshift", "select `a b` from `t`", 'SELECT "a b" FROM "t"'),
    "double quoted string": (
        "mysql",
        "redshift",
        'select a from t where b = "x"',
        "SELECT a FROM t WHERE b = 'x'",
    ),
    "limit with offset": (
        "mysql",
        "redshift",
        "select a from t limit 20, 10",
        "SELECT a FROM t LIMIT 10 OFFSET 20",
    ),
    "ifnull": ("mysql", "postgres", "select ifnull(a, 0) from t", "SELECT COALESCE(a, 0) FROM t"),
    "date_format": (
        "mysql",
        "redshift",
        "select date_format(d, '%Y-%m') from t where e = 'x'",
        "SELECT TO_CHAR(CAST(d AS TIMESTAMP), 'YYYY-MM') FROM t WHERE e = 'x'",
    ),
    "numbered binds": (
        "mysql",
        "redshift",
        "select a from t where b = 'x?' limit ?, ?",
        "SELECT a FROM t WHERE b = 'x?' LIMIT $2 OFFSET $1",
    ),
    "planner's modifiers": (
        "mysql",
        "redshift",
        "select straight_join a from t use index (i)",
        "SELECT a FROM t",
    ),
    "backslash": ("postgres", "redshift", r"select 'a\b'", r"SELECT 'a\\b'"),
    "escape string": (
        "postgres",
        "redshift",
        r"select e'a\tb', c::int",
        r"SELECT 'a\tb', CAST(c AS INTEGER)",
    ),
    "interpreted unit": (
        "postgres",
        "redshift",
        "select date_trunc('month', d::date) from t where e = 'month'",
        "SELECT DATE_TRUNC('MONTH', CAST(d AS DATE)) FROM t WHERE e = 'month'",
    ),
    "negative number": (
        "postgres",
        "redshift",
        "select a::int from t where b = -5 and c - 3 > 2",
        "SELECT CAST(a AS INTEGER) FROM t WHERE b = -5 AND c - 3 > 2",
    ),
    "comment inside with a quote": (
        "postgres",
        "redshift",
        "select a::int -- it's\nfrom t where b = 'x'",
        "SELECT CAST(a AS INTEGER) FROM t WHERE b = 'x'",
    ),
    "leading and trailing comment": (
        "postgres",
        "redshift",
        "/* report='7' */ select a::int from t where b = '7' /*x='1'*/;",
        "/* report='7' */ SELECT CAST(a AS INTEGER) FROM t WHERE b = '7' /*x='1'*/;",
    ),
    "filter": (
        "postgres",
        "redshift",
        "select count(*) filter (where a > 1) from t",
        "SELECT COUNT(CASE WHEN a > 1 THEN 1 END) FROM t",
    ),
    "ordered aggregate": (
        "postgres",
        "redshift",
        "select string_agg(a, ',' order by b) from t",
        "SELECT LISTAGG(a, ',') WITHIN GROUP (ORDER BY b) FROM t",
    ),
    "numbered bind stays": (
        "postgres",
        "redshift",
        "select a::int from t where b = $1 limit $2",
        "SELECT CAST(a AS INTEGER) FROM t WHERE b = $1 LIMIT $2",
    ),
}

UNCHANGED = {
    "same but for case": ("postgres", "redshift", "select  a\nfrom t  where b = 'x'  -- why\n"),
    "same dialect is not parsed": ("postgres", "postgres", "select (( from"),
    "empty": ("postgres", "redshift", ""),
    "blank": ("mysql", "redshift", " ;\n"),
}

UNSUPPORTED = {
    "lateral": (
        "postgres",
        "redshift",
        "select * from t, lateral (select 1 from u where u.a = t.a) l",
        "LATERAL",
    ),
    "series": ("postgres", "redshift", "select * from generate_series(1, 9)", "generate_series"),
    "array": ("postgres", "redshift", "select array[1, 2]", "array"),
    "lock": ("postgres", "redshift", "select a from t for update", "locks"),
    "tied rows": ("postgres", "redshift", "select sum(a) over (order by b) from t", "frame"),
    "savepoint": ("postgres", "redshift", "savepoint a", "savepoint"),
    "mysql function": ("mysql", "postgres", "select period_diff(a, b) from t", "PERIOD_DIFF"),
    "no grammar": ("postgres", "redshift", "select a from t where (b = 'secret' foo", "parsed"),
    "named by its value": ("mysql", "postgres", "select date_format(d, '%u') from t", "%u"),
    "parser's defect": ("mysql", "postgres", "select date_add(d) from t", "gives up"),
    "open string": ("postgres", "redshift", "select 'secret", "tokens"),
}


@pytest.mark.parametrize(("read", "write", "sql", "expected"), PAIRS.values(), ids=PAIRS.keys())
def test_dialect_is_translated(read: str, write: str, sql: str, expected: str) -> None:
    done = Translator(read=read, write=write).translate(sql)
    assert (done.sql, done.changed, done.reason) == (expected, True, None)


@pytest.mark.parametrize(("read", "write", "sql"), UNCHANGED.values(), ids=UNCHANGED.keys())
def test_what_needs_no_translation_stays_to_the_byte(read: str, write: str, sql: str) -> None:
    done = Translator(read=read, write=write).translate(sql)
    assert (done.sql, done.changed, done.reason) == (sql, False, None)


@pytest.mark.parametrize(
    ("read", "write", "sql", "construct"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys()
)
def test_unsupported_is_named_without_literals(
    read: str, write: str, sql: str, construct: str
) -> None:
    done = Translator(read=read, write=write).translate(sql)
    assert done.sql == sql
    assert not done.changed
    assert done.reason is not None
    assert construct in done.reason
    assert "secret" not in done.reason


def test_a_shape_is_parsed_once_for_all_its_statements() -> None:
    translator = Translator(read="mysql", write="redshift")
    for number in range(200):
        sql = f"select ifnull(a, {number}) from t where b = 'n{number}' limit {number}, 10"
        expected = (
            f"SELECT COALESCE(a, {number}) FROM t WHERE b = 'n{number}' LIMIT 10 OFFSET {number}"
        )
        assert translator.translate(sql).sql == expected
    assert translator.parses == 2


def test_the_length_of_a_list_makes_no_other_shape() -> None:
    translator = Translator(read="postgres", write="redshift")
    for length in range(1, 30):
        members = ",".join(map(str, range(length)))
        done = translator.translate(f"select a::int from t where b in ({members})").sql
        assert done == f"SELECT CAST(a AS INTEGER) FROM t WHERE b IN ({members.replace(',', ', ')})"
    assert translator.parses == 2


def test_another_value_in_an_interpreted_slot_gets_its_own_translation() -> None:
    translator = Translator(read="postgres", write="redshift")
    sql = "select date_trunc('{}', d::date) from t where e = 'x'"
    units = ["month", "week", "month"]
    done = [translator.translate(sql.format(unit)).sql for unit in units]
    assert ["MONTH" in text for text in done] == [True, False, True]
    assert "WEEK" in done[1]


def test_a_format_is_translated_after_a_text_that_was_none() -> None:
    translator = Translator(read="mysql", write="redshift")
    first = translator.translate("select date_format(d, 'x') from t").sql
    second = translator.translate("select date_format(d, '%Y') from t").sql
    assert first == "SELECT TO_CHAR(CAST(d AS TIMESTAMP), '\"x\"') FROM t"
    assert second == "SELECT TO_CHAR(CAST(d AS TIMESTAMP), 'YYYY') FROM t"


def test_what_stays_with_one_value_may_not_with_another() -> None:
    translator = Translator(read="postgres", write="redshift")
    sql = "SELECT TO_CHAR(a, '{}') FROM t WHERE b = '{}'"
    assert translator.translate(sql.format("YYYY", "x")) == (
        translator.translate(sql.format("YYYY", "x"))
    )
    assert translator.translate(sql.format("YYYY", "y")).reason is None
    assert "format" in (translator.translate(sql.format("TMMon", "x")).reason or "")


def test_each_statement_keeps_its_own_comments() -> None:
    translator = Translator(read="postgres", write="redshift")
    for number in range(3):
        done = translator.translate(f"/* r={number} */ select a::int from t where b = {number}")
        assert done.sql == f"/* r={number} */ SELECT CAST(a AS INTEGER) FROM t WHERE b = {number}"
    assert translator.parses == 2


def test_a_bind_and_a_literal_never_change_places() -> None:
    translator = Translator(read="mysql", write="redshift")
    first = translator.translate("select ifnull(a, 0) from t where b = ? and c = 5").sql
    second = translator.translate("select ifnull(a, 0) from t where b = 5 and c = ?").sql
    assert first == "SELECT COALESCE(a, 0) FROM t WHERE b = $1 AND c = 5"
    assert second == "SELECT COALESCE(a, 0) FROM t WHERE b = 5 AND c = $1"


def test_a_sign_apart_from_its_number_is_kept() -> None:
    translator = Translator(read="postgres", write="redshift")
    for sign in ("- ", "", "-"):
        done = translator.translate(f"select a::int /* x */ from t where b = {sign}5").sql
        assert done == f"SELECT CAST(a AS INTEGER) FROM t WHERE b = {sign.strip()}5"


MIXED_SHAPES = (
    "select a::int from t where b = {} and c in ({}, {}) limit {}",
    "select date_trunc({}, d)::date from t where c in ({},{})  and e > {}",
    "/* r */ select ifnull(a, {}), '{{}}' from t where b in ({}) and c = -{} and d like {};",
)
LITERALS = st.sampled_from(
    ["1", "20", "0.5", "'x'", "'a%'", "'O''Neil'", "'month'", "'week'", "e'\\n'", "1e3", "$1"]
)


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(MIXED_SHAPES), st.lists(LITERALS, min_size=4, max_size=4)),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_remembered_translates_as_what_is_not(asked: list[tuple[str, list[str]]]) -> None:
    for shape, literals in asked:
        sql = shape.format(*literals)
        fresh = Translator(read="postgres", write="redshift").translate(sql)
        assert _REMEMBERING.translate(sql, template_id=shape) == fresh


_REMEMBERING = Translator(read="postgres", write="redshift")

SAFE_TEXT = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20
)


@given(values=st.lists(SAFE_TEXT, min_size=2, max_size=2), number=st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_values_of_literals_never_change(values: list[str], number: int) -> None:
    translator = _SHARED
    first, second = (value.replace("'", "''") for value in values)
    sql = f"select a::int from t where b = '{first}' and c in ('{second}', 'x') and d > {number}"
    done = translator.translate(sql)
    assert done.reason is None
    assert re.sub(_STRING, "?", done.sql) == (
        f"SELECT CAST(a AS INTEGER) FROM t WHERE b = ? AND c IN (?, ?) AND d > {number}"
    )
    found = [_decoded(literal) for literal in re.findall(_STRING, done.sql)]
    assert found == [*values, "x"]


_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}


def _decoded(literal: str) -> str:
    """A string's value as Redshift reads it: backslash escapes and doubled quotes."""

    def unescaped(found: re.Match[str]) -> str:
        code = found[1]
        if code is None:
            return "'"
        return chr(int(code, 8)) if code.isdecimal() else _NAMED.get(code, code)

    return re.sub(r"\\([0-7]{3}|.)|''", unescaped, literal[1:-1], flags=re.DOTALL)


_SHARED = Translator(read="postgres", write="redshift")


@given(sql=st.text(st.sampled_from("ab1 '\"\\;-/*#$?`\n,.(e"), max_size=40))
@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
def test_a_cut_loses_nothing(dialect: str, sql: str) -> None:
    found = cut(sql, dialect=dialect)
    assert found.head + found.body + found.tail == sql
    assert len(found.classes) == len(found.literals)


@given(sql=st.text(st.sampled_from("select ab1 '\"\\;-/*#$?`\n,.(e"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_translated_or_refused(sql: str) -> None:
    done = Translator(read="mysql", write="redshift").translate(sql)
    assert done.changed or done.sql == sql
