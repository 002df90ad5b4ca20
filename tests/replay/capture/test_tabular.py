from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
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
from replay.capture.column_map import read_column_map
from replay.capture.formats import recognise
from replay.capture.record import ReaderOptions, What
from replay.capture.rfc4180 import split_records
from replay.errors import Unreadable, UsageError
from tests.replay.capture.records import rows_of

FORMATS = ("csv", "jsonl", "parquet")
T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
T0_US = 1_772_359_200_000_000
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


def as_csv(rows: list[Row], *, end: str = "\n") -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator=end)
    writer.writeheader()
    for row in rows:
        cells = {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
        writer.writerow(cells)
    return out.getvalue().encode()


def as_jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: list[Row], **options: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out, **options)
    return out.getvalue()


WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
    "parquet": as_parquet,
}


def line_of(row: Row) -> int:
    line: int = row["line"]
    return line


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
    first, second = found[0][:2]
    assert first["started_at"] == T0 + timedelta(hours=8, milliseconds=123)
    assert (first["session_id"], first["seq"], first["error"]) == ("17", 0, "002003")
    assert (second["session_id"], second["duration_us"], second["rows"]) == ("18", 12_000, 1)
    assert (second["user"], second["database"], second["application"]) == ("ann", "ads", None)
    assert (second["error"], second["params"]) == (None, ["x", None, "1"])
    assert second["sql"] == SAMPLE[1]["QUERY_TEXT"]


BIGQUERY = """
[columns]
sql = "query"
at = "start_time"
ended = "end_time"
session = "session_info.session_id"
user = "user_email"
error = "error_result.reason"
[options]
dialect = "bigquery"
"""


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_members_of_members_and_ends(write_map: Any, name: str) -> None:
    rows: list[Row] = [
        {
            "query": "SELECT 1",
            "start_time": "2026-03-01 10:00:00.5 UTC",
            "end_time": "2026-03-01 10:00:02 UTC",
            "user_email": "ann@example.com",
            "session_info": {"session_id": "s1"},
            "error_result": {"reason": "invalidQuery", "message": "no"},
        },
        {
            "query": "SELECT 2",
            "start_time": "2026-03-01 10:00:00.75 UTC",
            "end_time": None,
            "user_email": None,
            "session_info": None,
            "error_result": None,
        },
    ]
    first, second = rows_of(WRITERS[name](rows), columns=write_map(BIGQUERY))
    assert (first["at_us"], first["duration_us"]) == (T0_US + 500_000, 1_500_000)
    assert (first["session"], first["error"]) == ("s1", "invalidQuery")
    assert (second["duration_us"], second["error"], second["user"]) == (None, None, None)
    # It names no session, and is one of its own.
    assert second["session"].endswith("2") and second["session"] != "s1"


@pytest.mark.parametrize(
    ("unit", "value", "us"),
    [
        ("s", 1_772_359_200, T0_US),
        ("s", 1_772_359_200.123456, T0_US + 123_456),
        ("ms", 1_772_359_200_123, T0_US + 123_000),
        ("us", T0_US + 1, T0_US + 1),
        ("ns", (T0_US + 123_456) * 1_000, T0_US + 123_456),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_stamps_as_numbers(write_map: Any, name: str, unit: str, value: Any, us: int) -> None:
    columns = write_map(PLAIN + f'[options]\ntime_unit = "{unit}"\n')
    (row,) = statements(rows_of(WRITERS[name]([{"query": "x", "started": value}]), columns=columns))
    assert row["at_us"] == us


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-03-01T10:00:00Z", T0_US),
        ("2026-03-01T11:00:00.25+01:00", T0_US + 250_000),
        ("2026-03-01 11:00:00 +0100", T0_US),
        ("2026-03-01 11:00:00.123456789 CET", T0_US + 123_456),
        ("2026-03-01 10:00:00 utc", T0_US),
        ("2026-03-01 11:00:00", T0_US),
        ("2026-03-01 11:00:00.123456789", T0_US + 123_456),
        ("2026-03-01T11:00", T0_US),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_stamps_as_texts(write_map: Any, text: str, us: int, mixed: bool) -> None:
    columns = write_map(PLAIN + '[options]\ntimezone = "Europe/Berlin"\n')
    others = ["2026-03-01 09:00:00.000 UTC", "2026-03-01 09:00:00"] if mixed else []
    rows = [{"query": "x", "started": each} for each in [*others, text]]
    assert statements(rows_of(as_csv(rows), columns=columns))[-1]["at_us"] == us


def test_the_zone_told_on_the_command_line_wins(write_map: Any) -> None:
    columns = write_map(PLAIN + '[options]\ntimezone = "Europe/Berlin"\n')
    rows = [
        {"query": "x", "started": text} for text in ("2026-03-01 10:00", "2026-03-01 10:00 CET")
    ]
    found = rows_of(as_csv(rows), columns=columns, zone=UTC)
    assert [row["at_us"] for row in statements(found)] == [T0_US, T0_US]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([T0.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([T0], pa.timestamp("ms", tz="America/New_York")),
        pa.array([T0], pa.timestamp("s", tz="UTC")),
        pa.array(["2026-03-01 10:00:00+00:00"], pa.large_string()),
        pa.array(["2026-03-01T10:00:00Z"]).dictionary_encode(),
        pa.array([b"2026-03-01T10:00:00Z"], pa.binary()),
    ],
    ids=lambda values: str(values.type),
)
def test_typed_stamps(write_map: Any, values: pa.Array) -> None:
    out = io.BytesIO()
    parquet.write_table(pa.table({"query": ["SELECT 1"], "started": values}), out)
    (row,) = rows_of(out.getvalue(), columns=write_map(PLAIN))
    assert (row["what"], row["at_us"]) == (What.STATEMENT, T0_US)


def test_typed_values(write_map: Any) -> None:
    columns = {
        "QUERY_TEXT": ["a"],
        "START_TIME": [T0],
        "SESSION_ID": pa.array([Decimal("7")], pa.decimal128(38, 0)),
        "USER_NAME": pa.array(["ann"]).dictionary_encode(),
        "DATABASE_NAME": pa.array(["ads"], pa.large_string()),
        "CLIENT": pa.array([None], pa.null()),
        "ELAPSED": pa.array([timedelta(microseconds=1_500)], pa.duration("us")),
        "ROWS": pa.array([3.0]),
        "ERROR_CODE": pa.array([None], pa.int32()),
        "BINDS": pa.array([[1, None]]),
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    (row,) = rows_of(out.getvalue(), columns=write_map(FULL))
    assert (row["session"], row["user"], row["database"]) == ("7", "ann", "ads")
    assert (row["application"], row["error"], row["rows"]) == (None, None, 3)
    assert (row["duration_us"], row["params"]) == (1_500, ["1", None])


def test_bind_values_as_json(write_map: Any) -> None:
    columns = write_map(PLAIN + 'params = "p"\n')
    texts = ['["a\\n\\u00e9", 1, 2.5, true, null, {"x": [1]}]', "[]", "", "{}", "[1", "3"]
    rows = [{"query": "x", "started": "2026-03-01 10:00", "p": text} for text in texts]
    found = rows_of(as_csv(rows), columns=columns)[1:]
    assert [row["params"] for row in found] == [
        ["a\né", "1", "2.5", "true", None, '{"x":[1]}'],
        [],
        *[None] * 4,
    ]
    assert [row["reason"] for row in found] == [None] * 3 + ["bind values unreadable"] * 3


def test_ends_with_and_without_durations(write_map: Any) -> None:
    row = {"query": "x", "started": "2026-03-01 10:00:01", "took": "0.25"}
    at_end = PLAIN + '{}[options]\nstamp = "end"\nduration_unit = "s"\n'
    for more, meaning, duration_us in (
        ('duration = "took"\n', "derived", 250_000),
        ("", "end", None),
    ):
        options = ReaderOptions(columns=write_map(at_end.format(more)))
        found = recognise(as_csv([row]), options, log_format="auto")
        assert found is not None and found.reader.meaning == meaning
        (record,) = statements(rows_of(as_csv([row]), columns=options.columns))
        assert (record["ends"], record["duration_us"]) == (True, duration_us)


@pytest.mark.parametrize("name", FORMATS)
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
    assert [row["reason"] for row in found] == [
        None,
        *["empty statement"] * 2,
        *["unreadable stamp"] * 3,
        None,
    ]
    assert [row["sql"] for row in statements(found)] == ["SELECT 1", "SELECT 3"]
    assert [row["excerpt"] for row in found[3:6]] == ["9. aaaa, 99a", "", "9999-99-99 99:99"]


def test_durations_that_are_none(write_map: Any, tmp_path: Path) -> None:
    columns = write_map(PLAIN + 'duration = "took"\n[options]\nduration_unit = "s"\n')
    texts = ["1", "1e-3", "-1", "", "00:00:01", "1e400", "9" * 40, " 2 "]
    rows = [{"query": "x", "started": "2026-03-01 10:00", "took": text} for text in texts]
    found = statements(rows_of(as_csv(rows), columns=columns))
    assert [row["duration_us"] for row in found] == [1_000_000, 1_000, *[None] * 5, 2_000_000]
    (tmp_path / "log.csv").write_bytes(as_csv(rows))
    workload = capture([str(tmp_path / "log.csv")], tmp_path / "w", columns=columns)
    assert any(
        "durations in `took` are no numbers" in line for line in workload.manifest["findings"]
    )


def test_durations_of_another_system(write_map: Any, tmp_path: Path) -> None:
    rows = [{"query": "x", "started": "2026-03-01 10:00", "took": int(n >= 50)} for n in range(100)]
    (tmp_path / "log.parquet").write_bytes(as_parquet(rows, row_group_size=50))
    columns = write_map(PLAIN + '[options]\ndialect = "snowflake"\n')
    workload = capture([str(tmp_path / "log.parquet")], tmp_path / "w1", columns=columns)
    assert any("no statement has a duration" in line for line in workload.manifest["findings"])
    timed = PLAIN + 'duration = "took"\n[options]\nduration_unit = "s"\ndialect = "snowflake"\n'
    workload = capture([str(tmp_path / "log.parquet")], tmp_path / "w2", columns=write_map(timed))
    # Some took 0 s, in an earlier batch than the others.
    assert not any("threshold" in line for line in workload.manifest["findings"])


def test_without_sessions_each_statement_is_its_own(write_map: Any, tmp_path: Path) -> None:
    rows = [{"query": f"SELECT {n}", "started": f"2026-03-01 10:00:0{n}.5"} for n in range(3)]
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(as_csv(rows))
    workload = capture([str(tmp_path / "*.csv")], tmp_path / "w", columns=write_map(PLAIN))
    sessions = workload.statements()["session_id"].to_pylist()
    assert len(set(sessions)) == 6
    assert set(sessions) >= {f"{tmp_path / 'a.csv'}:{line}" for line in (2, 3, 4)}
    findings = "\n".join(workload.manifest["findings"])
    assert "`columns.session`" in findings
    assert "`options.dialect`" in findings
    assert "taken for UTC; set --timezone" in findings


def test_whole_seconds_are_spread(write_map: Any, tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        rows = [{"query": f"SELECT {n}", "started": "2026-03-01 10:00:00"} for n in range(50)]
        (tmp_path / f"log.{name}").write_bytes(write(rows))
        workload = capture(
            [str(tmp_path / f"log.{name}")], tmp_path / f"w-{name}", columns=write_map(PLAIN)
        )
        assert workload.manifest["timestamps"]["resolution_us"] == 1_000_000
        assert len(set(workload.statements()["started_at"].to_pylist())) == 50


@pytest.mark.parametrize(
    ("texts", "options", "resolution_us"),
    [
        (["2026-03-01 10:00:00", "2026-03-01 10:00:01"], "", 1_000_000),
        (["2026-03-01 10:00:00.000", "2026-03-01 10:00:01.000"], "", 1_000),
        (["2026-03-01 10:00:00.25", "2026-03-01 10:00:01"], "", 1_000),
        (["2026-03-01 10:00:00.25", "2026-03-01 10:00:01.123456"], "", 1),
        (["1772359200", "1772359201"], '[options]\ntime_unit = "s"\n', 1_000_000),
        (["1772359200000", "1772359201000"], '[options]\ntime_unit = "ms"\n', 1_000),
    ],
)
def test_how_fine_stamps_are(
    write_map: Any, texts: list[str], options: str, resolution_us: int
) -> None:
    data = as_csv([{"query": "x", "started": text} for text in texts])
    found = recognise(data, ReaderOptions(columns=write_map(PLAIN + options)), log_format="auto")
    assert found is not None and found.reader.resolution_us == resolution_us


# CSV


def test_logs_with_headers_of_their_own(write_map: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("started,query\n2026-03-01 10:00:00.5,SELECT 1\n")
    (tmp_path / "b.csv").write_text(
        "\ufeffquery,other,started\r\n"
        "SELECT 2,x,2026-03-01 10:00:01.5\r\n"
        "\r\n"
        "query,other,started\r\n"
        "SELECT 3,x,2026-03-01 10:00:02.5\r\n"
    )
    (tmp_path / "c.txt").write_text("not, a log\n")
    workload = capture([str(tmp_path / "[abc].*")], tmp_path / "w", columns=write_map(PLAIN))
    rows = workload.statements().to_pylist()
    assert [(row["sql"], row["origin"]) for row in rows] == [
        ("SELECT 1", "a.csv:2"),
        ("SELECT 2", "b.csv:2"),
        ("SELECT 3", "b.csv:5"),
    ]
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
    assert [(row["line"], row["reason"], row["sql"]) for row in found] == [
        (1, "header", None),
        (2, None, "SELECT\n 1"),
        (4, "wrong number of columns", None),
        (5, "wrong number of columns", None),
        (6, "broken quoting", None),
        (7, None, "SELECT 4"),
        (8, "broken quoting", None),
        (9, "broken quoting", None),
        (11, None, 'SELECT "6"\n'),
        (13, "broken quoting", None),
        (14, None, "SELECT 7"),
    ]
    assert [row["excerpt"] for row in found if row["excerpt"]] == [
        "3 columns instead of 2",
        "1 columns instead of 2",
        "26 characters",
        "25 characters",
        "26 characters",
        "22 characters",
    ]


AWKWARD = st.text(st.sampled_from("\"'\\,;\n\r\t aé€𝄞$1-/*"), max_size=8)


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(AWKWARD, min_size=1, max_size=6),
    block_bytes=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from(",;\t"),
    all_quoted=st.booleans(),
)
def test_any_text_survives_csv(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    block_bytes: int,
    end: str,
    delimiter: str,
    all_quoted: bool,
) -> None:
    columns = tmp_path_factory.getbasetemp() / "any.toml"
    columns.write_text(PLAIN + f"[options]\ndelimiter = {json.dumps(delimiter)}\n")
    out = io.StringIO()
    # Python's writer does not quote a lone carriage return, as it should.
    all_quoted |= "\r" in "".join(texts)
    writer = csv.writer(
        out,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerow(["query", "started"])
    writer.writerows([text, "2026-03-01 10:00"] for text in texts)
    found = rows_of(out.getvalue(), columns=columns, block_bytes=block_bytes)
    assert [row["sql"] for row in found] == [
        None,
        *(text if text.strip() else None for text in texts),
    ]
    assert [row["what"] for row in found[1:]] == [
        What.STATEMENT if text.strip() else What.SKIPPED for text in texts
    ]


@settings(max_examples=80, deadline=None)
@given(
    data=st.lists(
        st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b'","', b'"\n', b"\xff", b"\0"]),
        max_size=30,
    ),
    block_bytes=st.integers(1, 20),
)
def test_blocks_do_not_matter_to_broken_csv(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes], block_bytes: int
) -> None:
    columns = tmp_path_factory.getbasetemp() / "any.toml"
    columns.write_text(PLAIN)
    log = b"query,started\n" + b"".join(data)
    whole = rows_of(log, columns=columns)
    parts = rows_of(log, columns=columns, block_bytes=block_bytes)
    assert sorted(parts, key=line_of) == sorted(whole, key=line_of)
    assert all(row["what"] != What.STATEMENT for row in whole)


def test_a_quote_on_every_line(write_map: Any) -> None:
    """Each of them is a place where splitting begins anew."""
    block = b'5" pipe,x\n' * 20_000
    starts, end = split_records(block, delimiter=",", last=False)
    assert starts.tolist() == list(range(0, len(block), 10)) and end == len(block)


# JSON lines


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 22])
def test_lines_that_are_no_objects(write_map: Any, block_bytes: int) -> None:
    good = json.dumps(
        {"query": 'SELECT "\u2028é\n\ud83d\ude00"', "started": "2026-03-01 10:00", "n": [1]}
    )
    lines = [good, "", '[1, "secret"]', "secret", '{"query": "secret', '{"query": 1}', "null", good]
    text = "\n".join(lines) + "\n" + good[:-10]
    found = rows_of(text, columns=write_map(PLAIN), block_bytes=block_bytes)
    assert [row["line"] for row in found] == list(range(1, 10))
    assert [row["reason"] for row in found] == [
        None,
        "blank line",
        *["not a JSON object"] * 3,
        "unreadable stamp",
        "not a JSON object",
        None,
        "not a JSON object",
    ]
    assert found[7]["sql"] == 'SELECT "\u2028é\n😀"'
    assert "secret" not in "".join(row["excerpt"] or "" for row in found)


def test_bytes_that_are_no_text(write_map: Any) -> None:
    good = as_jsonl([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    half = good.replace(b"SELECT", b"\\ud800")
    log = good + good.replace(b"SELECT", b"\xff") + half + good
    found = rows_of(log, columns=write_map(PLAIN))
    assert sorted((row["line"], row["reason"]) for row in found if row["reason"]) == [
        (2, "not text: invalid UTF-8 or a NUL byte"),
        (3, "not a JSON object"),
    ]


def test_types_may_change_and_members_be_left_out(write_map: Any) -> None:
    rows: list[Row] = [
        {"QUERY_TEXT": "a", "START_TIME": "2026-03-01 10:00", "ELAPSED": 1, "SESSION_ID": "s"},
        {"QUERY_TEXT": 5, "START_TIME": "2026-03-01 10:00", "ELAPSED": "1.5", "SESSION_ID": 7},
        {"QUERY_TEXT": "c", "START_TIME": "2026-03-01 10:00", "BINDS": '["x", 1]'},
    ]
    found = rows_of(as_jsonl(rows), columns=write_map(FULL))
    assert [(row["sql"], row["duration_us"], row["params"]) for row in found] == [
        ("a", 1_000, None),
        ("5", 1_500, None),
        ("c", None, ["x", "1"]),
    ]


def test_names_with_signs(write_map: Any) -> None:
    rows = [{"it's/a~\"b": "SELECT 1", "a.b": "2026-03-01 10:00"}]
    columns = write_map('[columns]\nsql = "it\'s/a~\\"b"\nat = "a.b"\n')
    for write in WRITERS.values():
        (row,) = statements(rows_of(write(rows), columns=columns))
        assert (row["sql"], row["at_us"]) == ("SELECT 1", T0_US)


def test_a_member_that_no_first_row_has_is_told(write_map: Any, tmp_path: Path) -> None:
    rows = [{"query": "SELECT 1", "started": "2026-03-01 10:00", "client_name": "x"}]
    (tmp_path / "log.jsonl").write_bytes(as_jsonl(rows))
    columns = write_map(PLAIN + 'application = "clientname"\n')
    workload = capture([str(tmp_path / "log.jsonl")], tmp_path / "w", columns=columns)
    findings = "\n".join(workload.manifest["findings"])
    assert "no column `clientname`, nearest: `client_name`" in findings


# Parquet


def test_row_groups_and_batches(write_map: Any) -> None:
    rows = [
        {"query": f"SELECT {n}", "started": T0 + timedelta(milliseconds=n)} for n in range(20_000)
    ]
    found = rows_of(as_parquet(rows, row_group_size=9_000), columns=write_map(PLAIN))
    assert [row["line"] for row in found] == list(range(1, 20_001))
    assert [row["sql"] for row in found] == [row["query"] for row in rows]


def test_a_damaged_row_group_is_told_and_left_out(write_map: Any) -> None:
    rows = [{"query": f"SELECT {n}", "started": "2026-03-01 10:00"} for n in range(30)]
    log = bytearray(as_parquet(rows, row_group_size=10, compression="zstd", use_dictionary=False))
    group = parquet.ParquetFile(io.BytesIO(bytes(log))).metadata.row_group(1)
    at = group.column(0).data_page_offset
    log[at : at + group.column(0).total_compressed_size] = (
        b"\xff" * group.column(0).total_compressed_size
    )
    found = rows_of(bytes(log), columns=write_map(PLAIN))
    assert [row["line"] for row in found] == list(range(1, 31))
    assert Counter(row["reason"] for row in found) == Counter({None: 20, "row group damaged": 10})


def test_texts_in_parquet_that_are_none(write_map: Any) -> None:
    table = pa.table(
        {
            "query": pa.array([b"SELECT 1", b"\xff", b"a\0b", None, b"SELECT 2"], pa.binary()),
            "started": ["2026-03-01 10:00"] * 5,
        }
    )
    out = io.BytesIO()
    parquet.write_table(table, out)
    found = rows_of(out.getvalue(), columns=write_map(PLAIN))
    assert [row["reason"] for row in found] == [
        None,
        *["not text: invalid UTF-8 or a NUL byte"] * 2,
        "empty statement",
        None,
    ]


def test_packed_and_cut_parquet(write_map: Any, tmp_path: Path) -> None:
    log = as_parquet([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(log))
    (tmp_path / "b.parquet").write_bytes(log[:-10])
    workload = capture([str(tmp_path / "*.parquet*")], tmp_path / "w", columns=write_map(PLAIN))
    assert workload.counts.captured == 1
    assert workload.counts.quarantined == Counter({"cannot be read to its end": 1})


# What is wrong with a map, and what does not fit it


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[columns", "is not TOML"),
        ("columns = 1", "`columns`: must be a table"),
        ("[column]", "`column`: no such key, nearest: `columns`"),
        ('[columns]\nsql = "q"', "`columns.at`: is missing"),
        (PLAIN + 'sesion = "s"', "`columns.sesion`: no such key, nearest: `session`"),
        (PLAIN + 'xyzzy = "s"', "`columns.xyzzy`: no such key, keys are sql, at, ended"),
        (PLAIN + "user = 1", "`columns.user`: must be the name of a column"),
        (PLAIN + 'duration = "d"', "`options.duration_unit`: is missing"),
        (PLAIN + 'duration = "d"\nended = "e"', "`columns.ended`: says the same"),
        (PLAIN + 'ended = "e"\n[options]\nstamp = "end"', "`columns.at` is the end already"),
        (
            PLAIN + '[options]\ntime_units = "s"',
            "`options.time_units`: no such key, nearest: `time_unit`",
        ),
        (
            PLAIN + '[options]\ntime_unit = "sec"',
            "`options.time_unit`: must be one of s, ms, us, ns",
        ),
        (PLAIN + '[options]\ndialect = "postgre"', "nearest: `postgres`"),
        (PLAIN + '[options]\nstamp = ["end"]', "`options.stamp`: must be one of start, end"),
        (
            PLAIN + '[options]\ntimezone = "Berlin"',
            "`options.timezone`: `Berlin` is not a time zone",
        ),
        (PLAIN + '[options]\ndelimiter = "||"', "`options.delimiter`: must be one character"),
        (PLAIN + '[options]\nnull = "NULL"', "`options.null`: must be a list of texts"),
    ],
)
def test_mistakes_in_a_map(write_map: Any, text: str, problem: str) -> None:
    path = write_map(text)
    with pytest.raises(UsageError) as caught:
        read_column_map(path)
    assert str(path) in str(caught.value) and problem in str(caught.value)
    assert "[columns]" in str(caught.value.hint)


def test_all_mistakes_at_once(write_map: Any) -> None:
    with pytest.raises(UsageError, match="has 3 problems"):
        read_column_map(write_map('[columns]\nsql = ""\n[options]\nstamp = "middle"\n'))


def test_no_map(tmp_path: Path) -> None:
    log = as_csv([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    assert recognise(log, ReaderOptions(), log_format="auto") is None
    for name in FORMATS:
        with pytest.raises(UsageError, match="need a map") as caught:
            recognise(log, ReaderOptions(), log_format=name)
        assert "--columns map.toml" in str(caught.value.hint)
    with pytest.raises(UsageError, match="cannot be read"):
        read_column_map(tmp_path / "none.toml")


@pytest.mark.parametrize("name", FORMATS)
def test_a_column_that_the_log_lacks(write_map: Any, name: str, tmp_path: Path) -> None:
    rows = [{"query": "SELECT 1", "STARTED_AT": "2026-03-01 10:00"}]
    path = tmp_path / f"log.{name}"
    path.write_bytes(WRITERS[name](rows))
    with pytest.raises(UsageError, match="no column `started`, nearest: `STARTED_AT`") as caught:
        capture([str(path)], tmp_path / "w", columns=write_map(PLAIN))
    assert "`query`" in str(caught.value.hint)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("stamp", "options", "hint"),
    [
        ("1772359200", "", "set options.time_unit"),
        ("2026-03-01 10:00", '[options]\ntime_unit = "s"\n', "options.time_unit is `s`"),
    ],
)
def test_stamps_that_the_map_does_not_fit(
    write_map: Any, name: str, stamp: str, options: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / f"log.{name}"
    path.write_bytes(WRITERS[name]([{"query": "SELECT 1", "started": stamp}]))
    with pytest.raises(UsageError, match="stamps in `started` are like `9") as caught:
        capture([str(path)], tmp_path / "w", columns=write_map(PLAIN + options))
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("name", FORMATS)
def test_the_newest_first(write_map: Any, name: str, tmp_path: Path) -> None:
    rows = [{"query": "SELECT 1", "started": f"2026-03-01 10:00:0{9 - n}"} for n in range(3)]
    path = tmp_path / f"log.{name}"
    path.write_bytes(WRITERS[name](rows))
    with pytest.raises(UsageError, match="from the newest `started` to the oldest") as caught:
        capture([str(path)], tmp_path / "w", columns=write_map(PLAIN))
    assert "ORDER BY started" in str(caught.value.hint)


def test_rows_out_of_order_are_told(write_map: Any, tmp_path: Path) -> None:
    rows = [
        {"query": "SELECT 1", "started": f"2026-03-01 10:0{n}:00.5", "s": "1"} for n in (1, 3, 2)
    ]
    (tmp_path / "log.csv").write_bytes(as_csv(rows))
    columns = write_map(PLAIN + 'session = "s"\n')
    workload = capture([str(tmp_path / "log.csv")], tmp_path / "w", columns=columns)
    assert any("ORDER BY started" in line for line in workload.manifest["findings"])


def test_another_format_by_name(write_map: Any) -> None:
    log = as_csv([{"query": "SELECT 1", "started": "2026-03-01 10:00"}])
    options = ReaderOptions(columns=write_map(PLAIN))
    with pytest.raises(UsageError, match="no column `query`, no column `started`"):
        recognise(log, options, log_format="jsonl")
    assert recognise(log, options, log_format="parquet") is None


def test_a_log_of_nothing_usable(write_map: Any, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("query,started\n")
    with pytest.raises(Unreadable, match="no statement could be captured from 1 records"):
        capture([str(tmp_path / "log.csv")], tmp_path / "w", columns=write_map(PLAIN))
