from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay.swarm.greeting import ROUNDS, Clock

WAYS = st.integers(min_value=0, max_value=10_000_000)


@given(
    offset_us=st.integers(min_value=-(10**12), max_value=10**12),
    ways_us=st.lists(st.tuples(WAYS, WAYS), min_size=1, max_size=ROUNDS),
)
def test_an_offset_is_within_half_the_shortest_round_trip(
    offset_us: int, ways_us: list[tuple[int, int]]
) -> None:
    clock = Clock()
    now_us = 10**15
    for there_us, back_us in ways_us:
        clock.asked_us = now_us
        now_us += there_us
        told_us = now_us + offset_us
        now_us += back_us
        clock.hear(told_us, now_us=now_us)
    shortest_us = min(there + back for there, back in ways_us)
    assert clock.round_trip_us == shortest_us
    assert abs(clock.offset_us - offset_us) <= shortest_us / 2 + 1
    assert clock.whole == (len(ways_us) == ROUNDS)
    assert not clock.odd or offset_us


def test_a_clock_is_odd_beyond_a_second_and_what_the_round_trip_leaves_open() -> None:
    for offset_us, odd in ((0, False), (1_000_000, False), (1_100_000, True), (-1_100_000, True)):
        clock = Clock(asked_us=0)
        clock.hear(offset_us + 50_000, now_us=100_000)
        assert (clock.offset_us, clock.odd) == (offset_us, odd)
