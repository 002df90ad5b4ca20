from __future__ import annotations

from pathlib import Path
from unittest import mock

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import unsorted
from replay.unsorted import Unsorted
from replay.workload import INCOMING

STARTS = st.lists(st.integers(0, 40), max_size=12)


@given(st.lists(STARTS, max_size=8), st.sampled_from([1, 3, 1_000]))
@settings(deadline=None)
def test_rows_come_back_sorted_and_none_is_lost(
    tmp_path_factory: object, batches: list[list[int]], at_once: int
) -> None:
    assert hasattr(tmp_path_factory, "mktemp")
    directory: Path = tmp_path_factory.mktemp("unsorted")
    wanted = []
    with (
        mock.patch.object(unsorted, "_ROWS_AT_ONCE", at_once),
        mock.patch.object(unsorted, "_EVERY", 1),
    ):
        rows = Unsorted(directory / "rows")
        number = 0
        for starts in batches:
            made = []
            for start in starts:
                made.append({"started_at": start, "session_id": f"s{start % 3}", "seq": number})
                number += 1
            wanted += made
            rows.add(pa.Table.from_pylist(made, schema=INCOMING))
        parts = list(rows.sorted())
        rows.close()
    found = [row for part in parts for row in part.to_pylist()]
    keys = [(row["started_at"], row["session_id"], row["seq"]) for row in found]
    assert keys == sorted(keys)
    assert sorted(row["seq"] for row in found) == list(range(len(wanted)))
