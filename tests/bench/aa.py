"""The same system against itself: real replays, every pair and split of them judged by the gates.

Whatever fails here is a false alarm.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from pathlib import Path

from replay.demo.bundle import bundled_workload
from replay.target.serving import serving
from reports.case import Case, build_case
from reports.cost import Cost
from reports.gates import load_gates
from reports.judge.judge import judge
from reports.judge.result import Outcome
from reports.load import Evidence, load
from reports.metrics import Metric
from reports.pool import pool
from tests.bench.ground import Ground
from tests.bench.measure import replay, say

RUNS, SCALE = 8, "2"
"""Twice the demo's load: p95 then has the samples that its gate asks for."""


def same(ground: Ground) -> None:
    """The demo's workload replayed again and again on one embedded 2.0: false alarms."""
    runs = [load(path) for path in replay_same(ground.directory / "same", RUNS)]
    print(f"  {RUNS} replays; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs at the end")
    for what, sides in (("pairs", pairs(runs)), ("splits, half a side", splits(runs))):
        found = false_alarms(sides)
        for gate, ends in found.items():
            number, failed = ends.total(), ends[Outcome.FAIL]
            told = ", ".join(f"{ends[end]} {end}" for end in Outcome if ends[end])
            say(
                f"{gate} over {number} {what}: {told}", f"{failed / number:.1%} failed", "5 %",
                met=failed <= 0.05 * number,
            )  # fmt: skip
    noise = build_case(pool(runs), None, decision=load_gates(None).decision, cost=Cost()).noise
    for entry in noise:
        about = f"two replays differ by, {entry['stat']}, of {entry['pairs']} pairs"
        say(about, f"{entry['ratio']:.3f}")


def replay_same(directory: Path, number: int) -> list[Path]:
    """So many runs of the bundled workload on one server, one after the other."""
    with serving("embedded:?size=small") as url:
        for at in range(number):
            replay(directory / str(at), bundled_workload(), url, "--scale", SCALE)
    return [directory / str(at) / "run" for at in range(number)]


def pairs(runs: Sequence[Evidence]) -> Iterator[tuple[Evidence, Evidence]]:
    """Each run with each other one, in both orders."""
    yield from permutations(runs, 2)


def splits(runs: Sequence[Evidence]) -> Iterator[tuple[Evidence, Evidence]]:
    """Each half of the runs, pooled, with the other half."""
    for half in combinations(range(len(runs)), len(runs) // 2):
        rest = [at for at in range(len(runs)) if at not in half]
        one, two = (pool([runs[at] for at in side]) for side in (half, rest))
        yield one, two


def false_alarms(sides: Iterator[tuple[Evidence, Evidence]]) -> dict[str, Counter[Outcome]]:
    """Outcomes of each latency gate that ships, and under `any` of all that block together."""
    rules = load_gates(None)
    wanted = {gate.id for gate in rules.gates if gate.metric is Metric.LATENCY_RESPONSE}
    found: dict[str, Counter[Outcome]] = {name: Counter() for name in (*sorted(wanted), "any")}
    for one, two in sides:
        case: Case = build_case(two, one, decision=rules.decision, cost=Cost())
        results = [result for result in judge(case, rules) if result.id in wanted]
        for result in results:
            found[result.id][result.verdict] += 1
        ends = {result.verdict for result in results if result.blocking}
        order = (Outcome.FAIL, Outcome.INVALID, Outcome.INCONCLUSIVE)
        found["any"][next((end for end in order if end in ends), Outcome.PASS)] += 1
    return found
