from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from replay.errors import UsageError
from replay.ingest.config import Ingest, read_ingest


def read(tmp_path: Path, text: str) -> Ingest:
    (tmp_path / "rows.csv").write_text("1,a\n2,b\n")
    (tmp_path / "empty.csv").touch()
    path = tmp_path / "fourstep.toml"
    path.write_text(text)
    return read_ingest(path)


def test_a_rate_says_when_loads_are_due(tmp_path: Path) -> None:
    text = '[ingest]\ntable = "a.t"\nrows_from = "rows.csv"\nrows_per_s = 500\nrows_per_load = 100'
    ingest = read(tmp_path, text)
    assert list(itertools.islice(ingest.due_s([]), 3)) == pytest.approx([0, 0.2, 0.4])
    assert ingest.rows_per_s == 500
    assert ingest.rows_from == str((tmp_path / "rows.csv").resolve())
    assert ingest.statement.as_string() == 'COPY "a"."t" FROM STDIN (FORMAT csv)'


def test_captured_loads_are_due_when_1_0_was_loaded(tmp_path: Path) -> None:
    ingest = read(tmp_path, '[ingest]\ntable = "t"\nrows_from = "rows.csv"\ncaptured = true')
    assert list(ingest.due_s([0.5, 7.0])) == [0.5, 7.0]
    assert ingest.rows_per_s is None


@pytest.mark.parametrize(
    ("role", "said"),
    [("", "default"), ('iam_role = "arn:aws:iam::1:role/o\'k"', "'arn:aws:iam::1:role/o''k'")],
)
def test_redshift_loads_from_s3(role: str, said: str, tmp_path: Path) -> None:
    text = f'[ingest]\ntable = "t"\ncopy_from = "s3://b/p"\nevery_s = 60\n{role}'
    sql = read(tmp_path, text).statement.as_string()
    assert sql == f"COPY \"t\" FROM 's3://b/p' IAM_ROLE {said} FORMAT AS CSV"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[cost]", "has no table `[ingest]`"),
        ('[ingest]\nrows_from = "rows.csv"\nevery_s = 1', "`table` is missing"),
        ('[ingest]\ntable = "t"\nevery_s = 1', "one of `rows_from`"),
        ('[ingest]\ntable = "t"\nrows_from = "empty.csv"\nevery_s = 1', "not a file with rows"),
        ('[ingest]\ntable = "t"\nrows_from = "none.csv"\nevery_s = 1', "not a file with rows"),
        ('[ingest]\ntable = "t"\nrows_from = "rows.csv"', "one of `rows_per_s`"),
        (
            '[ingest]\ntable = "t"\nrows_from = "rows.csv"\nevery_s = 1\ncaptured = true',
            "one of `rows_per_s`",
        ),
        ('[ingest]\ntable = "t"\ncopy_from = "s3://b"\nrows_per_s = 1', "give `every_s`"),
        ('[ingest]\ntable = "t"\ncopy_from = "/b"\nevery_s = 1', "must begin with s3://"),
        ('[ingest]\ntable = 7\nrows_from = "rows.csv"\nevery_s = 1', "`table` must be a string"),
        ('[ingest]\ntabel = "t"', "did you mean `table`?"),
    ],
)
def test_what_is_wrong_is_told(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)
