from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from replay.marks import BEGIN, END, FAILED, SKIP, Marks
from replay.workload import STATEMENTS

SAID: dict[str, tuple[str, str, str | None, int]] = {
    "a question": ("select", "SELECT 1", None, 0),
    "one that failed": ("select", "SELECT x", "42703", FAILED),
    "one that is not carried over": ("select", "SELECT y", None, SKIP),
    "a write": ("insert", "INSERT INTO t VALUES (1)", None, SKIP),
    "a denied one": ("call", "SELECT pg_terminate_backend(1)", None, SKIP),
    "AWS's own user": ("select", "SELECT z", None, SKIP),
    "begin": ("begin", "BEGIN", None, BEGIN),
    "commit": ("commit", "COMMIT", None, END),
    "rollback": ("rollback", " ROLLBACK", None, END),
    "rollback of a transaction": ("rollback", "rollback work", None, END),
    "rollback to a savepoint": ("rollback", "Rollback  TO s1", None, 0),
    "rollback to another": ("rollback", "ROLLBACK WORK TO SAVEPOINT s2", None, 0),
}


@pytest.mark.parametrize("writes", [False, True])
def test_marks_of_planned_statements(writes: bool) -> None:
    kind, sql, error, marked = zip(*SAID.values(), strict=True)
    columns = {"kind": kind, "template_id": sql, "sql": sql, "error": error}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    schema = pa.schema([STATEMENTS.field(name) for name in (*columns, "user", "params")])
    # Each is planned three times, but for the first, which is not.
    row = np.repeat(np.arange(1, len(rows)), 3)
    rows[list(SAID).index("AWS's own user")]["user"] = "rdsdb"
    table = pa.Table.from_pylist(rows, schema=schema)
    marks = Marks(table, row, writes=writes, unsupported=frozenset(["SELECT y"]))
    wanted = np.array(marked)
    if writes:
        wanted[list(SAID).index("a write")] = 0
    assert list(marks.of) == wanted[row].tolist()
    reasons = {marks.reason(at) for at, mark in enumerate(marks.of) if mark & SKIP}
    always = {"unsupported", "denied: pg_terminate_backend", "denied: user rdsdb"}
    assert reasons == always | (set() if writes else {"may write: insert"})
