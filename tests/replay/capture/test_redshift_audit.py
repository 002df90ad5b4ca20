from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.capture import capture
from replay.capture.record import ReaderOptions, What
from replay.capture.redshift.audit import RedshiftAudit
from replay.capture.source import Source
from tests.replay.capture.records import rows_of

LOGS = Path(__file__).parents[4] / "shared" / "logs"
T0_US = 1_590_116_414_000_000
SESSION = "03e74c8e-c3cb-4a98-a3d9-0123456789ab"


def activity(sql: str, *, at: str = "03:00:14", level: str = "LOG", **fields: Any) -> str:
    values: dict[str, Any] = {"db": "dev", "user": "ann", "pid": 91025, "xid": 7} | fields
    who = "db={db} user={user} pid={pid} userid=101 xid={xid}".format(**values)
    return f"'2020-05-22T{at}Z UTC [ {who} ]' {level}: {sql}\n"


def connection(
    event: str, at: str, *, pid: int = 91025, user: str = "ann", session: str = "", app: str = ""
) -> str:
    values = [event, f"Fri, 22 May 2020 {at}", "::ffff:10.0.0.1", "5000", str(pid), "dev", user]
    values += ["password", "0", "TLSv1.2", "", "0", "", "", "", app, "Linux", "JDBC 1.2", "none"]
    values += ["0", session]
    return values[0] + " |" + " |".join(values[1:]) + "\n"


def read(*logs: str) -> list[dict[str, Any]]:
    """Rows of several files read by one object, as a capture reads them."""
    reader = RedshiftAudit(ReaderOptions())
    rows = []
    for log in logs:
        source = Source(uri="x", name="x", open_raw=lambda log=log: io.BytesIO(log.encode()))  # type: ignore[misc]
        rows += pa.concat_tables(reader.read(source)).to_pylist()
    return rows


def statements(*logs: str) -> list[dict[str, Any]]:
    return [row for row in read(*logs) if row["what"] == What.STATEMENT]


def whys(text: str) -> list[str | None]:
    return [row["reason"] for row in rows_of(text)]


def test_a_statement_begins_at_its_stamp_and_runs_to_the_next_header() -> None:
    second = " " + activity("select 2", at="03:00:15", db="my db", user="IAM:a b")
    first, last = rows_of(activity('select "a",\n  1\nfrom t;') + second)
    assert first["sql"] == 'select "a",\n  1\nfrom t;'
    assert (first["at_us"], first["ends"], first["duration_us"]) == (T0_US, False, None)
    assert (first["user"], first["database"], first["line"]) == ("ann", "dev", 1)
    assert (last["sql"], last["line"]) == ("select 2", 4)
    assert (last["database"], last["user"]) == ("my db", "IAM:a b")


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 where a = '--' and b = 1",
        "select 'x ]'' LOG: y'",
        "select '\n2020-05-22 begins a line'",
        "select 'volt_tt_1', 'context: SQL', '$1', '/* INTERNAL QUERY */'",
        "select 1 -- volt_tt_, $1",
        "select a | b | c\n|Sun, x",
    ],
)  # fmt: skip
def test_text_is_never_cut_nor_dropped_for_what_it_quotes(sql: str) -> None:
    first, last = rows_of(activity(sql) + activity(sql, xid=8))
    assert (first["what"], first["sql"]) == (What.STATEMENT, sql)
    assert (last["what"], last["sql"]) == (What.STATEMENT, sql)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("padb_fetch_sample: select count(*) from t", "internal statement"),
        ("/* INTERNAL QUERY */ select 1", "internal statement"),
        ('create temp table "volt_tt_606590308b512" as select 1', "internal statement"),
        ("Undoing 1 transactions on table 5 with current xid 6 : 7", "internal statement"),
        ("select 1 context: SQL statement", "internal statement"),
        ("/* a\n */ FETCH forward 10 from c", "cursor fetch"),
        ("call test.set($1, $2)", "bind values not logged"),
        (" ;", "empty statement"),
    ],
)  # fmt: skip
def test_what_no_user_sent_is_skipped_with_its_reason(sql: str, reason: str) -> None:
    (row,) = rows_of(activity(sql))
    assert (row["what"], row["reason"], row["sql"]) == (What.SKIPPED, reason, None)


def test_a_record_that_is_no_statement_says_why() -> None:
    other = activity("duration", level="WARNING") + activity("select 1", user="rdsdb")
    bad = activity("******") + activity("select 1", at="03:99:14")
    rows = rows_of(other + bad)
    assert [row["what"] for row in rows] == [What.SKIPPED] * 2 + [What.QUARANTINED] * 2
    reasons = ["server message", "internal user", "text masked by the server", "no stamp"]
    assert [row["reason"] for row in rows] == reasons


def test_only_an_exact_neighbour_of_the_process_is_logged_twice() -> None:
    one, other = activity("insert into t values (1)"), activity("select 1", pid=5)
    assert whys(one + other + one) == [None, None, "logged twice"]
    assert whys(one + one + one + one) == [None, "logged twice", None, "logged twice"]
    for different in (
        activity("insert into t values (1)", xid=8),
        activity("insert into t values (1)", at="03:00:15"),
        activity("insert into t values (1)", pid=6),
        activity("insert into t values (2)"),
    ):
        assert whys(one + different) == [None, None]
        assert whys(one + activity("select 1") + one) == [None, None, None]


def test_a_last_record_is_never_lost_and_never_runs_when_cut() -> None:
    text = activity("select 1") + activity("select 'a' from t", xid=8)
    assert [row["sql"] for row in rows_of(text[:-1])] == ["select 1", "select 'a' from t"]
    assert whys(text[: text.rindex("a' from") + 1]) == [None, "cut off"]
    head = text.rindex("'2020")
    for length in (2, 5, 9, 20, 22, 30, 60):
        rows = rows_of(text[: head + length])
        assert [row["what"] for row in rows] == [What.STATEMENT, What.QUARANTINED]
        assert rows[0]["sql"] == "select 1"


def test_broken_bytes_and_strays_are_set_aside_without_their_values() -> None:
    good, other = activity("select 1"), activity("select 1", xid=8)
    bad = activity("select 'x'").encode().replace(b"'x'", b"'\xff\xfe'")
    rows = rows_of(b"tail of 'secret'\nmore\n" + good.encode() + bad + other.encode())
    assert [row["what"] for row in rows].count(What.STATEMENT) == 2
    assert sorted(row["reason"] for row in rows if row["what"] == What.QUARANTINED) == [
        "no record of an audit log",
        "not text: invalid UTF-8 or a NUL byte",
    ]
    assert not any("secret" in (row["excerpt"] or "") for row in rows)


def test_a_statement_belongs_to_the_connection_of_its_process_at_its_time() -> None:
    other = SESSION.replace("0", "1")
    log = (
        connection("initiating session", "03:00:00:100", session=SESSION)
        + connection("disconnecting session", "03:00:10:000", session=SESSION)
        + connection("set application_name", "03:00:10:500", session=SESSION, app="tableau")
        + connection("initiating session", "03:00:20:900", session=other)
    )
    logs = (
        log,
        "".join(
            activity("select 1", at=at) for at in ("03:00:00", "03:00:09", "03:00:20", "03:30:00")
        ),
    )
    rows = statements(*logs)
    assert [row["session"] for row in rows] == [SESSION, SESSION, other, other]
    assert [row["application"] for row in rows] == ["tableau", "tableau", None, None]


@pytest.mark.parametrize(
    ("user", "at", "pid"),
    [("bob", "03:00:14", 91025), ("ann", "02:00:00", 91025), ("ann", "03:00:14", 5)],
)
def test_another_user_process_or_time_has_no_connection(user: str, at: str, pid: int) -> None:
    log = connection("initiating session", "03:00:00:100", session=SESSION)
    (row,) = statements(log, activity("select 1", user=user, at=at, pid=pid))
    assert row["session"] == f"{pid}:{user}:dev"


def test_a_process_used_again_within_a_second_is_told_by_its_user() -> None:
    log = (
        connection("initiating session", "03:00:14:100", session=SESSION)
        + connection("disconnecting session", "03:00:14:200", session=SESSION)
        + connection("initiating session", "03:00:14:300", user="IAM:bob", session=SESSION[::-1])
    )
    bob, ann = statements(log, activity("select 1", user="bob") + activity("select 2"))
    assert (ann["session"], bob["session"][:6]) == (SESSION, "91025@")


def test_notes_say_what_audit_logs_lack_and_how_many_have_no_connection(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(connection("initiating session", "03:00:00:100", session=SESSION))
    (tmp_path / "b").write_text(activity("select 1") + activity("select 2", pid=5))
    workload = capture([str(tmp_path)], tmp_path / "w")
    findings = " ".join(json.loads((tmp_path / "w" / "manifest.json").read_text())["findings"])
    assert "1 of 2 statements have no record of their connection" in findings
    assert "redshift://" in findings
    assert workload.counts.skipped == {"connection": 1}


def test_files_one_after_the_other_keep_their_records_apart() -> None:
    user = "1|rdsdb | |alter |1|1|1|922|14872|1061|Thu, 3 Dec 2020 10:18:38:416\n"
    one, two = activity("select 1\nfrom t"), connection("initiating session", "03:00:00:100")
    again = activity("select 1\nfrom t", xid=8)
    rows = rows_of(one + two + user + "\n" + again + two + "stray\nline\n" + user)
    assert [row["reason"] for row in rows] == [
        *(None, "connection", "user log", None, "connection"),
        *("no record of an audit log", "user log"),
    ]
    assert rows[3]["line"] == 6
    assert {row["sql"] for row in rows} == {None, "select 1\nfrom t"}


PIECES = [
    activity("select 1"),
    activity("select\n\n  'é'\n", pid=6),
    activity("select 1", pid=7, at="03:00:16"),
    activity("", level="WARNING"),
    # Of another process: what a log tells of connections later cannot be known before.
    connection("initiating session", "03:00:00:100", pid=1, session=SESSION),
    connection("disconnecting session", "03:10:00:100", pid=1),
    "1|rdsdb | |alter |1|1|1|922|14872|1061|Thu, 3 Dec 2020 10:18:38:416\n",
    "stray\n",
    "\n",
    "'2020-05-22T03:00:14Z UTC [ db=",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1), st.integers(7, 400))
def test_rows_are_the_same_in_blocks_of_any_size(pieces: list[str], block_bytes: int) -> None:
    text = PIECES[0] + "".join(pieces)
    assert rows_of(text, block_bytes=block_bytes) == rows_of(text)


def test_counts_agree_with_those_taken_by_others() -> None:
    index = LOGS / "expected.json"
    if not index.is_file():
        pytest.skip(f"the collection of real logs is not at {LOGS}")
    expected = json.loads(index.read_text())
    name = "redshift-misc/testdrive_useractivitylog.log"
    rows = rows_of((LOGS / name).read_bytes())
    assert len(rows) == expected[name]["records"]
    assert {row["user"] for row in rows} == set(expected[name]["users"])
    assert [row["reason"] for row in rows] == [None, "bind values not logged"]
    name = "redshift-misc/testdrive_connectionlog.log"
    assert len(rows_of((LOGS / name).read_bytes())) == len(expected[name]["events"])
    name = "signalfx/redshift_userlog.log"
    rows = rows_of((LOGS / name).read_bytes())
    assert [row["reason"] for row in rows] == ["user log"] * expected[name]["records"]
