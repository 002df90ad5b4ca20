"""Runs that say little or nonsense: a defined outcome each, and never a pass by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.workload import Workload
from reports.report import write_report
from tests.reports.synthetic import Plan, write_both, write_run

GATES = """
schema = 1
[[gate]]
id = "ratio"
metric = "latency.response"
stat = "p50"
max_ratio = 1.25
min_samples = 20
captured = "allow"
[[gate]]
id = "limit"
metric = "latency.response"
stat = "p50"
max = "10s"
min_samples = 20
[[gate]]
id = "templates"
for_each = "template"
metric = "latency.response"
stat = "p50"
max_ratio = 1.25
min_samples = 20
captured = "allow"
min_harm = "1ms"
"""

Change = Callable[[pa.Table], pa.Table]


def _report(
    directory: Path, plan: Plan, *, change: Change | None = None, baseline: Plan | None = None
) -> dict[str, Any]:
    run = write_both(directory, plan)
    other = None
    if baseline is not None:
        other = write_run(directory / "one", Workload(directory / "workload"), baseline)
    if change is not None:
        file = run / "samples" / "worker-0.parquet"
        pq.write_table(change(pq.read_table(file)), file)
    gates = directory / "gates.toml"
    gates.write_text(GATES)
    return dict(write_report(run, baseline=other, gates=gates, out=directory / "out").document)


def _said(document: dict[str, Any]) -> dict[str, str]:
    return {gate["id"]: gate["verdict"] for gate in document["gates"]}


def _set(table: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(
            at, table.schema.field(at), pa.array(values, table.schema[at].type)
        )
    return table


def _all_equal(table: pa.Table) -> pa.Table:
    done = table["due_us"].to_numpy() + 5_000
    return _set(table, captured_us=[5_000] * len(table), done_us=done)


def _backwards(table: pa.Table) -> pa.Table:
    """From one moment on, the clock is an hour back."""
    late = np.arange(len(table)) > len(table) // 2
    return _set(table, done_us=table["done_us"].to_numpy() - late * 3_600_000_000)


def test_no_samples_decide_nothing(tmp_path: Path) -> None:
    document = _report(tmp_path, Plan(statements=0))
    said = _said(document)
    assert {said[name] for name in ("ratio", "limit", "templates")} <= {"inconclusive", "invalid"}
    assert document["verdict"] in ("INCONCLUSIVE", "INVALID")


@pytest.mark.parametrize("statements", [1, 19])
def test_a_few_samples_decide_nothing_and_say_how_many_would(
    tmp_path: Path, statements: int
) -> None:
    document = _report(tmp_path, Plan(statements=statements))
    said = _said(document)
    assert {said[name] for name in ("ratio", "limit", "templates")} == {"inconclusive"}
    assert document["verdict"] == "INCONCLUSIVE"
    assert [g["needed_n"] for g in document["gates"] if g["id"] in ("ratio", "limit")] == [20, 20]


def test_all_equal_is_a_ratio_of_one_without_doubt(tmp_path: Path) -> None:
    document = _report(tmp_path, Plan(), change=_all_equal)
    line = document["headline"][0]
    assert (line["ratio"], line["interval"], line["word"]) == (1, [1, 1], "no clear change")
    assert document["verdict"] == "GO"


def test_all_errors_leave_latencies_undecided(tmp_path: Path) -> None:
    document = _report(tmp_path, Plan(statements=600, new_errors=600))
    said = _said(document)
    assert {said[name] for name in ("ratio", "limit", "templates")} == {"inconclusive"}
    assert document["verdict"] != "GO"
    assert document["headline"][0]["word"] == "cannot tell"


def test_without_durations_of_1_0_only_the_absolute_limit_is_judged(tmp_path: Path) -> None:
    said = _said(_report(tmp_path, Plan(with_captured=False)))
    assert (said["ratio"], said["templates"]) == ("inconclusive", "inconclusive")
    assert said["limit"] == "pass"


def test_a_template_on_one_side_only_is_not_evaluated(tmp_path: Path) -> None:
    """1.0 failed it throughout, so its answers on 2.0 compare with nothing."""

    def only_ours(table: pa.Table) -> pa.Table:
        gone = (
            table["template_id"].to_numpy(zero_copy_only=False) == table["template_id"][0].as_py()
        )
        captured = table["captured_us"].to_pylist()
        kept = [None if g else c for g, c in zip(gone, captured, strict=True)]
        return _set(table, captured_us=kept)

    document = _report(tmp_path, Plan(), change=only_ours)
    alone = [t for t in document["templates"] if t["stats"]["p50"]["baseline_us"] is None]
    assert len(alone) == 1
    assert alone[0]["word"] == "cannot tell"
    assert alone[0]["impact_s"] is None
    # A share of the traffic beyond the 5 % that may stay open.
    assert alone[0]["share"] > 0.05
    assert _said(document)["templates"] == "inconclusive"


def test_a_template_of_the_baseline_run_only_counts_for_nothing(tmp_path: Path) -> None:
    def other_names(table: pa.Table) -> pa.Table:
        return _set(table, template_id=[f"{i % 5:016x}" for i in range(len(table))])

    document = _report(tmp_path, Plan(), baseline=Plan(run_id="one"), change=other_names)
    assert {t["word"] for t in document["templates"]} == {"cannot tell"}
    assert _said(document)["templates"] == "inconclusive"


def test_a_clock_that_goes_backwards_is_not_a_fast_target(tmp_path: Path) -> None:
    document = _report(tmp_path, Plan(), change=_backwards)
    assert document["verdict"] == "INVALID"
    assert _said(document)["validity.clock"] == "invalid"
    assert "a clock went backwards" in document["reason"]


def test_a_target_that_stalls_has_the_p99_of_who_waited(tmp_path: Path) -> None:
    """One session, a statement every 10 ms, each takes 1 ms, and 1 s in 10 nothing is answered.

    The statement due i × 10 ms after the beginning of a stall is answered after 1 s and i + 1
    times 1 ms, so it waited 1001 - 9 i ms. Of a thousand in 10 s, the eleventh is p99: 911 ms.
    Only one in a thousand was under way in the stall, so by service time p99 would be 1 ms.
    """
    n, step, took, period, stall = 10_000, 10_000, 1_000, 10_000_000, 1_000_000
    due, ready, sent, done = (np.zeros(n, np.int64) for _ in range(4))
    due[:] = np.arange(n) * step
    free = 0
    for i in range(n):
        ready[i], sent[i] = free, max(due[i], free)
        begins = sent[i] // period * period
        done[i] = free = max(sent[i], begins + stall) + took
    document = _report(
        tmp_path,
        Plan(statements=n, seconds=100),
        change=lambda t: _set(t, due_us=due, ready_us=ready, sent_us=sent, done_us=done),
    )
    p99 = next(line for line in document["headline"] if line["stat"] == "p99")
    assert p99["candidate"] == 911_000
    assert np.quantile(done - sent, 0.99, method="inverted_cdf") == took
