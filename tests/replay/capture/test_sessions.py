from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.record import RECORDS, What
from replay.capture.sessions import Sessions

SCHEMA = RECORDS.append(pa.field("origin", pa.string()))


def row(what: What, at_us: int, *, session: str = "s", **fields: Any) -> dict[str, Any]:
    return {"what": int(what), "at_us": at_us, "session": session, "ends": False, **fields}


def started(sql: str, at_us: int, **fields: Any) -> dict[str, Any]:
    return row(What.STATEMENT, at_us, sql=sql, **fields)


def timed(sql: str, ended_at_us: int, duration_us: int, **fields: Any) -> dict[str, Any]:
    told = {"ends": True, "duration_us": duration_us, **fields}
    return row(What.STATEMENT, ended_at_us, sql=sql, **told)


def failed(sql: str, at_us: int, sqlstate: str) -> dict[str, Any]:
    return row(What.FAILURE, at_us, sql=sql, error=sqlstate, ends=True)


def outcome(at_us: int, **fields: Any) -> dict[str, Any]:
    return row(What.OUTCOME, at_us, ends=True, **fields)


def step(at_us: int, duration_us: int, sql: str = "", **fields: Any) -> dict[str, Any]:
    return row(What.STEP, at_us, duration_us=duration_us, sql=sql, ends=True, **fields)


def play(
    *records: dict[str, Any], at_once: int = 1_000, unique: bool = True
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The statements by session, and what was skipped, when so many records come at once."""
    sessions = Sessions(unique=unique)
    placed: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    rows = [{"origin": f"f:{n}", "line": n, **each} for n, each in enumerate(records, 1)]
    for begin in range(0, len(rows), at_once):
        table = pa.Table.from_pylist(rows[begin : begin + at_once], schema=SCHEMA)
        statements, reasons = sessions.take(table, last=False)
        placed += statements.to_pylist()
        skipped += reasons
    statements, reasons = sessions.take(SCHEMA.empty_table(), last=True)
    placed += statements.to_pylist()
    skipped += reasons
    for each in placed:
        each["start_us"] = round(each["started_at"].timestamp() * 1e6)
    return sorted(placed, key=lambda each: (each["session_id"], each["seq"])), skipped


pytestmark = pytest.mark.parametrize("at_once", [1, 2, 1_000])


def test_a_duration_belongs_to_the_statement_of_its_session(at_once: int) -> None:
    placed, _ = play(
        started("a", 10, session="x"),
        started("b", 11, session="y"),
        outcome(20, session="x", duration_us=500),
        outcome(21, session="y", duration_us=900),
        at_once=at_once,
    )
    assert [(p["sql"], p["duration_us"], p["start_us"]) for p in placed] == [
        ("a", 500, 10),
        ("b", 900, 11),
    ]


def test_an_error_joins_the_statement_that_was_logged_when_it_started(at_once: int) -> None:
    placed, skipped = play(
        started("select 1/0", 10), failed("select 1/0", 12, "22012"), at_once=at_once
    )
    (only,) = placed
    assert (only["start_us"], only["error"], only["origin"]) == (10, "22012", "f:1")
    assert skipped == {"error of earlier record": 1}


def test_an_error_of_another_statement_is_a_statement_of_its_own(at_once: int) -> None:
    placed, skipped = play(
        started("select 1", 10), failed("select 1/0", 12, "22012"), at_once=at_once
    )
    assert [p["error"] for p in placed] == [None, "22012"]
    assert not skipped


def test_the_start_is_the_end_less_the_duration(at_once: int) -> None:
    placed, _ = play(timed("a", 1_000_000, 250_000), at_once=at_once)
    assert placed[0]["start_us"] == 750_000


def test_starts_never_go_back_within_a_session(at_once: int) -> None:
    # Both end in the same logged millisecond; the second would seem to have started first.
    placed, _ = play(timed("a", 10_000, 100), timed("b", 10_000, 300), at_once=at_once)
    assert [(p["start_us"], p["seq"]) for p in placed] == [(9_900, 0), (9_900, 1)]


def test_what_is_held_at_the_end_is_not_lost(at_once: int) -> None:
    placed, _ = play(started("a", 10), started("b", 20, session="t"), at_once=at_once)
    assert [p["sql"] for p in placed] == ["a", "b"]


def test_an_outcome_without_a_statement_changes_nothing(at_once: int) -> None:
    placed, skipped = play(
        outcome(1, duration_us=5), outcome(2, error="28P01"), timed("a", 9, 1), at_once=at_once
    )
    assert [(p["sql"], p["duration_us"], p["error"]) for p in placed] == [("a", 1, None)]
    assert not skipped


def test_parsing_and_binding_count_as_time_of_the_execution(at_once: int) -> None:
    execution = timed("x", 1_000_000, 5_000, extended=True)
    placed, _ = play(
        step(1, 300),
        step(2, 200),
        timed("a simple one in between", 990_000, 10),
        execution,
        execution,
        at_once=at_once,
    )
    assert [p["duration_us"] for p in placed] == [10, 5_500, 5_000]
    assert placed[1]["start_us"] == 994_500


def test_a_failed_execution_has_the_values_that_were_bound(at_once: int) -> None:
    placed, skipped = play(
        step(1, 3, "select 1 / $1"),
        step(2, 5, "select 1 / $1", params=["0"]),
        failed("select 1 / $1", 12, "22012"),
        at_once=at_once,
    )
    (only,) = placed
    assert (only["params"], only["error"]) == (["0"], "22012")
    assert not skipped


def test_a_failed_execution_whose_values_nobody_told_is_not_replayed(at_once: int) -> None:
    placed, skipped = play(
        step(1, 5, "select 2 / $1", params=["0"]),
        failed("select 1 / $1", 12, "22012"),
        failed("select '$1' / 0", 13, "22012"),
        at_once=at_once,
    )
    assert [p["sql"] for p in placed] == ["select '$1' / 0"]
    assert skipped == {"bind values not logged": 1}


def test_a_pid_that_is_used_again_is_another_session(at_once: int) -> None:
    placed, _ = play(
        row(What.CONNECT, 0),
        timed("a", 1_000, 1),
        started("held", 2_000),
        row(What.DISCONNECT, 3_000),
        row(What.CONNECT, 4_000),
        timed("b", 5_000, 1),
        at_once=at_once,
        unique=False,
    )
    assert [(p["session_id"], p["seq"], p["sql"]) for p in placed] == [
        ("s@19700101T000000.000000", 0, "a"),
        ("s@19700101T000000.000000", 1, "held"),
        ("s@19700101T000000.004000", 0, "b"),
    ]


@pytest.mark.parametrize(
    "between",
    [
        [row(What.RESTART, 4_000, session="")],
        [row(What.CONNECT, 4_000)],
        [row(What.DISCONNECT, 4_000)],
        [timed("by another", 4_000, 1, user="bob")],
    ],
    ids=["restart", "connect", "disconnect", "another user"],
)
def test_a_key_without_a_name_of_its_own_is_split(
    between: list[dict[str, Any]], at_once: int
) -> None:
    placed, _ = play(
        timed("a", 3_000, 1, user="ann"),
        *between,
        timed("b", 5_000, 1, user=between[0].get("user", "ann")),
        at_once=at_once,
        unique=False,
    )
    first, second = placed[0], placed[-1]
    assert (first["sql"], second["sql"]) == ("a", "b")
    assert first["session_id"] != second["session_id"]


def test_a_session_with_a_unique_name_goes_on_after_a_restart(at_once: int) -> None:
    placed, _ = play(
        timed("a", 3_000, 1),
        row(What.RESTART, 4_000, session="postmaster"),
        timed("b", 5_000, 1),
        at_once=at_once,
    )
    assert {p["session_id"] for p in placed} == {"s"}


KINDS = st.sampled_from(["timed", "started", "outcome", "step", "failed", "connect", "disconnect"])


@given(st.lists(st.tuples(KINDS, st.sampled_from("ab"), st.integers(0, 50)), max_size=30))
@settings(deadline=None, max_examples=60)
def test_blocks_of_any_size_give_the_same_statements(
    at_once: int, words: list[tuple[str, str, int]]
) -> None:
    records = []
    for at_us, (kind, session, number) in enumerate(words, 1_000):
        each = {
            "timed": lambda n, t: timed(f"q{n}", t, n, extended=n % 2 == 0),
            "started": lambda n, t: started(f"q{n % 3}", t, extended=n % 2 == 0),
            "outcome": lambda n, t: outcome(t, duration_us=n),
            "step": lambda n, t: step(t, n, f"q$1{n % 3}", params=[str(n)]),
            "failed": lambda n, t: failed(f"q{n % 3}", t, "22012"),
            "connect": lambda n, t: row(What.CONNECT, t),
            "disconnect": lambda n, t: row(What.DISCONNECT, t),
        }[kind](number, at_us)
        records.append(each | {"session": session})
    # A session with a name of its own says nothing after its end.
    ended = {name: [kind for kind, session, _ in words if session == name] for name in "ab"}
    unique = all("disconnect" not in kinds[:-1] for kinds in ended.values())
    for names_are_unique in {False, unique}:
        placed, skipped = play(*records, unique=names_are_unique, at_once=at_once)
        assert (placed, skipped) == play(*records, unique=names_are_unique)
        carrying = sum(kind in ("timed", "started", "failed") for kind, _, _ in words)
        assert len(placed) + skipped.total() == carrying
