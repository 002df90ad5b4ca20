from __future__ import annotations

from replay.capture.record import Outcome, Statement, Step
from replay.capture.sessions import Placed, Sessions


def started(sql: str, at_us: int, *, session_id: str = "s") -> Statement:
    return Statement(line=1, session_id=session_id, sql=sql, started_at_us=at_us)


def timed(sql: str, ended_at_us: int, duration_us: int, *, session_id: str = "s") -> Statement:
    return Statement(
        line=1, session_id=session_id, sql=sql, ended_at_us=ended_at_us, duration_us=duration_us
    )


def failed(sql: str, at_us: int, sqlstate: str) -> Statement:
    return Statement(line=1, session_id="s", sql=sql, ended_at_us=at_us, error=sqlstate)


def play(*events: Statement | Step | Outcome) -> tuple[list[Placed], list[str | None]]:
    sessions = Sessions()
    placed: list[Placed] = []
    reasons: list[str | None] = []
    for event in events:
        complete, reason = sessions.add(event)
        placed += complete
        reasons.append(reason)
    return placed + list(sessions.rest()), reasons


def test_a_duration_belongs_to_the_statement_of_its_session() -> None:
    placed, reasons = play(
        started("a", 10, session_id="x"),
        started("b", 11, session_id="y"),
        Outcome(3, "x", duration_us=500),
        Outcome(4, "y", duration_us=900),
    )
    assert [(p.statement.sql, p.statement.duration_us) for p in placed] == [("a", 500), ("b", 900)]
    assert reasons == [None, None, "duration of earlier record", "duration of earlier record"]


def test_an_error_joins_the_statement_that_was_logged_when_it_started() -> None:
    placed, reasons = play(started("select 1/0", 10), failed("select 1/0", 12, "22012"))
    (only,) = placed
    assert (only.started_at_us, only.statement.error) == (10, "22012")
    assert reasons == [None, "error of earlier record"]


def test_an_error_of_another_statement_is_a_statement_of_its_own() -> None:
    placed, reasons = play(started("select 1", 10), failed("select 1/0", 12, "22012"))
    assert [p.statement.error for p in placed] == [None, "22012"]
    assert reasons == [None, None]


def test_the_start_is_the_end_less_the_duration() -> None:
    placed, _ = play(timed("a", 1_000_000, 250_000))
    assert placed[0].started_at_us == 750_000


def test_starts_never_go_back_within_a_session() -> None:
    # Both end in the same logged millisecond; the second would seem to have started first.
    placed, _ = play(timed("a", 10_000, 100), timed("b", 10_000, 300))
    assert [p.started_at_us for p in placed] == [9_900, 9_900]
    assert [p.seq for p in placed] == [0, 1]


def test_what_is_held_at_the_end_is_not_lost() -> None:
    placed, _ = play(started("a", 10), started("b", 20, session_id="t"))
    assert sorted(p.statement.sql for p in placed) == ["a", "b"]


def test_an_outcome_without_a_statement_is_counted() -> None:
    placed, reasons = play(Outcome(1, "s", duration_us=5), Outcome(2, "s", error="28P01"))
    assert placed == []
    assert reasons == ["duration of earlier record", "error without statement"]


def test_parsing_and_binding_count_as_time_of_the_execution() -> None:
    execution = Statement(
        line=3, session_id="s", sql="x", ended_at_us=1_000_000, duration_us=5_000, extended=True
    )
    placed, reasons = play(
        Step(1, "s", "parse", 300),
        Step(2, "s", "bind", 200),
        timed("a simple one in between", 990_000, 10),
        execution,
        execution,
    )
    assert [p.statement.duration_us for p in placed] == [10, 5_500, 5_000]
    assert placed[1].started_at_us == 994_500
    assert reasons == ["parse", "bind", None, None, None]


def test_a_failed_execution_has_the_values_that_were_bound() -> None:
    placed, reasons = play(
        Step(1, "s", "bind", 5, "select 1 / $1", ["0"]),
        failed("select 1 / $1", 12, "22012"),
    )
    (only,) = placed
    assert (only.statement.params, only.statement.error) == (["0"], "22012")
    assert reasons == ["bind", None]


def test_a_failed_execution_whose_values_nobody_told_is_not_replayed() -> None:
    placed, reasons = play(
        Step(1, "s", "bind", 5, "select 2 / $1", ["0"]),
        failed("select 1 / $1", 12, "22012"),
        failed("select '$1' / 0", 13, "22012"),
    )
    assert [p.statement.sql for p in placed] == ["select '$1' / 0"]
    assert reasons == ["bind", "bind values not logged", None]
