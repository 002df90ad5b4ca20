"""Simulated nights: planted changes are found in time, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from reports.history.judgement import Judgement, State, judge_metric, judge_nights
from reports.history.night import METRICS, Night
from tests.reports.history.verdicts import drawn, history_of, verdict

P95 = next(metric for metric in METRICS if metric.name == "p95_us")


def judged(documents: Sequence[dict[str, Any]], **told: Any) -> Judgement:
    return judge_nights(history_of(documents, **told))


def worse(judgement: Judgement) -> set[tuple[str, int]]:
    return {(found.metric, found.at) for found in judgement.regressions}


@pytest.mark.parametrize("at", [12, 25, 38])
@pytest.mark.parametrize("factor", [1.2, 1.35, 2.0])
def test_a_planted_change_is_found_within_two_nights(at: int, factor: float) -> None:
    for seed in range(3):
        nights = list(drawn(seed, [(at, 480e3), (2, 480e3 * factor)]))
        before, within = judged(nights[:at]), judged(nights)
        assert before.state is State.NO_REGRESSION
        assert within.state is State.REGRESSION
        assert any(found.at >= at for found in within.regressions if found.metric == "p95_us")


def test_of_forty_nights_each_change_is_found_where_it_was_planted() -> None:
    nights = list(drawn(11, [(13, 480e3), (9, 600e3), (18, 430e3)]))
    found = judged(nights)
    (changes,) = (each.changes for each in found.metrics[0] if each.metric.name == "p95_us")
    assert [(change.at, change.worse) for change in changes] == [(13, True), (22, False)]
    # It came back.
    assert found.regressions == []
    assert found.state is State.NO_REGRESSION


def test_at_most_one_alarm_in_200_series_of_forty_nights_without_change() -> None:
    (base,) = history_of([verdict(0)]).nights
    alarms = 0
    for seed in range(200):
        values = 480e3 * (1 + 0.03 * np.random.default_rng(seed).standard_normal(40))
        nights = [
            Night(
                run_id=f"night-{number}",
                started_at=base.started_at,
                verdict="GO",
                reason="",
                workload="",
                key={},
                values={**base.values, "p95_us": value},
            )
            for number, value in enumerate(values.tolist())
        ]
        # Asked on some of the nights, as the job would on all.
        looks = (judge_metric(P95, nights[:until]) for until in (11, 15, 20, 25, 30, 35, 40))
        alarms += any(look.regressions for look in looks)
    assert alarms <= 1


def test_less_throughput_and_more_cost_and_errors_are_worse() -> None:
    nights = list(drawn(5, [(20, 480e3)]))
    tonight = judged([*nights, verdict(20, throughput=2.2, cost=0.14, errors=90)])
    assert worse(tonight) == {
        ("throughput_per_s", 20), ("cost_per_1000", 20), ("error_share", 20),
    }  # fmt: skip
    assert judged([*nights, verdict(20, throughput=4.5, cost=0.05)]).regressions == []


def test_a_few_errors_after_none_are_no_regression_of_the_history() -> None:
    nights = list(drawn(5, [(20, 480e3)], errors=0))
    assert judged([*nights, verdict(20, errors=5)]).regressions == []
    assert worse(judged([*nights, verdict(20, errors=50)])) == {("error_share", 20)}


def test_the_tools_own_lag_is_shown_and_no_regression() -> None:
    nights = list(drawn(5, [(25, 480e3)]))
    for night in nights[20:]:
        night["fidelity"]["lag_p99_us"] = 90_000
    found = judged(nights)
    assert found.regressions == []
    assert any(each.changes for each in found.metrics[0] if each.metric.name == "lag_p99_us")


def test_fewer_than_ten_nights_before_are_never_green() -> None:
    nights = list(drawn(1, [(11, 480e3)]))
    assert judged(nights[:1]).state is State.TOO_SHORT
    assert judged(nights[:10]).state is State.TOO_SHORT
    assert judged(nights).state is State.NO_REGRESSION


def test_an_invalid_night_counts_neither_as_tonight_nor_before() -> None:
    nights = list(drawn(1, [(11, 480e3)]))
    nights[4] = verdict(4, p95_us=9e6, word="INVALID")
    assert judged(nights).state is State.TOO_SHORT
    nights[4], nights[10] = verdict(4), verdict(10, p95_us=9e6, word="INVALID")
    assert judged(nights).state is State.NOT_MEASURED


def test_a_night_without_an_answer_is_never_green() -> None:
    nights = list(drawn(1, [(12, 480e3)]))
    for line in nights[11]["headline"]:
        line |= {"candidate": None, "ratio": None}
    assert judged(nights).state is State.NOT_MEASURED


def test_a_regression_is_new_once_and_quiet_once_acknowledged() -> None:
    nights = list(drawn(2, [(20, 480e3), (6, 700e3)]))
    first, second = judged(nights[:21]), judged(nights[:22])
    assert {found.new for found in first.regressions} == {True}
    assert {found.new for found in second.regressions} == {False}
    assert second.state is State.REGRESSION
    known = {"night-021": "an index was dropped"}
    later = judged(nights, acknowledged=known)
    assert {found.acknowledged for found in later.regressions} == {"an index was dropped"}
    assert later.state is State.NO_REGRESSION
    # Another one after it is not known.
    again = judged([*nights, verdict(26, p95_us=1.2e6)], acknowledged=known)
    assert again.state is State.REGRESSION


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"workload": "9c" * 32}, "workload under the same name prepared"),
        ({"dials": {"scale": 2.0}}, "scale"),
        ({"dials": {"speed": 2.0}}, "speed"),
        ({"target": {"node_type": "ra3.4xlarge", "nodes": 4}}, "size"),
        ({"target": {"server_version": "8.0.3"}}, "target version"),
        ({"target": {"host": "other.example"}}, "host"),
    ],
)
def test_other_conditions_begin_a_segment_that_says_what_changed(
    changed: dict[str, Any], part: str
) -> None:
    nights = list(drawn(1, [(14, 480e3)]))
    found = judged([*nights, verdict(14, p95_us=900e3, **changed)])
    assert [len(segment.nights) for segment in found.segments] == [14, 1]
    assert [each["part"] for each in found.segments[1].changed] == [part]
    # Twice as slow, but not comparable.
    assert found.state is State.TOO_SHORT
    assert found.regressions == []
