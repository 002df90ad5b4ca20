"""How often a gate on a ratio is right, where the truth is known."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from reports.judge.result import Outcome, decide
from reports.stats.bootstrap import block_weights, resample_quantile_ratios
from reports.stats.estimate import Floats
from reports.stats.quantiles import needed_for_margin, quantile, samples_for
from tests.reports.stats.latencies import BLOCKS, count, draw_arms

MARGIN, P = 1.10, 0.95


@cache
def _weights() -> Floats:
    return block_weights(BLOCKS, resamples=400, generator=np.random.default_rng(1))


def _judge(
    generator: np.random.Generator, n: int, *, factor: float, margin: float, like: bool = True
) -> tuple[Outcome, int | None]:
    """The outcome of p95 at most `margin` times 1.0's, and how many samples it would need.

    `like`: latencies that hang together, as those of a real replay do.
    """
    one, two = draw_arms(generator, n, factor=factor, autocorrelated=like, paired=like)
    (drawn,) = resample_quantile_ratios(
        count(one), count(two), [P], weights=_weights(), confidence=0.9
    )
    assert drawn.interval is not None
    ratio = quantile(np.sort(two), P) / quantile(np.sort(one), P)
    needed = needed_for_margin(n=n, ratio=ratio, interval=drawn.interval, margin=margin)
    return decide(drawn.interval, most=margin), needed


def test_the_same_system_twice_fails_one_time_in_twenty_at_most() -> None:
    generator = np.random.default_rng(2)
    kinds = [bool(trial % 2) for trial in range(400)]
    ends = Counter(
        _judge(generator, 3_000, factor=1.0, margin=MARGIN, like=like)[0] for like in kinds
    )
    assert ends[Outcome.FAIL] <= 0.05 * 400, ends
    # On the margin itself, the worst case, an end of the interval is wrong one time in twenty.
    worst = Counter(
        _judge(generator, 3_000, factor=MARGIN, margin=MARGIN, like=like)[0] for like in kinds
    )
    for outcome in (Outcome.FAIL, Outcome.PASS):
        assert worst[outcome] <= 0.085 * 400, worst


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.2, Outcome.FAIL), (1.0, Outcome.PASS)], ids=["slower", "the same"]
)
def test_with_enough_samples_a_gate_says_which(factor: float, outcome: Outcome) -> None:
    generator = np.random.default_rng(3)
    ends = Counter(
        _judge(generator, 20_000, factor=factor, margin=MARGIN, like=bool(trial % 2))[0]
        for trial in range(200)
    )
    assert ends[outcome] >= 0.9 * 200, ends


@pytest.mark.parametrize("factor", [1.0, 1.25], ids=["the same", "slower"])
def test_too_few_samples_are_inconclusive_until_the_number_asked_for_is_there(
    factor: float,
) -> None:
    generator = np.random.default_rng(4)
    rounds: list[list[Outcome]] = []
    while len(rounds) < 60:
        n: int | None = samples_for(P, 20)
        ends: list[Outcome] = []
        while n is not None and len(ends) < 4:
            outcome, needed = _judge(generator, min(n, 60_000), factor=factor, margin=MARGIN)
            ends.append(outcome)
            if outcome is not Outcome.INCONCLUSIVE:
                break
            # An estimate on the margin itself gives no number.
            n = needed
        if ends[0] is Outcome.INCONCLUSIVE and n is not None:
            rounds.append(ends)
    right = Outcome.PASS if factor < MARGIN else Outcome.FAIL
    # The first number rests on the estimate of a few samples; the next one on better.
    assert sum(len(ends) == 2 for ends in rounds) >= 0.75 * 60, rounds
    assert sum(ends[-1] is right for ends in rounds) >= 0.9 * 60, rounds
