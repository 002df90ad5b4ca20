from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.templater import Templater
from replay.template import normalise

# Pieces that touch each other in every order: what looks like a literal depends on its neighbours.
PIECES = st.sampled_from(
    (
        "a b2 in IN ( ) , = - + . :: 1 20 1.5 .5 1e5 0x1F 'x' 'it''s' '' \"q1\" \"q\"\"2\" `b1`"
        " E'\\'' e'a\\\\' N'n' b'1' $1 $2 ? $$d$$ $t$'$t$ $ v$1 -- /* */ /*c*/ /*+h*/ --c\n \n #"
        " #c\n ' \" é1 ×2 ١ U&'u' admin \x01 \x02 limit like'x'"
    ).split(" ")
)
TEXTS = st.lists(PIECES, min_size=1, max_size=10).flatmap(
    lambda pieces: st.sampled_from(["", " "]).map(lambda between: between.join(pieces))
)


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "redshift"])
@given(st.lists(TEXTS, min_size=1, max_size=12))
@settings(deadline=None, max_examples=300)
def test_many_texts_have_the_templates_of_each(dialect: str, texts: list[str]) -> None:
    templater = Templater(dialect=dialect)
    for some in (texts, texts[::-1]):
        numbers = templater.templates(pa.array(some, type=pa.string()))
        found = [(templater.ids[number], templater.texts[number]) for number in numbers]
        each = [normalise(text, dialect=dialect) for text in some]
        assert found == [(one.template_id, one.text) for one in each]


def test_lists_of_any_length_are_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[str] = []

    def scan(sql: str, *, dialect: str) -> object:
        scanned.append(sql)
        return normalise(sql, dialect=dialect)

    monkeypatch.setattr("replay.capture.templater.normalise", scan)
    lists = [", ".join(map(str, range(length))) for length in range(1, 200)]
    texts = [f"select a from t where b in ({each}) and c = 'x{n}'" for n, each in enumerate(lists)]
    numbers = Templater(dialect="postgres").templates(pa.array(texts))
    assert set(numbers) == {0}
    assert len(scanned) == 1
