from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import samples
from replay.artefact import write_json
from replay.dials import Dials
from replay.errors import Unreadable
from replay.run import SAMPLES, Ledger, Run, read_stream
from replay.samples import NONE, OK, Planned, SampleStream
from replay.timetable import build_timetable
from replay.workload import Workload
from tests.replay.planned import write_workload

COUNTS = st.integers(0, 1_000)


def stream_of(
    tmp_path: Path, batches: int, *, roll_s: float = 0.0
) -> tuple[SampleStream, Workload]:
    """A stream of `batches` batches of two samples."""
    said = [(n / 10, f"s{n % 2}", "SELECT 1") for n in range(2 * batches)]
    if not (tmp_path / "w").exists():
        write_workload(tmp_path / "w", said)
    workload = Workload(tmp_path / "w")
    statements = workload.statements()
    timetable = build_timetable(statements, Dials())
    planned = Planned(timetable, statements)
    stream = SampleStream(tmp_path / "samples", worker="w0", planned=planned, roll_s=roll_s)
    for batch in range(batches):
        rows = [(2 * batch + n, 0, 0, 0, 5, NONE, 9, OK, 1, 7) for n in range(2)]
        stream.append(np.array(rows, dtype=np.int64), {})
    return stream, workload


def test_a_stream_cut_anywhere_is_readable_up_to_the_last_whole_batch(tmp_path: Path) -> None:
    stream, _ = stream_of(tmp_path, batches=3)
    whole = stream.path.read_bytes()
    assert sum(map(len, read_stream(stream.path))) == 6
    stream.finish()
    cut = tmp_path / "cut.arrows"
    seen = set()
    for length in range(0, len(whole), 97):
        cut.write_bytes(whole[:length])
        table = pa.Table.from_batches(read_stream(cut), SAMPLES)
        assert table.schema.equals(SAMPLES)
        seen.add(table.num_rows)
    assert seen == {0, 2, 4}


def test_a_finished_stream_is_parquet_with_the_same_rows(tmp_path: Path) -> None:
    stream, _ = stream_of(tmp_path, batches=2)
    before = pa.Table.from_batches(read_stream(stream.path))
    stream.finish()
    assert [(file["file"], file["rows"]) for file in stream.files] == [("w0.parquet", 4)]
    assert stream.path.suffix == ".parquet"
    assert pq.read_table(stream.path).equals(before)
    assert [path.name for path in stream.path.parent.iterdir()] == ["w0.parquet"]


def test_a_stream_rolls_to_files_that_hold_everything_once(tmp_path: Path) -> None:
    stream, _ = stream_of(tmp_path, batches=4, roll_s=1e-9)
    stream.finish()
    names = [f"w0-000{number}.parquet" for number in range(1, 6)]
    assert [file["file"] for file in stream.files] == names
    assert [file["rows"] for file in stream.files] == [0, 2, 2, 2, 2]
    write_json(tmp_path / "run.json", {"schema_version": 1})
    assert sorted(Run(tmp_path).samples()["statement_id"].to_pylist()) == list(range(8))
    # Who goes on with a run overwrites nothing of it.
    again, _ = stream_of(tmp_path, batches=1, roll_s=1e-9)
    assert again.path.name == "w0-0007.arrows"
    again.finish()


def test_where_there_is_no_room_for_the_next_file_this_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    stream, _ = stream_of(tmp_path, batches=1)
    stream._roll_s = 1e-9
    row = np.array([(0, 0, 0, 0, 5, NONE, 9, OK, 1, 7)], dtype=np.int64)
    with monkeypatch.context() as patched:
        patched.setattr(samples, "_Part", full)
        with pytest.raises(OSError, match="No space"):
            stream.append(row, {})
    assert sum(map(len, read_stream(stream.path))) == 2
    stream.append(row, {})
    stream.finish()
    assert [file["rows"] for file in stream.files] == [2, 1]


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.dictionaries(st.text(max_size=3), COUNTS), COUNTS)
def test_a_ledger_balances_when_nothing_is_missing(
    ok: int, error: int, timeout: int, cancelled: int, skipped: dict[str, int], unknown: int
) -> None:
    ends = ok + error + timeout + cancelled + sum(skipped.values()) + unknown
    ledger = Ledger(
        planned=ends,
        ok=ok,
        error=error,
        timeout=timeout,
        cancelled=cancelled,
        skipped=Counter(skipped),
        unknown=unknown,
    )
    assert ledger.balanced
    assert Ledger.from_json(ledger.as_json()) == ledger
    assert not Ledger(planned=ends + 1, ok=ok, unknown=ends - ok).balanced


def test_what_was_planned_and_has_no_sample_is_unknown() -> None:
    rows = [{"status": "ok"}, {"status": "skipped", "error": "may write: ddl"}]
    table = pa.Table.from_pylist(rows, schema=SAMPLES)
    ledger = Ledger.of_samples(5, iter([table]))
    assert (ledger.ok, dict(ledger.skipped), ledger.unknown) == (1, {"may write: ddl": 1}, 3)
    assert ledger.balanced


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not a run"),
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"schema_version": 99}', "schema 99"),
    ],
    ids=["missing", "cut", "another thing", "newer"],
)
def test_a_damaged_run_is_told(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(Unreadable, match=words):
        Run(tmp_path)


def test_a_damaged_workload_is_told(tmp_path: Path) -> None:
    workload = write_workload(tmp_path / "w", [(0.0, "a", "SELECT 1")])
    (workload.path / "statements.parquet").write_bytes(b"PAR1 not any more")
    with pytest.raises(Unreadable, match="damaged"):
        Workload(workload.path).statements()
    (workload.path / "templates.parquet").unlink()
    with pytest.raises(Unreadable, match=r"templates\.parquet"):
        Workload(workload.path)


def test_a_run_from_before_a_column_was_added_has_nulls_there(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"schema_version": 1})
    (tmp_path / "samples").mkdir()
    table = pa.Table.from_pylist([{"status": "ok", "backend_pid": 7}], schema=SAMPLES)
    pq.write_table(table.drop_columns("backend_pid"), tmp_path / "samples" / "w0.parquet")
    (row,) = Run(tmp_path).samples().to_pylist()
    assert (row["status"], row["backend_pid"]) == ("ok", None)
