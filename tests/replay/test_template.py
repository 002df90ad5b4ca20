from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.template import join_lists, normalise, shape, split_exactly

SAME = {
    "literals": ("select a from t where b = 1", "select a from t where b = 99.5e3"),
    "strings": ("select 'x'", "select 'it''s; -- not a comment'"),
    "escape string": ("select E'a\\'b'", "select 'z'"),
    "dollar quotes": ("select $$a ' b$$", "select $tag$ $$ $tag$"),
    "white space": ("select a,b from t", "SELECT  a ,\n\tb\nFROM t"),
    "comments": ("select 1", "/* a /* nested */ b */ select -- tail\n 2"),
    "letter case": ("select A from T", "SELECT a FROM t"),
    "list length": ("select 1 where a in (1)", "select 2 where a in (4, 5,6)"),
    "list of markers": ("select 1 where a in ($1)", "select 1 where a in ($1, $2)"),
    "sign": ("select 1 where a = -5", "select 1 where a = 5"),
    "semicolon": ("select 1", "select 1 ;"),
    "call spacing": ("select count(*)", "select count ( * )"),
}

DIFFERENT = {
    "columns": ("select a from t", "select b from t"),
    "quoted identifiers": ('select "A" from t', 'select "a" from t'),
    "subtraction is no sign": ("select a - 5", "select a -5 -5"),
    "markers": ("select $1", "select $2"),
    "list of columns": ("select 1 where a in (b)", "select 1 where a in (b, c)"),
    "a string is no identifier": ("select 'a'", 'select "a"'),
}


@pytest.mark.parametrize(("left", "right"), SAME.values(), ids=SAME.keys())
def test_these_have_one_template(left: str, right: str) -> None:
    assert normalise(left).text == normalise(right).text
    assert normalise(left).template_id == normalise(right).template_id


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_these_have_two_templates(left: str, right: str) -> None:
    assert normalise(left).template_id != normalise(right).template_id


GOLDEN = {
    "select 1": "b9a4c90ce4157373",
    "SELECT a.b, count(*) FROM s.t AS a WHERE x IN (1, 2) GROUP BY 1": "a97abde199bc93b8",
    "UPDATE t SET a = 'x' WHERE id = $1": "b7b5b3de755c2b64",
}


@pytest.mark.parametrize(("sql", "template_id"), GOLDEN.items(), ids=GOLDEN.keys())
def test_ids_outlive_versions(sql: str, template_id: str) -> None:
    assert normalise(sql).template_id == template_id


def test_literals_are_found_where_they_stand() -> None:
    sql = "select 'a''b', -3 from t where x in (1.5) and y - 2 > 0"
    found = normalise(sql).literals
    assert [literal.text for literal in found] == ["'a''b'", "-3", "1.5", "2", "0"]
    assert all(sql[literal.start : literal.end] == literal.text for literal in found)
    assert [literal.kind for literal in found] == ["string"] + ["number"] * 4


def test_shape_keeps_the_length_of_lists() -> None:
    assert shape("select 1 where a in (1, 2)") != shape("select 1 where a in (1)")
    assert shape("select 1 where a in (1, 2)") == shape("SELECT 7 where a in (8,'x')")


def test_mysql_quotes_strings_with_double_quotes_and_backslashes() -> None:
    left = normalise('select "it\\"s" from `t` # tail', dialect="mysql")
    right = normalise("select 'x' from `t`", dialect="mysql")
    assert left.text == right.text


TEXTS = st.text(alphabet="abAB1 2.'\"$-/*\n;()\\,éinE=", max_size=40)


@given(TEXTS)
def test_no_text_is_without_a_template(sql: str) -> None:
    found = normalise(sql)
    assert len(found.template_id) == 16
    assert all(sql[literal.start : literal.end] == literal.text for literal in found.literals)


LISTS = {
    "none": ("a = 1 and b = 2", ["a = ", "1", " and b = ", "2", ""], ()),
    "two": (
        "a in (1, 'x',3) and b in (4,5)",
        ["a in (", "1, 'x',3", ") and b in (", "4,5", ")"],
        ((1, 3), (3, 2)),
    ),
    "signs and names part": (
        "1, -2, 3, a, 4",
        ["", "1", ", -", "2, 3", ", a, ", "4", ""],
        ((3, 2),),
    ),
    "at the ends": ("1, 2", ["", "1, 2", ""], ((1, 2),)),
    "nothing": ("", [""], ()),
}


@pytest.mark.parametrize(("sql", "joined", "lists"), LISTS.values(), ids=LISTS.keys())
def test_lists_of_literals_are_joined(
    sql: str, joined: list[str], lists: tuple[tuple[int, int], ...]
) -> None:
    assert join_lists(split_exactly(sql, dialect="postgres")) == (joined, lists)
