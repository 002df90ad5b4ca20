"""Reading a run: its columns, its baseline, and what is missing from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.artefact import sha256_of
from replay.errors import Unreadable, UsageError
from replay.run import SAMPLES
from replay.workload import Workload
from reports.arms import build_arms
from reports.errors import split_errors
from reports.fidelity import measure_fidelity
from reports.load import load
from reports.report import write_report
from reports.samples import MISSING
from tests.reports.synthetic import Plan, write_both, write_run, write_workload

SMALL = Plan(statements=300, seconds=120)


def _one_sample(directory: Path, **values: object) -> Path:
    """A run of one planned statement with one sample of these values."""
    run = write_both(directory, Plan(statements=1, seconds=10))
    path = run / "samples" / "worker-0.parquet"
    row = pq.read_table(path).to_pylist()[0] | values
    pq.write_table(pa.Table.from_pylist([row], schema=SAMPLES), path)
    return run


def test_times_are_derived_from_due_ready_sent_and_done(tmp_path: Path) -> None:
    run = _one_sample(tmp_path, due_us=100, ready_us=400, sent_us=450, done_us=1000)
    evidence = load(run)
    assert evidence.response_us.tolist() == [900]
    assert evidence.lag_us.tolist() == [50]
    assert evidence.backlog_us.tolist() == [300]


def test_what_was_never_sent_has_no_times(tmp_path: Path) -> None:
    run = _one_sample(
        tmp_path, status="cancelled", due_us=100, ready_us=None, sent_us=None, done_us=None
    )
    evidence = load(run)
    assert evidence.response_us.tolist() == [MISSING]
    assert evidence.lag_us.tolist() == [MISSING]


def test_the_ledger_counts_what_left_no_sample(tmp_path: Path) -> None:
    plan = Plan(statements=300, lost=4, skipped=3, cancelled=2, timeouts=1)
    ledger = load(write_both(tmp_path, plan)).ledger()
    assert (ledger.unknown, ledger.skipped.total(), ledger.cancelled) == (4, 3, 2)
    assert dict(ledger.skipped) == {"writes": 3}
    assert ledger.balanced


def test_a_run_cut_off_in_a_stream_is_read_up_to_the_cut(tmp_path: Path) -> None:
    run = write_both(tmp_path, SMALL)
    path = run / "samples" / "worker-0.parquet"
    table = pq.read_table(path)
    with pa.OSFile(str(path.with_suffix(".arrows")), "wb") as file:  # noqa: SIM117
        with pa.ipc.new_stream(file, SAMPLES) as stream:
            for batch in table.to_batches(max_chunksize=100):
                stream.write_batch(batch)
    whole = path.with_suffix(".arrows").read_bytes()
    path.with_suffix(".arrows").write_bytes(whole[: int(len(whole) * 0.7)])
    path.unlink()
    evidence = load(run)
    assert len(evidence) in (100, 200)
    assert evidence.ledger().unknown == 300 - len(evidence)


def test_errors_are_split_by_what_1_0_did(tmp_path: Path) -> None:
    plan = Plan(statements=300, new_errors=4, timeouts=2, existing_errors=3, resolved_errors=5)
    errors = split_errors(load(write_both(tmp_path, plan)), with_baseline_run=False)
    assert (errors.new, errors.existing, errors.resolved) == (6, 3, 5)
    assert errors.answerable == 300 - 3 - 5
    assert sum(group.count for group in errors.groups) == 9
    assert {g.sqlstate for g in errors.groups if g.divergence == "new"} == {"42883", "timeout"}


def test_what_a_baseline_run_failed_is_not_new(tmp_path: Path) -> None:
    workload = write_workload(tmp_path / "workload", SMALL)
    plan = Plan(statements=300, new_errors=4)
    one = write_run(tmp_path / "one", workload, plan)
    two = write_run(tmp_path / "two", workload, plan)
    errors = split_errors(load(two, baseline=load(one)), with_baseline_run=True)
    assert (errors.new, errors.existing) == (0, 4)


def test_a_workload_that_is_gone_leaves_ids_and_counts_every_failure_as_new(
    tmp_path: Path,
) -> None:
    run = write_both(tmp_path, Plan(statements=300, existing_errors=2))
    shutil.rmtree(tmp_path / "workload")
    evidence = load(run)
    assert evidence.workload is None
    assert all(template.sql is None for template in evidence.templates)
    errors = split_errors(evidence, with_baseline_run=False)
    assert (errors.new, errors.baseline_known) == (2, False)


def test_a_baseline_of_another_workload_is_refused(tmp_path: Path) -> None:
    one = write_both(tmp_path / "a", SMALL)
    two = write_both(tmp_path / "b", Plan(statements=200))
    with pytest.raises(UsageError, match="replayed another workload") as caught:
        load(two, baseline=load(one))
    for path in (tmp_path / "a" / "workload", tmp_path / "b" / "workload"):
        assert str(path) in str(caught.value)


def test_what_is_not_a_run_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not a run"):
        load(tmp_path)


def test_a_damaged_sample_file_is_used_up_to_the_damage(tmp_path: Path) -> None:
    run = write_both(tmp_path, SMALL)
    path = run / "samples" / "worker-0.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole, path, row_group_size=50)
    document = json.loads((run / "run.json").read_text())
    document["workers"][0] |= {"file": path.name, "sha256": sha256_of(path)}
    (run / "run.json").write_text(json.dumps(document))
    content = bytearray(path.read_bytes())
    third = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
    content[third : third + 400] = bytes(400)
    path.write_bytes(content)
    evidence = load(run)
    assert len(evidence) == 100
    ledger = evidence.ledger()
    assert ledger.balanced
    assert ledger.unknown == len(whole) - 100
    verdict = write_report(run, out=tmp_path / "out").document
    assert verdict["verdict"] == "INVALID"
    assert any("its checksum is another" in warning for warning in verdict["warnings"])


def test_a_sample_file_of_which_nothing_is_left_leaves_all_unknown(tmp_path: Path) -> None:
    run = write_both(tmp_path, SMALL)
    (run / "samples" / "worker-0.parquet").write_bytes(b"PAR1 not really")
    evidence = load(run)
    assert len(evidence) == 0
    assert evidence.ledger().unknown == evidence.run.planned


def test_session_steering_is_not_in_latencies_but_in_the_ledger(tmp_path: Path) -> None:
    plan = Plan(statements=900, templates=8)
    evidence = load(write_both(tmp_path, plan))
    arms = build_arms(evidence, None)
    begins = sum(
        t == "begin" for t in Workload(tmp_path / "workload").statements()["kind"].to_pylist()
    )
    assert begins > 0
    assert len(arms.candidate_all) == 900 - begins
    assert evidence.ledger().ok == 900


def test_a_timeout_counts_with_the_time_it_had_lasted(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, Plan(statements=300, timeouts=5, new_errors=5)))
    arms = build_arms(evidence, None)
    assert len(arms.candidate_all) == 295


def test_captured_durations_pair_with_their_own_samples(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, Plan(statements=300, existing_errors=4)))
    arms = build_arms(evidence, None)
    assert len(arms.baseline) == len(arms.candidate) == 296
    assert (arms.baseline.block == arms.candidate.block).all()


def test_blocks_of_a_short_capture_are_shorter_and_say_so(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, SMALL))
    arms = build_arms(evidence, None)
    assert arms.blocks.number == 30
    assert "may be shorter than a burst" in str(arms.blocks.warning)


def test_fidelity_of_a_sound_run(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, SMALL))
    fidelity = measure_fidelity(evidence, evidence.ledger())
    assert fidelity.replayed_share == 1
    assert fidelity.offered_over_target == 1
    assert fidelity.client_cpu_p95 == 0.31
    assert fidelity.lag_p99_us is not None
    assert 500 < fidelity.lag_p99_us < 5000


def test_cancelled_and_unknown_statements_are_not_replayed_nor_offered(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, Plan(statements=300, cancelled=30, skipped=100, lost=10)))
    fidelity = measure_fidelity(evidence, evidence.ledger())
    assert fidelity.replayed_share == pytest.approx(160 / 200)
    assert fidelity.offered_over_target == pytest.approx(160 / 190)


def test_waiting_behind_a_slow_target_is_not_the_tools_lag(tmp_path: Path) -> None:
    run = write_both(tmp_path, SMALL)
    path = run / "samples" / "worker-0.parquet"
    table = pq.read_table(path)
    due = table["due_us"].to_numpy()
    for name, shift in (("ready_us", 900_000), ("sent_us", 900_100), ("done_us", 950_000)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(due + shift, pa.int64()))
    pq.write_table(table, path)
    evidence = load(run)
    fidelity = measure_fidelity(evidence, evidence.ledger())
    assert fidelity.lag_p99_us == 100
    assert fidelity.backlogged_share == 1
    assert fidelity.offered_over_target == 1


def test_columns_take_about_fifty_bytes_a_sample(tmp_path: Path) -> None:
    evidence = load(write_both(tmp_path, SMALL))
    columns = [
        getattr(evidence, name)
        for name in evidence.__dataclass_fields__
        if isinstance(getattr(evidence, name), np.ndarray) and name != "failing_statements"
    ]
    columns = [column for column in columns if len(column)]
    assert sum(column.itemsize for column in columns) <= 51
    assert {len(column) for column in columns} == {300}


def test_run_json_is_not_changed_by_reading(tmp_path: Path) -> None:
    run = write_both(tmp_path, SMALL)
    before = (run / "run.json").read_bytes()
    load(run)
    assert (run / "run.json").read_bytes() == before
    assert json.loads(before)["ended_by"] == "done"
