from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from replay.artefact import sha256_of
from replay.capture.capture import capture
from replay.errors import Unreadable, UsageError
from replay.filter import Filter
from replay.workload import INCOMING, STATEMENTS, TEMPLATES
from tests.replay.capture.test_postgres_csv import record


def write_log(path: Path, *texts: str) -> Path:
    path.write_text("".join(texts), encoding="utf-8")
    return path


def statement(
    sql: str, *, second: int = 0, duration_ms: str = "1.000", columns: int = 26, **fields: str
) -> str:
    return record(
        f"duration: {duration_ms} ms  statement: {sql}",
        columns=columns,
        time=f"2026-03-01 10:00:{second:02}.500 UTC",
        **fields,
    )


def test_a_log_becomes_a_workload(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "a.csv",
        record("connection received: host=[local]"),
        statement("SELECT a FROM t WHERE b = 2", second=2, duration_ms="1500.000"),
        statement("SELECT a FROM t WHERE b = 1", second=1, session="65e1a2b3.99", user="bob"),
        record(
            "division by zero",
            time="2026-03-01 10:00:09.000 UTC",
            severity="ERROR",
            sqlstate="22012",
            query="SELECT 1/0",
        ),
        "rubbish\n",
    )
    workload = capture([str(log)], tmp_path / "w")
    counts = workload.counts
    assert counts.balanced
    assert (counts.records_read, counts.captured) == (5, 3)
    assert (dict(counts.skipped), dict(counts.quarantined)) == ({"connection": 1}, {"no stamp": 1})
    rows = workload.statements()
    assert rows.schema.equals(STATEMENTS)
    assert rows["statement_id"].to_pylist() == [0, 1, 2]
    assert rows["started_at"].to_pylist() == sorted(rows["started_at"].to_pylist())
    assert rows["origin"].to_pylist() == ["a.csv:2", "a.csv:3", "a.csv:4"]
    templates = workload.templates()
    assert templates.schema.equals(TEMPLATES)
    assert sum(templates["statements"].to_pylist()) == 3
    assert templates["sql"].to_pylist()[0] == "select a from t where b = ?"
    assert templates["p95_us"].to_pylist()[0] == 1_500_000


def test_the_manifest_says_what_was_captured(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.csv", statement("SELECT 1"))
    workload = capture([str(log)], tmp_path / "w")
    (source,) = workload.manifest["sources"]
    assert source == {
        "uri": str(log),
        "format": "postgres-csv",
        "bytes": log.stat().st_size,
        "sha256": sha256_of(log),
        "records": 1,
    }
    assert workload.manifest["timestamps"] == {"meaning": "derived", "resolution_us": 1_000}
    for name, digest in workload.manifest["sha256"].items():
        assert sha256_of(workload.path / name) == digest
    assert workload.manifest["window"] == {
        "from": "2026-03-01T10:00:00.499Z",
        "to": "2026-03-01T10:00:00.5Z",
    }


def test_gzip_directories_and_globs_are_read(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    write_log(logs / "a.csv", statement("SELECT 1"))
    (logs / "b.csv.gz").write_bytes(gzip.compress(statement("SELECT 2", second=1).encode()))
    for name in (str(logs), str(logs / "*")):
        workload = capture([name], tmp_path / "w")
        assert workload.statements(["sql"])["sql"].to_pylist() == ["SELECT 1", "SELECT 2"]


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(statement("SELECT 1").encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    workload = capture(["-"], tmp_path / "w")
    assert workload.statements(["origin"])["origin"].to_pylist() == ["stdin:1"]


def test_a_statement_that_damage_cuts_short_is_not_captured(tmp_path: Path) -> None:
    text = "".join(stderr_log(f"statement: DELETE FROM t WHERE a = {n}") for n in range(5_000))
    whole = gzip.compress(text.encode())
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) * 2 // 3])
    workload = capture([str(tmp_path / "a.gz")], tmp_path / "w")
    rows = workload.statements(["sql"])["sql"].to_pylist()
    assert rows == [f"DELETE FROM t WHERE a = {n}" for n in range(len(rows))]
    assert workload.counts.quarantined == {"cut off": 1, "compression damaged": 1}


def test_damaged_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress("".join(statement(f"SELECT {n}") for n in range(5_000)).encode())
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) * 2 // 3])
    workload = capture([str(tmp_path / "a.gz")], tmp_path / "w")
    assert 0 < len(workload) < 5_000
    assert workload.counts.balanced
    assert workload.counts.quarantined["compression damaged"] == 1


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (Filter(users=frozenset(["bob"])), ["SELECT 2"]),
        (Filter(since=datetime(2026, 3, 1, 10, 0, 2, tzinfo=UTC)), ["SELECT 3"]),
        (Filter(until=datetime(2026, 3, 1, 10, 0, 1, tzinfo=UTC)), ["SELECT 1"]),
        (Filter(databases=frozenset(["ads"])), ["SELECT 1", "SELECT 2", "SELECT 3"]),
        (Filter(applications=frozenset(["other"])), None),
    ],
    ids=["user", "from", "to", "database", "application"],
)
def test_what_a_filter_leaves_out_is_counted(
    keep: Filter, left: list[str] | None, tmp_path: Path
) -> None:
    log = write_log(
        tmp_path / "a.csv",
        statement("SELECT 1", second=0),
        statement("SELECT 2", second=1, user="bob"),
        statement("SELECT 3", second=3),
    )
    if left is None:
        with pytest.raises(Unreadable, match="other application: 3"):
            capture([str(log)], tmp_path / "w", keep=keep)
        return
    workload = capture([str(log)], tmp_path / "w", keep=keep)
    assert workload.statements(["sql"])["sql"].to_pylist() == left
    assert workload.counts.balanced
    assert workload.counts.skipped.total() == 3 - len(left)


def test_quarantine_shows_the_form_and_not_the_values(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "a.csv", statement("SELECT 1"), statement("SELECT 'secret'", columns=20)
    )
    workload = capture([str(log)], tmp_path / "w")
    (line,) = (workload.path / "quarantine.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["origin"], row["reason"]) == ("a.csv:2", "wrong number of columns")
    assert "secret" not in line
    assert len(row["excerpt"]) <= 200


BAD = {
    "nothing there": (None, "no file has that name"),
    "another format": ("hello\nworld\n", "no format"),
    "empty": ("", "no format"),
    "no statement in it": (record("checkpoint complete"), "server message: 1"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used_leaves_nothing_behind(
    text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        write_log(tmp_path / "a.csv", text)
    with pytest.raises(Unreadable, match=message):
        capture([str(tmp_path / "a.csv")], tmp_path / "out" / "w")
    assert list(tmp_path.glob("out/*")) == []


def test_a_directory_that_is_no_workload_is_not_overwritten(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.csv", statement("SELECT 1"))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a workload"):
        capture([str(log)], tmp_path / "w")
    assert (tmp_path / "w" / "thesis.txt").read_text() == "mine"


def test_a_second_capture_replaces_the_first(tmp_path: Path) -> None:
    one = write_log(tmp_path / "a.csv", statement("SELECT 1"))
    two = write_log(tmp_path / "b.csv", statement("SELECT 2"))
    capture([str(one)], tmp_path / "w")
    workload = capture([str(two)], tmp_path / "w")
    assert workload.statements(["sql"])["sql"].to_pylist() == ["SELECT 2"]


def test_the_same_log_gives_the_same_statements(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "a.csv", *(statement(f"SELECT {n}", second=n % 7) for n in range(99))
    )
    one, two = (capture([str(log)], tmp_path / name) for name in ("w1", "w2"))
    assert one.sha256 == two.sha256


def test_incoming_is_statements_without_the_id() -> None:
    assert ["statement_id", *INCOMING.names] == STATEMENTS.names


def stderr_log(*messages: str, pid: int = 77, at: str = "10:00:00.000") -> str:
    head = f"2026-03-01 {at} UTC [{pid}] ann@ads LOG:  "
    return "".join(f"{head}{message}\n" for message in messages)


def test_a_directory_of_many_things_is_captured_as_far_as_it_can_be(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    write_log(logs / "a.csv", statement("SELECT 1"), statement("SELECT 2"))
    write_log(logs / "notes.txt", "remember the milk\n")
    (logs / "picture.png").write_bytes(bytes(range(256)) * 40)
    (logs / "empty.log").touch()
    (logs / "gone.log").symlink_to(logs / "nowhere")
    slow = "# Time: 2026-03-01T10:00:00.000000Z\n# User@Host: a[a] @ h []  Id: 1\n"
    slow += "# Query_time: 0.1  Lock_time: 0 Rows_sent: 1  Rows_examined: 1\nSELECT 3;\n"
    write_log(logs / "slow.log", slow)
    workload = capture([str(logs)], tmp_path / "w")
    assert workload.statements(["sql"])["sql"].to_pylist() == ["SELECT 1", "SELECT 2"]
    assert workload.counts.balanced
    assert workload.counts.quarantined == {
        "format not recognised": 2,
        "cannot be read": 1,
        "SQL of another system: mysql": 1,
    }
    read = {source["uri"]: source["format"] for source in workload.manifest["sources"]}
    assert read[str(logs / "a.csv")] == "postgres-csv"
    assert read[str(logs / "empty.log")] is None


def test_rotated_logs_go_on_with_their_sessions(tmp_path: Path) -> None:
    # By name the second comes first; the stamps tell.
    write_log(tmp_path / "2.log", stderr_log("statement: SELECT 1", at="10:00:00.000"))
    write_log(
        tmp_path / "1.log",
        stderr_log("duration: 5.000 ms", "statement: SELECT 2", at="10:00:01.000"),
    )
    workload = capture([str(tmp_path / "*.log")], tmp_path / "w")
    rows = workload.statements().to_pylist()
    assert [(row["sql"], row["duration_us"]) for row in rows] == [
        ("SELECT 1", 5_000),
        ("SELECT 2", None),
    ]
    assert len({row["session_id"] for row in rows}) == 1


def test_logs_of_the_same_time_are_of_different_servers(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        text = stderr_log("statement: SELECT 1") + stderr_log("statement: S", at="11:00:00.000")
        write_log(tmp_path / name, text)
    workload = capture([str(tmp_path / "*.log")], tmp_path / "w")
    assert len(workload) == 4
    assert workload.manifest["sessions"] == 2


def test_a_named_format_that_does_not_fit_is_told_by_its_quarantine(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.csv", statement("SELECT 'secret'"))
    with pytest.raises(Unreadable, match="not a JSON object: 1") as raised:
        capture([str(log)], tmp_path / "w", log_format="postgres-json")
    assert "secret" not in str(raised.value)


def test_a_huge_statement_is_captured_and_one_too_huge_is_not(tmp_path: Path) -> None:
    huge = "SELECT '" + "x" * (50 << 20) + "'"
    over = "SELECT '" + "y" * (100 << 20) + "'"
    log = write_log(
        tmp_path / "a.csv",
        statement("SELECT 1"),
        statement(huge),
        statement(over),
        statement("SELECT 2"),
    )
    workload = capture([str(log)], tmp_path / "w")
    rows = workload.statements(["sql"])["sql"].to_pylist()
    assert rows == ["SELECT 1", huge, "SELECT 2"]
    assert workload.counts.balanced
    assert workload.counts.quarantined["longer than 64 MB"] == 1


def test_whole_seconds_are_spread_and_said_to_be(tmp_path: Path) -> None:
    prefix = "2026-03-01 10:00:{:02} UTC:10.0.0.1(5000):ann@ads:[{}]:LOG:  duration: 2.000 ms  "
    text = "".join(
        prefix.format(second, pid) + f"statement: SELECT {second * 100 + pid}\n"
        for second in range(3)
        for pid in range(40)
    )
    log = write_log(tmp_path / "rds.log", text)
    workload = capture([str(log)], tmp_path / "w")
    starts = [row["started_at"] for row in workload.statements().to_pylist()]
    assert len({start.microsecond for start in starts}) > 100
    offsets_us = [start.microsecond + 2_000 for start in starts[:40]]
    assert max(offsets_us) - min(offsets_us) > 900_000
    assert [row["sql"] for row in workload.statements().to_pylist()] == [
        f"SELECT {second * 100 + pid}" for second in range(3) for pid in range(40)
    ]
    assert any("whole seconds" in line for line in workload.manifest["findings"])
    again = capture([str(log)], tmp_path / "again")
    assert again.sha256 == workload.sha256


FINDINGS = {
    "threshold": (
        "".join(statement(f"SELECT {n}", second=n, duration_ms="500.000") for n in range(55)),
        "no statement took less than 500 ms",
    ),
    "no durations": (record("statement: SELECT 1"), "no statement has a duration"),
    "clock": (
        statement("SELECT 1", second=30) + statement("SELECT 2", second=2),
        "stamps go back 1 times by more than 5 s, at most 28.0 s",
    ),
    "sampling": (
        record('parameter "log_statement_sample_rate" changed to "0.1"')
        + record("duration: 1.000 ms  statement: S"),
        'log_statement_sample_rate was changed to "0.1"',
    ),
    "pids": (stderr_log("duration: 1.000 ms  statement: S"), "no disconnections are logged"),
}


@pytest.mark.parametrize(("text", "finding"), FINDINGS.values(), ids=FINDINGS.keys())
def test_what_a_user_must_know_is_said(text: str, finding: str, tmp_path: Path) -> None:
    workload = capture([str(write_log(tmp_path / "a.log", text))], tmp_path / "w")
    assert any(finding in line for line in workload.manifest["findings"])


def test_a_clean_log_has_no_findings(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.csv", statement("SELECT 1"), statement("SELECT 2"))
    assert capture([str(log)], tmp_path / "w").manifest["findings"] == []


def test_a_pattern_with_look_around_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--include"):
        Filter(include="(?=x)")
