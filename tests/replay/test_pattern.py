from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cut import bounds, cut
from replay.pattern import Cutter, pattern_of

LITERALS = (
    "1 007 12345678901234567890 1.50 1. .5 1e5 0x1F 'a' '' 'O''Neil' 'a%' '%''' 'a\\b' '--' '/*' "
    "'a;' '\"' E'a' N'a' $$a$$ $q$'$q$ NULL x"
).split(" ")
HEADS = ["", " ", "/* a */ ", "-- b\n", "EXPLAIN ", "prepare p (numeric(9,2)) as "]
TAILS = ["", ";", " ; \n", " /* c */", " */", "/"]
TEXTS = st.builds(
    "{}{{0}} FROM t WHERE a = {{0}} AND b in ({}{}{{0}}) AND c = {}".format,
    st.sampled_from(["SELECT ", "with ", "", '"c" = ']),
    st.sampled_from(LITERALS),
    st.sampled_from([", ", ","]),
    st.sampled_from(LITERALS),
)


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "redshift"])
@given(text=TEXTS, first=st.sampled_from(LITERALS), head=st.sampled_from(HEADS))
@settings(max_examples=150, deadline=None)
def test_a_cutter_cuts_as_cut_does(dialect: str, text: str, first: str, head: str) -> None:
    cutter = Cutter(dialect)
    for _ in range(20):
        cutter.cut(text.format(first))
    for literal in LITERALS:
        for tail in TAILS:
            sql = f"{head}{text.format(literal)}{tail}"
            assert cutter.cut(sql) == cut(sql, dialect=dialect)


FORMS = {
    "strings": ("'a'", ["''", "'--'"], ["'a%'", "'O''Neil'", "'a\\b'", "'\t'", "1", "'a', 'b'"]),
    "percent": ("'a%'", ["'%'", "'%/*'"], ["'a'", "'%'''", "'%\\'"]),
    "quotes": ("'O''N'", ["''''", "'%'''"], ["'a'", "'a\\''", "''"]),
    "integers": ("1", ["007", "9" * 18], ["9" * 19, "1.5", "-1", "0x1", "'1'", "1e5"]),
    "decimals": ("1.5", ["0.0"], ["1", "1.", ".5", "1.5.5", "1.5e5"]),
}


@pytest.mark.parametrize(("first", "same", "others"), FORMS.values(), ids=FORMS.keys())
def test_forms(first: str, same: list[str], others: list[str]) -> None:
    text = "SELECT x FROM t WHERE a = {} AND b = 1"
    pattern = pattern_of(cut(text.format(first), dialect="postgres"), dialect="postgres")
    assert pattern is not None
    for literal in [first, *same, *others]:
        found = pattern.fullmatch(text.format(literal))
        assert (found is not None) == (literal not in others)
        assert found is None or found[1] == literal


def test_what_only_a_cut_can_tell() -> None:
    for where in ("a = E'x'", "a = /* b */ 1", "a in ('x', 'y''z')", "a = $$x$$"):
        statement = cut(f"SELECT 1 WHERE {where}", dialect="postgres")
        assert pattern_of(statement, dialect="postgres") is None


BOUNDS = ["select 1", "select 1;", "with a as (select 1) select 2 /* b */", "", "s", "select 1 /"]


@pytest.mark.parametrize("sql", BOUNDS)
def test_the_bounds_of_plain_texts_are_those_of_others(sql: str) -> None:
    start, stop = bounds(f" {sql}")
    assert bounds(sql) == (start - 1, stop - 1)
