from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from replay.capture.capture import capture
from replay.capture.formats import recognise
from replay.capture.record import ReaderOptions, What
from replay.capture.tabular.map import read_column_map
from replay.errors import UsageError
from tests.replay.capture.records import rows_of

T0 = datetime(2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)
T0_US = 1_772_359_200_123_000
PLAIN = """
[columns]
sql = "query"
at = "started"
"""
FULL = """
[columns]
sql = "QUERY_TEXT"
at = "START_TIME"
session = "SESSION_ID"
user = "USER_NAME"
database = "DATABASE_NAME"
application = "CLIENT"
duration = "ELAPSED"
rows = "ROWS"
error = "ERROR_CODE"
params = "BINDS"
[options]
dialect = "snowflake"
duration_unit = "ms"
null = ["NULL"]
"""
Row = dict[str, Any]


@pytest.fixture
def write_map(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "map.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def any_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("map") / "map.toml"


def as_csv(rows: list[Row]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    return out.getvalue().encode()


def as_jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: list[Row] | pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(rows) if isinstance(rows, list) else rows
    parquet.write_table(table, out, **options)
    return out.getvalue()


WRITERS: dict[str, Any] = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


def statements(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["what"] == What.STATEMENT]


SAMPLE: list[Row] = [
    {
        "QUERY_TEXT": f"SELECT \"é\", 'it''s'\n  FROM t{n} -- {{\"a\": [1]}}",
        "START_TIME": f"2026-03-01 10:00:0{n}.123 -0800",
        "SESSION_ID": 17 + n % 2,
        "USER_NAME": "ann",
        "DATABASE_NAME": "ads",
        "CLIENT": None,
        "ELAPSED": 12 * n,
        "ROWS": n,
        "ERROR_CODE": "NULL" if n else "002003",
        "BINDS": ["x", None, "1"],
    }
    for n in range(5)
]


def test_the_same_statements_give_the_same_workload(write_map: Any, tmp_path: Path) -> None:
    found = []
    for name, write in WRITERS.items():
        path = tmp_path / f"log.{name}"
        path.write_bytes(write(SAMPLE))
        workload = capture([str(path)], tmp_path / f"w-{name}", columns=write_map(FULL))
        assert workload.counts.balanced and workload.counts.captured == 5
        assert workload.manifest["dialect"] == "snowflake"
        assert workload.manifest["timestamps"] == {"meaning": "start", "resolution_us": 1_000}
        (source,) = workload.manifest["sources"]
        assert (source["format"], source["bytes"]) == (name, path.stat().st_size)
        found.append(workload.statements().drop_columns(["origin"]).to_pylist())
    assert found[0] == found[1] == found[2]
    # None of them is another's twin.
    together = capture([str(tmp_path / "log.*")], tmp_path / "w", columns=write_map(FULL))
    assert together.counts.captured == 15
    first, second = found[0][:2]
    assert first["started_at"] == T0 + timedelta(hours=8)
    assert (first["session_id"], first["seq"], first["error"]) == ("17", 0, "002003")
    assert (second["session_id"], second["duration_us"], second["rows"]) == ("18", 12_000, 1)
    assert (second["user"], second["database"], second["application"]) == ("ann", "ads", None)
    assert (second["error"], second["params"]) == (None, ["x", None, "1"])
    assert second["sql"] == SAMPLE[1]["QUERY_TEXT"]


@pytest.mark.parametrize("name", WRITERS)
def test_stamps_as_numbers(write_map: Any, name: str) -> None:
    for unit, value in (("s", T0_US / 1e6), ("ms", T0_US // 1_000), ("ns", T0_US * 1_000)):
        columns = write_map(PLAIN + f'[options]\ntime_unit = "{unit}"\n')
        log = WRITERS[name]([{"query": "x", "started": value}])
        assert [row["at_us"] for row in statements(rows_of(log, columns=columns))] == [T0_US]


def test_stamps_as_texts(write_map: Any) -> None:
    columns = write_map(PLAIN + '[options]\ntimezone = "Europe/Berlin"\n')
    texts = {
        "2026-03-01T10:00:00.123Z": 0,
        "2026-03-01 11:00:00.123 +0100": 0,
        "2026-03-01 11:00:00.123456789 CET": 456,
        "2026-03-01T11:01": 59_877_000,
    }
    log = as_csv([{"query": "x", "started": text} for text in texts])
    found = statements(rows_of(log, columns=columns))
    assert [row["at_us"] - T0_US for row in found] == list(texts.values())
    # The zone of the command line overrides them all.
    assert rows_of(log, columns=columns, zone=UTC)[3]["at_us"] == T0_US + 3_600_000_456


@pytest.mark.parametrize(
    "values",
    [
        pa.array([T0.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([T0], pa.timestamp("ms", tz="America/New_York")),
        pa.array(["2026-03-01 10:00:00.123+00:00"], pa.large_string()),
        pa.array([b"2026-03-01T10:00:00.123Z"], pa.binary()),
    ],
)
def test_typed_stamps(write_map: Any, values: pa.Array) -> None:
    log = as_parquet(pa.table({"query": ["SELECT 1"], "started": values}))
    (row,) = rows_of(log, columns=write_map(PLAIN))
    assert (row["what"], row["at_us"]) == (What.STATEMENT, T0_US)


def test_typed_values(write_map: Any) -> None:
    columns = {
        "QUERY_TEXT": ["a"],
        "START_TIME": [T0],
        "SESSION_ID": pa.array([Decimal("7")], pa.decimal128(38, 0)),
        "USER_NAME": pa.array(["ann"]).dictionary_encode(),
        "DATABASE_NAME": pa.array(["ads"], pa.large_string()),
        "CLIENT": pa.nulls(1),
        "ELAPSED": pa.array([timedelta(microseconds=1_500)], pa.duration("us")),
        "ROWS": pa.array([3.0]),
        "ERROR_CODE": pa.array([None], pa.int32()),
        "BINDS": pa.array([[1, None]]),
    }
    (row,) = rows_of(as_parquet(pa.table(columns)), columns=write_map(FULL))
    assert (row["session"], row["user"], row["database"]) == ("7", "ann", "ads")
    assert (row["application"], row["error"], row["rows"]) == (None, None, 3)
    assert (row["duration_us"], row["params"]) == (1_500, ["1", None])


def test_bind_values_as_json(write_map: Any) -> None:
    columns = write_map(PLAIN + 'params = "p"\n')
    texts = ['["a\\n\\u00e9", 1, 2.5, true, null, {"x": [1]}]', "[]", "", "{}", "[1", "3"]
    rows = [{"query": "x", "started": "2026-03-01 10:00", "p": text} for text in texts]
    found = rows_of(as_csv(rows), columns=columns)[1:]
    sound = [["a\né", "1", "2.5", "true", None, '{"x":[1]}'], []]
    assert [row["params"] for row in found] == [*sound, *[None] * 4]
    assert [row["reason"] for row in found] == [None] * 3 + ["bind values unreadable"] * 3


@pytest.mark.parametrize("name", WRITERS)
def test_rows_that_cannot_be_used(write_map: Any, name: str) -> None:
    rows: list[Row] = [
        {"query": "SELECT 1", "started": "2026-03-01 10:00"},
        {"query": " \n", "started": "2026-03-01 10:00"},
        {"query": None, "started": "2026-03-01 10:00"},
        {"query": "SELECT 'secret'", "started": "1. März, 10h"},
        {"query": "SELECT 'secret'", "started": None},
        {"query": "SELECT 2", "started": "2026-13-01 10:00"},
        {"query": "SELECT 3", "started": "2026-03-01 10:00"},
    ]
    found = rows_of(WRITERS[name](rows), columns=write_map(PLAIN))[-len(rows) :]
    reasons = [*["empty statement"] * 2, *["unreadable stamp"] * 3]
    assert [row["reason"] for row in found] == [None, *reasons, None]
    assert [row["sql"] for row in statements(found)] == ["SELECT 1", "SELECT 3"]
    assert [row["excerpt"] for row in found[3:6]] == ["9. aaaa, 99a", None, "9999-99-99 99:99"]


def test_durations_that_are_none(write_map: Any) -> None:
    columns = write_map(PLAIN + 'duration = "took"\n[options]\nduration_unit = "s"\n')
    texts = ["1", "1e-3", "-1", "", "00:00:01", "1e400", "9" * 40, " 2 "]
    rows = [{"query": "x", "started": "2026-03-01 10:00", "took": text} for text in texts]
    found = statements(rows_of(as_csv(rows), columns=columns))
    assert [row["duration_us"] for row in found] == [1_000_000, 1_000, *[None] * 5, 2_000_000]


def test_without_sessions_each_statement_is_its_own(write_map: Any, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(as_csv([{"query": "x", "started": "2026-03-01 10:00"}] * 3))
    workload = capture([str(tmp_path / "*.csv")], tmp_path / "w", columns=write_map(PLAIN))
    names = [f"{tmp_path / name}:{line}" for name in ("a.csv", "b.csv") for line in (2, 3, 4)]
    assert sorted(workload.statements()["session_id"].to_pylist()) == names
    findings = "\n".join(workload.manifest["findings"])
    assert "`columns.session`" in findings and "`options.dialect`" in findings
    assert "taken for UTC; set --timezone" in findings


def test_whole_seconds_are_spread(write_map: Any, tmp_path: Path) -> None:
    rows = [{"query": f"SELECT {n}", "started": "2026-03-01 10:00:00"} for n in range(50)]
    for name, write in WRITERS.items():
        path = tmp_path / f"log.{name}"
        path.write_bytes(write(rows))
        workload = capture([str(path)], tmp_path / f"w-{name}", columns=write_map(PLAIN))
        assert workload.manifest["timestamps"]["resolution_us"] == 1_000_000
        assert len(set(workload.statements()["started_at"].to_pylist())) == 50


def test_logs_with_headers_of_their_own(write_map: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("started,query\n2026-03-01 10:00:00.5,SELECT 1\n")
    (tmp_path / "b.csv").write_text(
        "\ufeffquery,other,started\r\nSELECT 2,x,2026-03-01 10:00:01.5\r\n"
        "\r\nquery,other,started\r\n"
        "SELECT 3,x,2026-03-01 10:00:02.5\r\n"
    )
    (tmp_path / "c.txt").write_text("not, a log\n")
    workload = capture([str(tmp_path / "[abc].*")], tmp_path / "w", columns=write_map(PLAIN))
    found = [(row["sql"], row["origin"]) for row in workload.statements().to_pylist()]
    assert found == [("SELECT 1", "a.csv:2"), ("SELECT 2", "b.csv:2"), ("SELECT 3", "b.csv:5")]
    assert workload.counts.skipped == Counter({"header": 3, "blank line": 1})
    assert workload.counts.quarantined == Counter({"format not recognised": 1})


BROKEN = (
    "query,started\n"
    '"SELECT\n 1",2026-03-01 10:00\n'
    "SELECT 2,2026-03-01 10:00,more\n"
    "SELECT 3\n"
    '"cut off,2026-03-01 10:00\n'
    '"SELECT 4",2026-03-01 10:00\n'
    '5" pipe,2026-03-01 10:00\n'
    '"cut\noff,2026-03-01 10:00\n'
    '"SELECT ""6""\n",2026-03-01 10:00\n'
    '"a"b,2026-03-01 10:00\n'
    "SELECT 7,2026-03-01 10:00"
)


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 22])
def test_broken_rows_do_not_swallow_others(write_map: Any, block_bytes: int) -> None:
    found = rows_of(BROKEN, columns=write_map(PLAIN), block_bytes=block_bytes)
    sound = {2: "SELECT\n 1", 7: "SELECT 4", 11: 'SELECT "6"\n', 14: "SELECT 7"}
    assert {row["line"]: row["sql"] for row in statements(found)} == sound
    broken = [row["line"] for row in found if row["reason"] == "not 2 columns"]
    assert broken == [4, 5, 6, 8, 9, 13] and len(found) == 11


AWKWARD = st.text(st.sampled_from("\"'\\,;\n\r\t aé€𝄞$1-/*"), max_size=8)


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(AWKWARD, min_size=1, max_size=6),
    block_bytes=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from(",;\t"),
)
def test_any_text_survives_csv(
    any_map: Path, texts: list[str], block_bytes: int, end: str, delimiter: str
) -> None:
    any_map.write_text(PLAIN + f"[options]\ndelimiter = {json.dumps(delimiter)}\n")
    out = io.StringIO()
    # Python's writer does not quote a lone carriage return, as it should.
    quoting: Any = csv.QUOTE_ALL if "\r" in "".join(texts) else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["query", "started"])
    writer.writerows([text, "2026-03-01 10:00"] for text in texts)
    _, *found = rows_of(out.getvalue(), columns=any_map, block_bytes=block_bytes)
    assert [row["sql"] for row in found] == [text if text.strip() else None for text in texts]
    assert all((row["what"] == What.STATEMENT) == (row["sql"] is not None) for row in found)


PIECES = [b'"', b",", b"\n", b"\r", b"a", b'","', b'"\n', b"\xff", b"\0"]


@settings(max_examples=80, deadline=None)
@given(data=st.lists(st.sampled_from(PIECES), max_size=30), block_bytes=st.integers(1, 20))
def test_blocks_do_not_matter_to_broken_csv(
    any_map: Path, data: list[bytes], block_bytes: int
) -> None:
    any_map.write_text(PLAIN)
    log = b"query,started\nSELECT 1,2026-03-01 10:00\n" + b"".join(data)
    whole, parts = (
        sorted(rows_of(log, columns=any_map, block_bytes=size), key=lambda row: int(row["line"]))
        for size in (1 << 22, block_bytes)
    )
    assert parts == whole
    assert [row["sql"] for row in statements(whole)] == ["SELECT 1"]


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 22])
def test_lines_that_are_no_objects(write_map: Any, block_bytes: int) -> None:
    sql = 'SELECT "\u2028é\n\ud83d\ude00"'
    good = json.dumps({"query": sql, "started": "2026-03-01 10:00", "n": [1]})
    lines = [good, "", '[1, "secret"]', "secret", '{"query": "secret', '{"query": 1}', "null", good]
    text = "\n".join(lines) + "\n" + good[:-10]
    found = rows_of(text, columns=write_map(PLAIN), block_bytes=block_bytes)
    assert [row["line"] for row in found] == list(range(1, 10))
    bad = "not a JSON object"
    reasons = [None, "blank line", bad, bad, bad, "unreadable stamp", bad, None, bad]
    assert [row["reason"] for row in found] == reasons
    assert found[7]["sql"] == 'SELECT "\u2028é\n😀"'
    assert "secret" not in "".join(row["excerpt"] or "" for row in found)


def test_types_may_change_and_members_be_left_out(write_map: Any) -> None:
    at = {"START_TIME": "2026-03-01 10:00"}
    rows: list[Row] = [
        {**at, "QUERY_TEXT": "a", "ELAPSED": 1, "SESSION_ID": "s"},
        {**at, "QUERY_TEXT": 5, "ELAPSED": "1.5", "SESSION_ID": 7},
        {**at, "QUERY_TEXT": "c", "BINDS": '["x", 1]'},
    ]
    found = rows_of(as_jsonl(rows), columns=write_map(FULL))
    values = [(row["sql"], row["duration_us"], row["params"]) for row in found]
    assert values == [("a", 1_000, None), ("5", 1_500, None), ("c", None, ["x", "1"])]


def test_a_member_that_no_first_row_has_is_told(write_map: Any) -> None:
    log = as_jsonl([{"query": "SELECT 1", "started": "2026-03-01 10:00", "client_name": "x"}])
    options = ReaderOptions(columns=write_map(PLAIN + 'application = "clientname"\n'))
    found = recognise(log, options, log_format="auto")
    assert found is not None
    assert "no column `clientname`, nearest: `client_name`" in "\n".join(found.reader.notes)


def test_row_groups_and_batches(write_map: Any) -> None:
    rows = [{"query": f"SELECT {n + 1}", "started": T0} for n in range(20_000)]
    found = rows_of(as_parquet(rows, row_group_size=9_000), columns=write_map(PLAIN))
    assert [f"SELECT {row['line']}" for row in found] == [row["sql"] for row in found]
    assert len(found) == len(rows)


def test_a_damaged_row_group_is_told_and_left_out(write_map: Any) -> None:
    rows = [{"query": f"SELECT {n}", "started": "2026-03-01 10:00"} for n in range(30)]
    log = bytearray(as_parquet(rows, row_group_size=10, compression="zstd", use_dictionary=False))
    group = parquet.ParquetFile(io.BytesIO(bytes(log))).metadata.row_group(1)
    at = group.column(0).data_page_offset
    log[at : at + 20] = b"\xff" * 20
    found = rows_of(bytes(log), columns=write_map(PLAIN))
    assert [row["line"] for row in found] == [*range(1, 12), *range(21, 31)]
    assert (found[10]["reason"], found[10]["excerpt"]) == ("damaged, or no text", "10 rows")


def test_bytes_in_parquet_that_are_no_text(write_map: Any) -> None:
    queries = [b"SELECT 1", b"a\0b", b"\xff", b"SELECT 2"]
    table = pa.table({"query": queries, "started": ["2026-03-01 10:00"] * 4})
    found = rows_of(as_parquet(table, row_group_size=2), columns=write_map(PLAIN))
    assert [row["line"] for row in found] == [1, 2, 3]
    assert [row["reason"] for row in found[1:]] == ["not text: a NUL byte", "damaged, or no text"]


def test_packed_and_cut_parquet(write_map: Any, tmp_path: Path) -> None:
    log = as_parquet([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(log))
    (tmp_path / "b.parquet").write_bytes(log[:-10])
    workload = capture([str(tmp_path / "*.parquet*")], tmp_path / "w", columns=write_map(PLAIN))
    assert workload.counts.captured == 1
    assert workload.counts.quarantined == Counter({"cannot be read to its end": 1})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[columns", "cannot be read as TOML"),
        ("columns = 1", "`columns`: must be a table"),
        ('[column]\nsql = "q"', "`column.sql`: no such key, nearest: `columns.sql`"),
        ('[columns]\nsql = "q"', "`columns.at`: is missing"),
        (PLAIN + 'sesion = "s"', "`columns.sesion`: no such key, nearest: `columns.session`"),
        (PLAIN + "user = 1", "`columns.user`: must be the name of a column"),
        (PLAIN + 'duration = "d"', "`options.duration_unit`: is missing"),
        (PLAIN + '[options]\ntime_unit = "h"', "cannot be `h`; there are `ms`"),
        (PLAIN + '[options]\ndialect = "postgre"', "nearest: `postgres`"),
        (PLAIN + '[options]\nstamp = ["end"]', "`options.stamp`: cannot be `['end']`"),
        (PLAIN + '[options]\ntimezone = "Berlin"', "nearest: `Europe/Berlin`"),
        (PLAIN + '[options]\ndelimiter = "||"', "`options.delimiter`: must be one character"),
        (PLAIN + '[options]\nnull = "NULL"', "`options.null`: must be a list of texts"),
    ],
)
def test_mistakes_in_a_map(write_map: Any, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_column_map(path := write_map(text))
    assert str(path) in str(caught.value) and problem in str(caught.value)
    assert "[columns]" in str(caught.value.hint)


def test_no_map(tmp_path: Path) -> None:
    log = as_csv([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    assert recognise(log, ReaderOptions(), log_format="auto") is None
    for name in WRITERS:
        with pytest.raises(UsageError, match="need a map"):
            recognise(log, ReaderOptions(), log_format=name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_column_map(tmp_path / "none.toml")


@pytest.mark.parametrize("name", WRITERS)
def test_a_column_that_the_log_lacks(write_map: Any, name: str) -> None:
    log = WRITERS[name]([{"query": "SELECT 1", "STARTED_AT": "2026-03-01 10:00"}])
    with pytest.raises(UsageError, match=r"map\.toml.*no column `started`, nearest: `STARTED_AT`"):
        rows_of(log, columns=write_map(PLAIN))


@pytest.mark.parametrize(
    ("stamp", "options"),
    [("1772359200", ""), ("2026-03-01 10:00", '[options]\ntime_unit = "s"\n')],
)
def test_stamps_that_the_map_does_not_fit(write_map: Any, stamp: str, options: str) -> None:
    log = as_jsonl([{"query": "SELECT 1", "started": stamp}])
    with pytest.raises(UsageError, match="stamps in `started` are like `9") as caught:
        rows_of(log, columns=write_map(PLAIN + options))
    assert "options.time_unit" in str(caught.value.hint)
