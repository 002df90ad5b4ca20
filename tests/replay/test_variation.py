from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import variation
from replay.dependence import together
from replay.dials import Dials
from replay.template import normalise
from replay.timetable import Timetable, build_timetable, shard_of_sessions
from replay.variation import Variation

Asked = tuple[bytes, list[bytes | None] | None]


class Said(NamedTuple):
    sql: str
    binds: list[str | None] | None = None
    kind: str = "select"
    error: str | None = None


def table(said: Sequence[Said], dialect: str = "postgres") -> pa.Table:
    ids = [normalise(each.sql, dialect=dialect).template_id for each in said]
    return pa.table(
        {
            "session_id": [f"s{number}" for number in range(len(said))],
            "seq": pa.array([0] * len(said), pa.int32()),
            "started_at": pa.array([0] * len(said), pa.timestamp("us", tz="UTC")),
            "duration_us": pa.array([0] * len(said), pa.int64()),
            "template_id": ids,
            "kind": [each.kind for each in said],
            "error": pa.array([each.error for each in said], pa.string()),
            "sql": [each.sql for each in said],
            "params": pa.array([each.binds for each in said], pa.list_(pa.string())),
        }
    )


def asked(
    statements: pa.Table, timetable: Timetable, dials: Dials, dialect: str = "postgres"
) -> tuple[dict[tuple[int, int], Asked], int]:
    """Text and bind values by row and clone, and how many were counted as varied."""
    varied = Variation(statements, timetable, dials, dialect=dialect)
    clones = np.repeat(timetable.clone, np.diff(timetable.starts))
    given = {
        (int(row), int(clone)): varied.text(index, int(clone))
        for index, (row, clone) in enumerate(zip(timetable.row, clones, strict=True))
    }
    return given, varied.varied


def copies(said: Sequence[Said], *, scale: int = 40, dialect: str = "postgres") -> list[Asked]:
    """What the copies of the first statement ask."""
    statements, dials = table(said, dialect), Dials(scale=scale)
    given, _ = asked(statements, build_timetable(statements, dials), dials, dialect)
    return [given[0, clone] for clone in range(1, scale)]


VARYING: dict[str, tuple[str, str]] = {
    "equality": ("a = 0 AND b <> '1' AND c != 2 AND d=3", "0123"),
    "order": ("a < 0 AND b<=1 AND c > '2' AND d >='3'", "0123"),
    "like": ("a LIKE '0' AND b NOT LIKE '1' AND c ilike '2' AND d NOT ILIKE '3'", "0123"),
    "between": ("a BETWEEN 0 AND 1 AND b NOT BETWEEN '2'::date AND CAST('3' AS date)", "0123"),
    "list": ("a IN (0, 1,2) AND b NOT IN ('3')", "0123"),
    "signs": ("a = -0 AND b > - 1 AND c IN (+2, -3)", "0123"),
    "typed literals": ("a >= DATE '0' AND b < timestamp with time zone '1'", "01"),
    "casts": ("a = '0'::date AND b = CAST('1' AS date) AND c IN ('2'::int, '3'::int)", "0123"),
    "a call on a column": ("lower(a) = '0' AND date_trunc('1', b) >= '2' AND c::date = '3'", "023"),
    "qualified and quoted": ('t.a = 0 AND "B c".d = 1 AND "Select" = 2', "012"),
    "subqueries": ("a IN (SELECT x FROM u WHERE y = 0 LIMIT 1) AND b = 2", "02"),
    "having": ("a = 0 GROUP BY b HAVING sum(c) > 1 ORDER BY 2 LIMIT 3", "01"),
    "union": ("a = 0 UNION ALL SELECT 1, b FROM t WHERE c = 2", "02"),
    "intervals": ("a > now() - interval '0 days' AND b = 1", "1"),
    "no column": ("0 = 1 AND a = 2 AND now() > '3') AND b = 4", "2"),
    "arguments": ("a = coalesce(0, 1) AND b = f('2') AND c IN (lower('3'), '4')", ""),
    "json keys": ("a->>'0' = '1' AND b -> '2' IS NULL AND c @> '3' AND d ? '4'", ""),
    "rows": ("(a, b) = (0, 1) AND (c, d) > (2, 3) AND (e, f) IN ((4, 5), (6, 7))", "456"),
    "an expression": ("(a || '0' || b) = '1' AND (c) > 2 AND c * 3 < d - 4", "12"),
    "distinct from": ("a IS DISTINCT FROM 0 AND b = 1", "1"),
    "case": ("CASE WHEN a = 0 THEN 1 ELSE 2 END > c", "0"),
    "rare numbers": ("a = 1e5 AND b = 1", "1"),
    "a comment inside": ("a = 0 /* b = x */ AND b = 1", "01"),
    "an escape string": (r"a = E'\\0' AND b = 1", "01"),
    "touching a word": ("a LIKE'0'AND b = 1", "1"),
    "select list": ("b IN (SELECT CASE WHEN a = 0 THEN 1 END FROM t)", ""),
    "filter": ("b IN (SELECT 0, count(*) FILTER (WHERE a = 1) FROM t)", ""),
    "distinct on": ("b IN (SELECT DISTINCT ON (a = 0) 1 FROM t LIMIT 2 OFFSET 3)", ""),
}


@pytest.mark.parametrize(("where", "varies"), VARYING.values(), ids=VARYING.keys())
def test_what_varies(where: str, varies: str) -> None:
    digits = re.compile(r"(?<![\w$])(\d)(?!\w)|(?<=\\)(\d)\b|(\d)(?= days)")
    # Digit n becomes 70n in one statement and 80n in the other.
    said = [
        Said("SELECT x FROM t WHERE " + digits.sub(rf"{base}\g<0>", where)) for base in (70, 80)
    ]
    others = b"\n".join(text for text, _ in copies(said)).decode()
    assert "".join(n for n in "0123456" if f"80{n}" in others) == varies


ODD: dict[str, list[Said]] = {
    "it failed on 1.0": [Said("SELECT 1 FROM t WHERE a = 0", error="22P02")],
    "others failed": [Said("SELECT c FROM t WHERE a = 0", error=x) for x in (None, "22P02")],
    "it writes": [Said("DELETE FROM t WHERE a = 0", kind="delete")],
    "it is alone": [Said("SELECT b FROM t WHERE a = 0")],
    "it has no value": [Said("SELECT 2"), Said("SELECT 3")],
    "it has no text": [Said(""), Said("")],
    "a marker without a value": [Said("SELECT 1 FROM t WHERE a = $3", binds=[x]) for x in "12"],
    "markers of a simple query": [Said("SELECT 1 FROM t WHERE a = $1 AND b = ?")] * 2,
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD.keys())
def test_what_does_not_vary(said: list[Said]) -> None:
    others = [Said(f"SELECT 1 FROM t WHERE a = {n}") for n in range(5)]
    others += [Said(f"DELETE FROM t WHERE a = {n}", kind="delete") for n in range(5)]
    assert {text for text, _ in copies([*said, *others])} == {said[0].sql.encode()}


def test_bind_values_vary_where_all_their_places_are_comparisons() -> None:
    sql = (
        "SELECT $1 FROM t WHERE ($2 IS NULL OR a = $2) AND b IN ($3, $4::int) AND "
        "($5::text IS NULL OR c >= $5) AND d = $6 LIMIT $6"
    )
    binds = [[None if n == 1 else f"{x}{n}" for x in "abcdef"] for n in range(9)]
    drawn = [given for _, given in copies([Said(sql, each) for each in binds]) if given]
    first, optional, *listed, cast, limit = zip(*drawn, strict=True)
    assert {*first, *limit} == {b"a0", b"f0"}
    assert {*optional, *cast} >= {None, b"b0", b"b2", b"e0", b"e2"}
    pairs = {(b"c%d" % n, b"d%d" % n) for n in range(9)} | {(None, None)}
    assert pairs >= {*zip(*listed, strict=True)} >= {(b"c2", b"d2"), (None, None)}


DIALECTS = {
    "mysql": ("mysql", 'SELECT "0" FROM `t` WHERE a = "x\\"0" # b = 1', r'x\\"(\d)'),
    "redshift": ("redshift", r"SELECT 1 FROM t WHERE a LIKE '\'\_0' AND b = c", r"_(\d)"),
    "dollar quotes": ("postgres", "SELECT 1 FROM t WHERE a = $q$' 0$q$ AND b = c", r"' (\d)"),
}


@pytest.mark.parametrize(("dialect", "sql", "value"), DIALECTS.values(), ids=DIALECTS.keys())
def test_texts_are_cut_as_their_dialect_has_it(dialect: str, sql: str, value: str) -> None:
    said = [Said(sql.replace("0", str(n))) for n in range(6)]
    texts = [text.decode() for text, _ in copies(said, dialect=dialect)]
    assert {re.search(value, text)[1] for text in texts} == set("012345")  # type: ignore[index]


LISTS = st.lists(st.integers(0, 3), min_size=1, max_size=3)
ROWS = st.lists(st.tuples(*[st.integers(0, 3)] * 3, LISTS), min_size=1, max_size=12)


def question(limit: int, day: int, a: int, listed: list[int]) -> Said:
    where = f"day >= '{day}' AND day < '{day}~' AND a = $1 AND b IN {(*listed, 0)}"
    return Said(f"SELECT 'é' FROM t WHERE {where} LIMIT {limit}; ", binds=[str(a)])


def read(text: bytes, binds: list[bytes | None] | None) -> list[object]:
    """What a text asks: the day's two ends, the list, the limit, and `a`."""
    found = re.search(r"'(\d)'.*'(\d~)'.*\((.+)\) LIMIT (.)", text.decode())
    assert found is not None
    return [*found.groups(), binds]


@given(ROWS, st.integers(0, 9), st.integers(2, 5), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_copies_ask_with_values_of_others(
    rows: list[tuple[int, int, int, list[int]]], seed: int, scale: int, shards: int
) -> None:
    said = [question(*row) for row in rows]
    statements, dials = table(said), Dials(scale=scale, seed=seed)
    whole = build_timetable(statements, dials)
    given, varied = asked(statements, whole, dials)
    same, none = asked(statements, whole, Dials(scale=scale, seed=seed, vary="none"))
    assert none == 0
    assert varied == sum(given[key] != same[key] for key in given)
    for (row, clone), (text, binds) in given.items():
        assert same[row, clone] == (said[row].sql.encode(), [str(rows[row][2]).encode()])
        assert clone or (text, binds) == same[row, 0]
        assert normalise(text.decode()).template_id == normalise(said[row].sql).template_id
        lent, drawn = [read(*same[at, 0]) for at in range(len(rows))], read(text, binds)
        assert drawn[:2] in [one[:2] for one in lent]
        assert all(drawn[at] in [one[at] for one in lent] for at in (2, 4))
        assert drawn[3] == f"{rows[row][0]}"
        assert str(drawn[2]).count(",") == len(rows[row][3])
    shard = shard_of_sessions(whole, shards)
    for number in range(shards):
        part, _ = asked(statements, whole.shard(shard == number), dials)
        assert part.items() <= given.items()


def test_copies_differ_and_few_of_a_large_template_lend(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [Said(f"SELECT {c} FROM t WHERE a = {n}") for c in "cd" for n in range(500)]
    assert len({text for text, _ in copies(said, scale=200)}) > 150
    monkeypatch.setattr(variation, "LEARN_AT_MOST", 20)
    assert 5 <= len({text for text, _ in copies(said, scale=200)}) <= 10


def test_values_that_depend_on_each_other_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    said = [
        Said(f"SELECT 1 FROM t WHERE a = {n // 5} AND day > '{day}' AND b = {n}")
        for n, day in zip(rng.integers(0, 60, 500), rng.integers(0, 20, 500), strict=True)
    ]
    drawn = [re.findall(r"\d+", text.decode()) for text, _ in copies(said, scale=400)]
    assert all(int(b) // 5 == int(a) for _, a, _, b in drawn)
    assert len({(day, b) for _, _, day, b in drawn}) > 300


def kept_together(n: int, a: int, b: int, skew: float, *, held: float | None, keys: bool) -> float:
    """How often columns of `a` and of `b` values stay together, of 50 samples of `n` statements.

    `held` is the part of the pairs that anybody asks for; None is one for each of `b`, as a
    campaign has one customer."""
    rng, kept = np.random.default_rng(1), 0
    weights = 1 / np.arange(1, b + 1) ** skew
    holds = rng.random((a, b)) < (1 if held is None else held)
    for _ in range(50):
        one, other = rng.integers(0, a, 9 * n), rng.choice(b, 9 * n, p=weights / weights.sum())
        one = other * a // b if held is None else one
        chosen = np.flatnonzero(holds[one, other])[:n]
        one, other = (np.unique(codes[chosen], return_inverse=True)[1] for codes in (one, other))
        kept += together(one, other, keys=keys)
    return kept / 50


SIZES = [(30, 5, 10), (100, 10, 30), (300, 20, 60), (500, 50, 400), (500, 2, 100), (2_000, 30, 200)]


@pytest.mark.parametrize("skew", [0.0, 1.0], ids=["flat", "skewed"])
@pytest.mark.parametrize(("n", "a", "b"), SIZES)
def test_the_threshold(n: int, a: int, b: int, skew: float) -> None:
    for keys in (True, False):
        kept = [kept_together(n, a, b, skew, held=held, keys=keys) for held in (1, None, 0.8)]
        assert kept[0] <= 0.05
        assert kept[1] >= (0.95 if keys else 0.5)
        assert kept[2] <= 0.05, "a fifth of the pairs cannot be missed"


def test_keys_of_which_each_is_new_stay_together_and_ranges_part() -> None:
    each = np.arange(300)
    assert together(each, each, keys=True)
    assert not together(each, each, keys=False)
