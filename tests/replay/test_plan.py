from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.artefact import write_json
from replay.dials import Dials
from replay.errors import Unreadable
from replay.plan import Plan, build_plan, find_plan, write_plan
from replay.run import Run
from replay.samples import FIELDS, NONE, OK, Planned, SampleStream
from replay.swarm import settle as settling
from replay.swarm.settle import settle
from replay.texts import Texts
from replay.workload import Workload
from tests.replay.planned import write_workload


def written(tmp_path: Path, dials: Dials) -> tuple[Workload, Plan, TemporaryDirectory[str]]:
    said = [(n / 10, f"s{n % 7}", f"SELECT 'é{n}'") for n in range(60)]
    workload = write_workload(tmp_path / "w", said)
    plan = build_plan(workload, dials)
    return workload, plan, write_plan(plan, workload, tmp_path / "run")


def as_bytes(plan: Plan) -> list[bytes]:
    timetable = plan.timetable
    arrays = (timetable.row, timetable.due_us, timetable.starts, timetable.clone)
    return [np.asarray(each).tobytes() for each in arrays]


@pytest.mark.parametrize("dials", [Dials(scale=2.5), Dials(since="2026-03-01T10:00:02")])
def test_a_worker_maps_or_makes_the_plan_that_the_master_wrote(
    dials: Dials, tmp_path: Path
) -> None:
    workload, plan, files = written(tmp_path, dials)
    directory = Path(files.name)
    mapped = find_plan(directory, workload, dials)
    files.cleanup()
    made = find_plan(directory, workload, dials)
    assert list((tmp_path / "run").iterdir()) == []
    columns = mapped.statements.column_names
    assert {"sql", "params", "session_id", "error"} <= set(columns)
    for one in (mapped, made):
        assert as_bytes(one) == as_bytes(plan)
        assert one.statements.to_pylist() == workload.statements(columns).to_pylist()


def test_a_plan_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    workload, plan, files = written(tmp_path, Dials())
    shutil.rmtree(workload.path)
    with files:
        assert as_bytes(find_plan(Path(files.name), workload, Dials(scale=3))) == as_bytes(plan)


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    workload, plan, files = written(tmp_path, Dials())
    files.cleanup()
    workload.statements_path.write_bytes(b"PAR1 not any more")
    with pytest.raises(Unreadable, match="damaged"):
        write_plan(plan, workload, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


BINDS = st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3)


@given(st.lists(st.lists(st.tuples(st.text(max_size=9), BINDS), max_size=4), min_size=1), st.data())
@settings(max_examples=80, deadline=None)
def test_texts_are_what_arrow_has(
    blocks: list[list[tuple[str, Sequence[str | None] | None]]], data: st.DataObject
) -> None:
    schema = pa.schema([("sql", pa.string()), ("params", pa.list_(pa.string()))])
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array([each[at] for each in block], schema.types[at]) for at in (0, 1)],
            schema=schema,
        )
        for block in blocks
    ]
    table = pa.Table.from_batches(batches, schema)
    table = table.slice(data.draw(st.integers(0, len(table))))
    texts = Texts(table)
    for row, said in enumerate(table.to_pylist()):
        sql, binds = texts[row]
        assert sql.decode() == said["sql"]
        given = None if binds is None else [b if b is None else b.decode() for b in binds]
        assert given == said["params"]


@pytest.mark.parametrize("dials", [Dials(scale=2.5), Dials(loop_s=10)], ids=["scaled", "looped"])
@pytest.mark.parametrize("every", [1, 3, 1_000], ids=["all", "some", "but one"])
def test_what_has_no_sample_is_settled_as_unknown(
    dials: Dials, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_ROWS", 7)
    _, plan, files = written(tmp_path, dials)
    files.cleanup()
    run, statements = tmp_path / "run", plan.timetable.statements
    write_json(run / "run.json", {"schema_version": 1})
    due_us = plan.timetable.due_us.tolist()
    clone = plan.timetable.clone_of(np.arange(statements)).tolist()
    kept = [n for n in range(statements) if n % every]
    for worker, part in enumerate((kept[::2], kept[1::2])):
        planned = Planned(plan.timetable, plan.statements)
        stream = SampleStream(run / "samples", worker=f"w{worker}", planned=planned)
        rows = [
            (n, clone[n], due_us[n], 0, due_us[n] + n, NONE, due_us[n] + n, OK, 1, 7) for n in part
        ]
        stream.append(np.array(rows, dtype=np.int64).reshape(-1, FIELDS), {})
        # One ends well, the other dies and leaves its stream.
        if worker:
            stream.finish()
        else:
            stream._part._file.close()
            stream._reserved.close()
    settlement = settle(Run(run), plan)
    assert settlement.ledger.balanced
    assert (settlement.ledger.ok, settlement.ledger.planned) == (len(kept), statements)
    assert settlement.lag_p50_us == (kept[(len(kept) - 1) // 2] if kept else None)
    unknown = pq.read_table(run / "samples" / "unknown.parquet")
    assert set(unknown["status"].to_pylist()) == {"unknown"}
    assert len(unknown) == statements - len(kept)
    samples = Run(run).samples().select(["statement_id", "clone", "due_us"]).to_pylist()
    wanted = zip(plan.timetable.row.tolist(), clone, due_us, strict=True)
    assert sorted(tuple(row.values()) for row in samples) == sorted(wanted)
