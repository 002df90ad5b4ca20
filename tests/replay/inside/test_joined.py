"""Sessions of chance, seen by a server whose clock is off and that forgets and adds rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.inside.joined import ROWS, TIMES, Joined, join_rows

SAMPLES = pa.schema(
    [
        ("statement_id", pa.int64()),
        ("clone", pa.int32()),
        ("template_id", pa.string()),
        ("kind", pa.string()),
        ("sent_us", pa.int64()),
        ("done_us", pa.int64()),
        ("backend_pid", pa.int32()),
    ]
)
TOLD = {"elapsed_us": 100, "execution_us": 60, "queue_us": 10, "compile_us": 5}


def sample(number: int, pid: int | None, sent: int, done: int, kind: str = "select") -> Any:
    return dict(zip(SAMPLES.names, (number, 0, "t", kind, sent, done, pid), strict=True))


def row(number: int, pid: int, started: int, ended: int, **more: Any) -> Any:
    told = {"query_id": number, "session_id": pid, "started_us": started, "ended_us": ended}
    return dict.fromkeys(ROWS.names) | {"query_type": "SELECT"} | TOLD | told | more


def join(samples: list[Any], rows: list[Any], error_us: int = 0) -> Joined:
    tables = (pa.Table.from_pylist(samples, SAMPLES), pa.Table.from_pylist(rows, ROWS))
    joined = join_rows(*tables, error_us=error_us)
    # Conservation, always.
    figures = joined.queries.num_rows
    assert joined.samples == len(samples) == figures + sum(joined.sample_reasons.values())
    assert joined.rows == len(rows)
    of_rows = sum(joined.queries["queries"].to_pylist()) + sum(joined.row_reasons.values())
    assert of_rows == len(rows)
    return joined


def pairs(joined: Joined) -> dict[int, int]:
    """The first row of each statement that has one."""
    columns = (joined.queries[name].to_pylist() for name in ("statement_id", "query_id"))
    return dict(zip(*columns, strict=True))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Any], list[Any], int]:
    """Sessions whose every statement the server saw within the time we waited for it.

    Between statements lies more than twice what the clocks may be apart, and each takes longer.
    """
    error_us = draw(st.integers(0, 50))
    samples: list[Any] = []
    rows: list[Any] = []
    for pid in range(draw(st.integers(0, 4))):
        offset_us = draw(st.integers(-error_us, error_us))
        now_us = draw(st.integers(0, 1_000))
        for _ in range(draw(st.integers(0, 8))):
            now_us += 2 * error_us + 1 + draw(st.integers(0, 300))
            before, took, after = draw(st.integers(0, 30)), draw(st.integers(1, 500)), 3
            sent_us, start_us = now_us, now_us + before
            took += 2 * error_us
            now_us = start_us + took + after
            number = len(samples)
            samples.append(sample(number, pid, sent_us, now_us))
            began, ended = start_us + offset_us, start_us + took + offset_us
            rows.append(row(number, pid, began, ended))
    return samples, rows, error_us


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_each_row_goes_to_its_statement_whatever_is_missing_or_added(
    told: tuple[list[Any], list[Any], int], data: st.DataObject
) -> None:
    samples, rows, error_us = told
    kept = data.draw(st.lists(st.sampled_from(rows), unique_by=id)) if rows else []
    # Other people's sessions, and what this one said before its first statement.
    extra = [row(900 + n, 77 + n, n, n + 1) for n in range(data.draw(st.integers(0, 3)))]
    for pid in {each["session_id"] for each in rows}:
        first = min(each["sent_us"] for each in samples if each["backend_pid"] == pid)
        if data.draw(st.booleans()):
            began = first - data.draw(st.integers(1, 40))
            extra.append(row(800 + pid, pid, began, first + error_us, query_type="UTILITY"))
    joined = join(samples, data.draw(st.permutations([*kept, *extra])), error_us)
    assert pairs(joined) == {each["query_id"]: each["query_id"] for each in kept}
    for name in ("sent_us", "done_us"):
        by_id = {each["statement_id"]: each[name] for each in samples}
        of = joined.queries["statement_id"].to_pylist()
        assert joined.queries[name].to_pylist() == [by_id[each] for each in of]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(-400, 400))
def test_a_session_that_is_all_there_is_joined_by_order_however_wrong_the_clock(
    number: int, offset_us: int
) -> None:
    # Statements of 5 us every 20 us: by overlap alone they would be shifted by some.
    samples = [sample(n, 1, 20 * n, 20 * n + 5) for n in range(number)]
    rows = [row(n, 1, 20 * n + 1 + offset_us, 20 * n + 4 + offset_us) for n in range(number)]
    assert pairs(join(samples, rows, error_us=405)) == {n: n for n in range(number)}


def test_several_rows_of_one_statement_are_added() -> None:
    rows = [
        row(5, 1, 10, 50, compute_type="primary", result_cache_hit=False, returned_rows=0),
        row(6, 1, 55, 90, compute_type="primary-scale", result_cache_hit=True, returned_rows=3),
    ]
    (one,) = join([sample(0, 1, 0, 100)], rows).queries.to_pylist()
    assert (one["queries"], one["query_id"], one["started_us"], one["ended_us"]) == (2, 5, 10, 90)
    assert (one["elapsed_us"], one["execution_us"], one["returned_rows"]) == (200, 120, 3)
    # A cached part does not make the whole cached; a part elsewhere makes it scaled.
    assert (one["result_cache_hit"], one["compute_type"]) == (False, "primary-scale")
    assert one["return_us"] == 200 - 120 - 20 - 10


def test_what_has_no_partner_is_counted_by_reason() -> None:
    samples = [sample(0, 1, 0, 10), sample(1, 1, 100, 110), sample(2, None, 0, 5)]
    rows = [row(0, 1, 1, 9), row(1, 1, 40, 60), row(2, 99, 0, 5)]
    joined = join(samples, rows, error_us=5)
    assert joined.row_reasons == {"another session": 1, "no statement then": 1}
    assert joined.sample_reasons == {"no process known": 1, "no row of the server": 1}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(TIMES), st.integers(0, 10_000)))
def test_the_parts_add_up_to_what_elapsed_or_less_is_known(times: dict[str, int]) -> None:
    told = row(0, 1, 1, 9) | dict.fromkeys(TIMES) | times
    (one,) = join([sample(0, 1, 0, 10)], [told]).queries.to_pylist()
    parts = [one[name] or 0 for name in (*TIMES[1:], "return_us")]
    if one["elapsed_us"] is None or one["execution_us"] is None:
        assert one["return_us"] is None
    elif sum(times.get(name, 0) for name in TIMES[1:]) <= one["elapsed_us"]:
        assert sum(parts) == one["elapsed_us"]
    else:
        assert sum(parts) >= one["elapsed_us"]


def test_serverless_counts_compiling_into_execution_and_it_is_taken_out_once() -> None:
    told = {"elapsed_us": 1_000, "queue_us": 0, "compile_us": 600, "execution_us": 900}
    (one,) = join([sample(0, 1, 0, 10)], [row(0, 1, 1, 9, **told)]).queries.to_pylist()
    assert (one["compile_us"], one["execution_us"], one["return_us"]) == (600, 300, 100)
