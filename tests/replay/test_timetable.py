from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.dials import DRAWS, Dials
from replay.errors import UsageError
from replay.timetable import Timetable, build_timetable, shard_of_sessions


def statements(sessions: list[list[int]], *, duration_us: int | None = None) -> pa.Table:
    """Statements started at these microseconds, session by session, in file order of time."""
    rows = sorted(
        (start, f"s{number}", seq)
        for number, starts in enumerate(sessions)
        for seq, start in enumerate(sorted(starts))
    )
    return pa.table(
        {
            "session_id": pa.array([row[1] for row in rows], pa.string()),
            "seq": pa.array([row[2] for row in rows], pa.int32()),
            "started_at": pa.array([row[0] for row in rows], pa.timestamp("us", tz="UTC")),
            "duration_us": pa.array([duration_us] * len(rows), pa.int64()),
        }
    )


SESSIONS = st.lists(
    st.lists(st.integers(0, 3_600_000_000), min_size=1, max_size=8), min_size=1, max_size=12
)
SCALES = st.floats(0.1, 4)


def session_slices(timetable: Timetable) -> list[slice]:
    return [
        slice(int(first), int(stop))
        for first, stop in zip(timetable.starts[:-1], timetable.starts[1:], strict=True)
    ]


@given(SESSIONS, SCALES, st.floats(0.05, 20), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_same_dials_give_the_same_timetable(
    sessions: list[list[int]], scale: float, speed: float, seed: int
) -> None:
    dials = Dials(scale=scale, speed=speed, seed=seed)
    one = build_timetable(statements(sessions), dials)
    two = build_timetable(statements(sessions), dials)
    assert all(
        getattr(one, name).tobytes() == getattr(two, name).tobytes()
        for name in ("row", "due_us", "starts", "clone")
    )


@given(SESSIONS, SCALES)
@settings(max_examples=60, deadline=None)
def test_sessions_stay_whole_and_in_order(sessions: list[list[int]], scale: float) -> None:
    table = statements(sessions)
    timetable = build_timetable(table, Dials(scale=scale))
    names, seqs = table["session_id"].to_pylist(), table["seq"].to_pylist()
    for part in session_slices(timetable):
        rows = timetable.row[part]
        assert len({names[row] for row in rows}) == 1
        assert [seqs[row] for row in rows] == list(range(len(sessions[int(names[rows[0]][1:])])))
        assert (np.diff(timetable.due_us[part]) >= 0).all()


@given(SESSIONS, st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0, 7.3]))
@settings(max_examples=60, deadline=None)
def test_originals_are_due_at_their_captured_offset_divided_by_speed(
    sessions: list[list[int]], speed: float
) -> None:
    table = statements(sessions)
    timetable = build_timetable(table, Dials(speed=speed))
    started = table["started_at"].cast(pa.int64()).to_numpy()
    wanted = ((started - started.min())[timetable.row] / speed).astype(int)
    assert (timetable.due_us == wanted).all()


@given(SESSIONS, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_whole_scales_copy_every_session(sessions: list[list[int]], scale: int) -> None:
    timetable = build_timetable(statements(sessions), Dials(scale=scale))
    assert timetable.statements == scale * sum(map(len, sessions))
    assert sorted(timetable.clone) == sorted(list(range(scale)) * len(sessions))


def test_the_part_of_a_scale_below_one_is_a_sample_of_whole_sessions() -> None:
    table = statements([[n * 1_000, n * 1_000 + 5] for n in range(100)])
    timetable = build_timetable(table, Dials(scale=2.3, seed=7))
    assert timetable.sessions == 230
    assert (timetable.clone == 2).sum() == 30
    assert (np.diff(timetable.starts) == 2).all()


def test_clones_do_not_arrive_in_step() -> None:
    table = statements([[n * 1_000_000] for n in range(60)])
    timetable = build_timetable(table, Dials(scale=2))
    clones = timetable.due_us[timetable.starts[:-1]][timetable.clone == 1]
    assert len(set((clones % 1_000_000).tolist())) > 50


@given(SESSIONS, SCALES, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_shards_share_all_sessions(sessions: list[list[int]], scale: float, shards: int) -> None:
    whole = build_timetable(statements(sessions), Dials(scale=scale))
    shard = shard_of_sessions(whole, shards)
    parts = [whole.shard(shard == k) for k in range(shards)]
    assert sum(part.statements for part in parts) == whole.statements
    assert sum(part.sessions for part in parts) == whole.sessions
    for part in parts:
        assert part.starts[-1] == part.statements == len(part.due_us)


def test_shards_are_balanced() -> None:
    whole = build_timetable(statements([[n, n + 1] for n in range(1_000)]), Dials())
    sizes = np.bincount(shard_of_sessions(whole, 3))
    assert sizes.max() - sizes.min() <= 1


def test_peak_sessions_counts_those_open_at_once() -> None:
    table = statements([[0, 10_000_000], [5_000_000, 6_000_000], [20_000_000]])
    assert build_timetable(table, Dials()).peak_sessions() == 2


def test_an_empty_workload_has_an_empty_timetable() -> None:
    timetable = build_timetable(statements([]), Dials())
    assert (timetable.statements, timetable.sessions, timetable.length_us) == (0, 0, 0)


@pytest.mark.parametrize("dial", ["scale", "speed", "statement_timeout_s", "lag_budget_ms"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_dials_must_be_positive(dial: str, value: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        Dials(**{dial: value})  # type: ignore[arg-type]  # which dial is the case's


@given(SESSIONS, st.floats(0, 3), st.integers(0, 2_000_000))
@settings(max_examples=60, deadline=None)
def test_think_time_is_scaled_and_answers_are_not(
    sessions: list[list[int]], factor: float, duration_us: int
) -> None:
    table = statements(sessions, duration_us=duration_us)
    captured, bent = (build_timetable(table, Dials(think=f)) for f in (1.0, factor))
    assert sorted(bent.due_us[bent.starts[:-1]]) == sorted(captured.due_us[captured.starts[:-1]])
    by_row = dict(zip(bent.row.tolist(), bent.due_us.tolist(), strict=True))
    for part in session_slices(captured):
        for row, next_row, gap_us in zip(
            captured.row[part][:-1], captured.row[part][1:], np.diff(captured.due_us[part]),
            strict=True,
        ):  # fmt: skip
            answer_us = min(duration_us, gap_us)
            wanted_us = answer_us + (gap_us - answer_us) * factor
            assert by_row[next_row] - by_row[row] == pytest.approx(wanted_us, abs=1)


@given(SESSIONS, st.integers(0, 60), st.integers(0, 50_000_000))
@settings(max_examples=60, deadline=None)
def test_idle_stretches_are_cut_and_busy_ones_are_not(
    sessions: list[list[int]], most_s: int, duration_us: int
) -> None:
    table = statements(sessions, duration_us=duration_us)
    captured = build_timetable(table, Dials())
    cut = build_timetable(table, Dials(max_idle_s=most_s))
    starts, now = np.sort(captured.due_us), np.sort(cut.due_us)
    gaps = np.diff(starts)
    # With equal durations the last to start is the last to end.
    idle = np.maximum(gaps - duration_us, 0)
    assert (np.diff(now) == gaps - np.maximum(idle - most_s * 1_000_000, 0)).all()


def test_a_window_of_the_workload_is_replayed() -> None:
    table = statements([[0, 1_000_000, 2_000_000], [1_500_000], [9_000_000]])
    dials = Dials(since="1970-01-01T00:00:01", until="1970-01-01T00:00:02+00:00")
    timetable = build_timetable(table, dials)
    assert timetable.due_us.tolist() == [0, 500_000]
    assert table["started_at"].cast(pa.int64()).take(pa.array(timetable.row)).to_pylist() == [
        1_000_000,
        1_500_000,
    ]


@given(SESSIONS, SCALES, st.floats(0.001, 20))
@settings(max_examples=40, deadline=None)
def test_a_loop_begins_again_until_its_end(
    sessions: list[list[int]], scale: float, loops: float
) -> None:
    table = statements(sessions, duration_us=1_000)
    once = build_timetable(table, Dials(scale=scale))
    last_us = int(table["started_at"].cast(pa.int64()).to_numpy().max() -
                  table["started_at"].cast(pa.int64()).to_numpy().min())  # fmt: skip
    period_s = max((last_us + 1_000) / 1e6, 1.0)
    looped = build_timetable(table, Dials(scale=scale, loop_s=loops * period_s))
    assert (looped.due_us < round(loops * period_s * 1e6)).all()
    # Every planned statement has a name of its own.
    clone = np.repeat(looped.clone, np.diff(looped.starts))
    assert len(set(zip(looped.row.tolist(), clone.tolist(), strict=True))) == looped.statements
    if loops >= 1.5 and scale == int(scale):
        originals = clone % max(once.clone.max() + 1, 1) == 0
        first = looped.due_us[originals & (clone == 0)]
        again = looped.due_us[originals & (clone == once.clone.max() + 1)]
        assert len(again) <= len(first)
        assert looped.as_json()["period_us"] == round(period_s * 1e6)
        assert set(again - round(period_s * 1e6)) <= set(first)
    if loops < 0.99:
        assert looped.as_json()["period_us"] is None


MISTAKES: dict[str, dict[str, object]] = {
    "--think": {"think": -1},
    "--max-idle": {"max_idle_s": float("nan")},
    "--seed": {"seed": -1},
    "--from": {"since": "yesterday"},
    "--to": {"until": "25:00"},
}


@pytest.mark.parametrize(("option", "dials"), MISTAKES.items())
def test_mistakes_name_their_option(option: str, dials: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=option):
        Dials(**dials)  # type: ignore[arg-type]  # which dial is the case's


@given(SESSIONS, SCALES, st.sampled_from(DRAWS), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_pool_draws_everything_once_and_sessions_whole(
    sessions: list[list[int]], scale: float, draw: str, seed: int
) -> None:
    table = statements(sessions)
    planned = build_timetable(table, Dials(scale=scale, seed=seed))
    pool = build_timetable(table, Dials(scale=scale, seed=seed, mode="pool", draw=draw))
    everything = [sorted(zip(t.row, clone_of(t), strict=True)) for t in (planned, pool)]
    assert everything[0] == everything[1]
    assert not pool.due_us.any() and not pool.think_us.any()
    if draw == "sessions":
        wanted = {tuple(planned.row[part]) for part in session_slices(planned)}
        assert {tuple(pool.row[part]) for part in session_slices(pool)} == wanted
    else:
        assert pool.sessions == pool.statements


def clone_of(timetable: Timetable) -> list[int]:
    numbers: list[int] = timetable.clone_of(np.arange(timetable.statements)).tolist()
    return numbers


@given(SESSIONS, st.floats(0.5, 4))
@settings(max_examples=60, deadline=None)
def test_thinking_fills_the_time_between_answers_and_the_next_statements(
    sessions: list[list[int]], speed: float
) -> None:
    table = statements(sessions)
    timetable = build_timetable(table, Dials(pace="think", speed=speed))
    took_us = table["duration_us"].fill_null(0).to_numpy()[timetable.row]
    for part in session_slices(timetable):
        due_us, think_us = timetable.due_us[part], timetable.think_us[part]
        gap_us = np.diff(due_us) - took_us[part][:-1] / speed
        assert think_us[0] == 0
        assert np.abs(think_us[1:] - np.maximum(gap_us, 0)).max(initial=0) <= 2


@given(SESSIONS, SCALES, st.floats(0, 1.1))
def test_the_rest_is_what_is_due_later_in_order_of_sessions(
    sessions: list[list[int]], scale: float, share: float
) -> None:
    timetable = build_timetable(statements(sessions), Dials(scale=max(1, scale)))
    from_us = round(share * timetable.length_us)
    rest, begun = timetable.rest(from_us)
    later = timetable.due_us >= from_us
    assert sorted(rest.due_us.tolist()) == sorted(timetable.due_us[later].tolist())
    assert len(begun) == rest.sessions
    first_us = rest.due_us[rest.starts[:-1]]
    assert (np.diff(first_us) >= 0).all()
    # What is left of each session, with its number of clone.
    whole = {
        (int(timetable.clone[n]), tuple(timetable.row[part].tolist()))
        for n, part in enumerate(session_slices(timetable))
    }
    for number, part in enumerate(session_slices(rest)):
        left = tuple(rest.row[part].tolist())
        (session,) = (
            rows
            for clone, rows in whole
            if clone == rest.clone[number] and rows[-len(left) :] == left
        )
        assert bool(begun[number]) == (len(session) > len(left))
