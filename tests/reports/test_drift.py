"""Drift and steps of runs in which they were planted."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from replay.artefact import read_json, write_json, write_table, write_text
from replay.inside.metrics import METRICS
from replay.run import CLIENT, EVENTS
from reports.explain import explain
from reports.report import write_report
from reports.verdict import Verdict
from tests.reports.synthetic import Plan, write_both

HOURS = Plan(statements=12_000, seconds=8 * 3600, soak=True, templates=6)


def report(
    tmp_path: Path, *, events: Sequence[dict[str, Any]] = (), disk: float = 0.0, **changes: Any
) -> Verdict:
    """Of a run in which these things happened, and the server's disk got fuller by this share."""
    run = write_both(tmp_path, dataclasses.replace(HOURS, **changes))
    (run / "server").mkdir()
    write_text(run / EVENTS, "".join(f"{json.dumps(event)}\n" for event in events))
    minutes = [
        ("PercentageDiskSpaceUsed", at * 60_000_000, 40 + at / 480 * disk * 100, "%")
        for at in range(480)
    ]
    rows = [dict(zip(METRICS.names, minute, strict=True)) for minute in minutes]
    table = pa.Table.from_pylist(rows, schema=METRICS)
    write_table(run / "server" / "metrics.parquet", METRICS, table.to_batches())
    lines = [
        {"at_us": at * 60_000_000, "worker": "w0", "memory_bytes": 100_000_000 + at % 3 * 100_000,
         "open_sessions": 7, "in_flight": 1}
        for at in range(480)
    ]  # fmt: skip
    (run / CLIENT).write_text("\n".join(map(json.dumps, lines)) + '\n{"at_us": 17')
    return write_report(run, out=tmp_path / "out")


def gate(verdict: Verdict, name: str) -> dict[str, Any]:
    (found,) = (gate for gate in verdict.document["gates"] if gate["id"] == name)
    return found  # type: ignore[no-any-return]


def test_a_soak_that_does_not_change_is_steady(tmp_path: Path) -> None:
    verdict = report(tmp_path)
    drift = verdict.document["drift"]
    assert drift["windows"] == 60  # as many as hold 200 each
    assert drift["series"]["p50"]["word"] in ("steady", "no clear drift")
    assert not any(series["steps"] for series in drift["series"].values())
    assert drift["series"]["memory_bytes"]["word"] == "steady"
    assert drift["series"]["memory_bytes"]["spread"] < 0.01
    assert drift["series"]["open_sessions"]["drift"] == 0
    assert gate(verdict, "steps")["verdict"] == "pass"
    assert gate(verdict, "drift")["verdict"] != "fail"


def test_a_soak_that_gets_slower_drifts_and_does_not_step(tmp_path: Path) -> None:
    verdict = report(tmp_path, rise=0.5)
    series = verdict.document["drift"]["series"]["p95"]
    assert series["word"] == "rises"
    assert series["interval"][0] < math.exp(0.5) - 1 < series["interval"][1]
    assert series["steps"] == []
    assert gate(verdict, "drift")["verdict"] == "fail"
    assert "p95 rises" in explain(verdict.document, "drift")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "p95 rises" in page
    assert "Over the hours" in (tmp_path / "out" / "summary.md").read_text()


def test_a_step_is_told_with_its_time_and_is_no_drift(tmp_path: Path) -> None:
    at_us = (3.8, 3.9, 4.0, 4.1, 2.0)
    events = [
        {"at_us": round(hour * 3600e6), "text": f"<b>event {n}</b>"} for n, hour in enumerate(at_us)
    ]
    verdict = report(tmp_path, step=0.5, events=events)
    drift = verdict.document["drift"]
    for stat in ("p50", "p95"):
        (step,) = drift["series"][stat]["steps"]
        assert abs(step["at_us"] / 3600e6 - 4) < 0.4
        assert 0.4 < step["change"] < 0.9
        assert drift["series"][stat]["word"] in ("steady", "no clear drift")
    # Windows of eight minutes: the two nearest, and one of those before and after.
    assert "<b>event 2</b>" in step["label"]
    assert "event 4" not in step["label"]
    assert "<b>event" not in (tmp_path / "out" / "report.html").read_text()
    assert gate(verdict, "steps")["verdict"] == "fail"
    assert "a step of p95 by +" in gate(verdict, "steps")["reason"]
    assert "a step up by" in (tmp_path / "out" / "report.html").read_text()


def test_too_few_samples_tell_no_drift(tmp_path: Path) -> None:
    verdict = report(tmp_path, statements=2_000)
    assert "too short to tell drift" in verdict.document["drift"]["reason"]
    assert gate(verdict, "drift")["verdict"] == "inconclusive"


def test_a_short_run_is_no_soak(tmp_path: Path) -> None:
    gates = tmp_path / "gates.toml"
    gates.write_text(
        'schema = 1\n[[gate]]\nid = "d"\nmetric = "drift.response"\nstat = "p50"\nmax = 0.05\n'
    )
    run = write_both(tmp_path, Plan())
    verdict = write_report(run, gates=gates, out=tmp_path / "out")
    assert verdict.document["drift"] is None
    assert "fourstep soak" in gate(verdict, "d")["reason"]


@pytest.mark.parametrize(
    ("ended_by", "unknown", "words"),
    [("aborted", 0, "aborted by --abort-p95 2s: p95 was 3.1 s"), ("done", 9, "gone on with")],
)
def test_an_aborted_or_resumed_soak_is_inconclusive_at_best(
    ended_by: str, unknown: int, words: str, tmp_path: Path
) -> None:
    run = write_both(tmp_path, dataclasses.replace(HOURS, lost=unknown, slowdown=0.5))
    document = read_json(run / "run.json", what="run")
    zero = "2024-06-11T{}:00:00+00:00"
    leg = {"from_us": 0, "zero_at": zero.format("09"), "ended_by": None, "ended_at": None}
    later = {"from_us": 7_200_000_000, "zero_at": zero.format("10"), "ended_by": ended_by}
    document |= {"ended_by": ended_by, "legs": [leg, later]}
    document["aborted"] = "--abort-p95 2s: p95 was 3.1 s" if ended_by == "aborted" else None
    write_json(run / "run.json", document)
    verdict = write_report(run, out=tmp_path / "out")
    assert verdict.verdict == "INCONCLUSIVE"
    assert words in verdict.reason
    said = "the run was killed at 2:00 h and gone on with after 60.0 min"
    assert any(said in warning for warning in verdict.document["warnings"])


def test_a_disk_that_fills_is_told(tmp_path: Path) -> None:
    disk = report(tmp_path, disk=0.3).document["drift"]["series"]["server_disk"]
    assert (disk["word"], disk["unit"]) == ("rises", "share")
    assert 0.28 < disk["drift"] < 0.31
    assert "disk of the server" in (tmp_path / "out" / "report.html").read_text()
