"""Samples read in batches into narrow columns against the same read plainly, row by row."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.run import SAMPLES, STATUSES
from reports.samples import MISSING, Samples, read_samples

Row = dict[str, Any]
KINDS = ("select", "begin", None)
BY_STATEMENT = {"caller": np.array([7, 9, 1, 0], np.uint16)}

_moment = st.none() | st.integers(0, 2**20) | st.integers(0, 2**45)
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "statement_id": st.integers(0, 9),
            "clone": st.integers(0, 2),
            "template_id": st.sampled_from([f"t{code}" for code in range(6)]),
            "status": st.sampled_from(STATUSES),
            "sqlstate": st.sampled_from([None, "42P01", "57014"]),
            "error": st.sampled_from([None, "no such table", "too late", "42P01"]),
            "due_us": st.integers(0, 2**45),
            **dict.fromkeys(("ready_us", "sent_us", "done_us", "captured_us"), _moment),
        }
    ),
    max_size=12,
)


def _write(directory: Path, files: list[list[Row]], streams: list[list[Row]]) -> None:
    (directory / "samples").mkdir()
    for number, rows in enumerate([*files, *streams]):
        filled = [row | {"kind": _kind(row["template_id"])} for row in rows]
        table = pa.Table.from_pylist(filled, schema=SAMPLES)
        path = directory / "samples" / f"worker-{number}"
        if number < len(files):
            size = max(5, len(table) // 3)
            pq.write_table(table, path.with_suffix(".parquet"), row_group_size=size)
            continue
        with (
            pa.OSFile(str(path.with_suffix(".arrows")), "wb") as file,
            pa.ipc.new_stream(file, SAMPLES) as stream,
        ):
            stream.write_table(table, max_chunksize=3)


def _kind(template: str) -> str | None:
    return KINDS[int(template[1:]) % len(KINDS)]


def _less(later: int | None, earlier: int | None) -> int:
    return MISSING if later is None or earlier is None else later - earlier


def _check(samples: Samples, rows: list[Row]) -> None:
    """Each row as its columns say; which they are, and in which order, is the same."""
    columns = samples.columns
    assert {len(column) for column in columns.values()} == {len(rows)}
    names, failures = list(samples.kinds), list(samples.failures)
    for at, row in enumerate(rows):
        due, ready = row["due_us"], row["ready_us"]
        could = due if ready is None else max(due, ready)
        failed = row["status"] in ("error", "timeout", "skipped")
        pair = (row["sqlstate"] or "", row["error"] or "")
        code = int(columns["failure"][at])
        assert names[columns["template"][at]] == row["template_id"]
        assert STATUSES[columns["status"][at]] == row["status"]
        assert (failures[code] == pair) if failed else (code == -1)
        captured = row["captured_us"]
        expected = {
            "original": row["clone"] == 0,
            "due_us": due,
            "lag_us": _less(row["sent_us"], could),
            "backlog_us": could - due,
            "response_us": _less(row["done_us"], due),
            "captured_us": MISSING if captured is None else captured,
            "caller": BY_STATEMENT["caller"][min(row["statement_id"], 3)],
        }
        assert {name: columns[name][at].item() for name in expected} == expected
    for name, kind in samples.kinds.items():
        assert kind == (_kind(name) or "other")
    failing = {row["statement_id"] for row in rows if row["status"] in ("error", "timeout")}
    assert {int(number) for some in samples.failing for number in some} == failing


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_rows, max_size=3), st.lists(_rows, max_size=2))
def test_columns_hold_what_the_files_do(files: list[list[Row]], streams: list[list[Row]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        _write(Path(directory), files, streams)
        samples = read_samples(Path(directory), BY_STATEMENT)
    _check(samples, [row for rows in (*files, *streams) for row in rows])


@pytest.mark.parametrize(("took_us", "width"), [(700_000_000, 4), (800_000_000, 8)])
def test_times_are_wide_only_where_one_needs_it(tmp_path: Path, took_us: int, width: int) -> None:
    row: Row = {
        "statement_id": 0, "clone": 0, "template_id": "t0", "status": "ok", "due_us": 2**40,
        "sent_us": 2**40 + 5, "done_us": 2**40 + took_us,
    }  # fmt: skip
    none: Row = dict.fromkeys(("ready_us", "captured_us", "sqlstate", "error"))
    early = row | none | {"sent_us": 2**40, "done_us": 2**40 + 9}
    _write(tmp_path, [[early] * 7 + [row | none] + [early] * 3], [])
    samples = read_samples(tmp_path, BY_STATEMENT)
    for name in ("response_us", "lag_us", "backlog_us", "captured_us"):
        assert samples.columns[name].itemsize == width
    _check(samples, [early] * 7 + [row | none] + [early] * 3)


def test_more_templates_than_sixteen_bits_tell_apart(tmp_path: Path) -> None:
    n = 40_000
    row: Row = {
        "statement_id": 0, "clone": 0, "status": "error", "due_us": 1,
        "sqlstate": "XX000",
    }  # fmt: skip
    rows = [row | {"template_id": f"t{at}", "error": f"at {at}"} for at in range(n)]
    _write(tmp_path, [rows[: n // 2], rows[n // 2 :]], [])
    samples = read_samples(tmp_path, BY_STATEMENT)
    assert samples.columns["template"].tolist() == list(range(n))
    texts = [text for _, text in samples.failures]
    found = [texts[code] for code in samples.columns["failure"]]
    assert found == [f"at {at}" for at in range(n)]
