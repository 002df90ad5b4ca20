"""The parts of a reading, each against a server that answers as Redshift or AWS would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import numpy as np
import psycopg
import pytest

from replay.errors import FourstepError, UndecidedRun, Unreachable, UsageError
from replay.inside import patience
from replay.inside.clock import Reading, ours_us, read_clock
from replay.inside.data_api import DataApiViews
from replay.inside.events import read_events
from replay.inside.history import read_history
from replay.inside.joined import ROWS
from replay.inside.metrics import read_metrics
from replay.inside.patience import Patience
from replay.inside.usage import read_usage
from replay.inside.views import ConnectedViews, Missing
from replay.target.target import parse_target
from tests.redshift_api import RedshiftApi

ZERO = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WINDOW = (ZERO, ZERO + timedelta(minutes=5))
NAIVE = (WINDOW[0].replace(tzinfo=None), WINDOW[1].replace(tzinfo=None))
CLUSTER = {"cluster": "reports", "database": "ads", "region": "eu-central-1"}
WORKGROUP = {"workgroup": "adhoc", "database": "ads", "region": "eu-central-1"}
STL = """
CREATE TABLE stl_query AS SELECT 7 AS query, 41 AS pid, 'fourstep-x'::char(320) AS label,
    timestamp '2026-11-23 10:01:00.5' AS starttime, timestamp '2026-11-23 10:01:02' AS endtime,
    1 AS concurrency_scaling_status, 1 AS aborted;
CREATE TABLE svl_qlog AS SELECT 7 AS query, 1500000 AS elapsed, NULL::int AS source_query;
CREATE TABLE stl_wlm_query AS SELECT 7 AS query, n AS total_queue_time, 600000 AS total_exec_time,
    14 AS service_class FROM unnest(array[100, 200]) n;
CREATE TABLE svl_compile AS SELECT 7 AS query, 1 AS compile,
    timestamp '2026-11-23 10:01:00.6' + n * interval '10 ms' AS starttime,
    timestamp '2026-11-23 10:01:00.7' + n * interval '10 ms' AS endtime FROM unnest(array[0, 1]) n;
"""


def patient(**how: Any) -> Patience:
    return Patience(lambda _: None, **how)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_AGAIN_S", 0.01)


@pytest.fixture
def views(history: str) -> Iterator[ConnectedViews]:
    opened = ConnectedViews(parse_target(history, statement_timeout_s=60))
    yield opened
    opened.close()


def change(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def test_the_clock_of_a_server_here_is_ours_within_its_error(views: ConnectedViews) -> None:
    reading = read_clock(views)
    assert abs(reading.offset_us) <= reading.error_us + 1_000


def test_a_clock_drifts_evenly_between_two_readings() -> None:
    readings = [Reading(0, 100, 5), Reading(1_000, 300, 5)]
    theirs = np.array([0, 500, 1_000, 5_000])
    assert ours_us(theirs, readings).tolist() == [-100, 300, 700, 4_700]
    assert ours_us(theirs, readings[:1]).tolist() == [-100, 400, 900, 4_900]


def test_old_views_tell_what_they_can(history: str, views: ConnectedViews) -> None:
    change(history, f"DROP TABLE sys_query_history CASCADE; {STL}")
    told = read_history(views, group="fourstep-x", window=NAIVE, expected=1, patience=patient())
    assert (told.source, told.settled, told.versions) == ("stl_query", True, [])
    (row,) = told.rows.to_pylist()
    known = {name: value for name, value in row.items() if value is not None}
    assert known.pop("ended_us") - known.pop("started_us") == 1_500_000
    assert known == {
        "query_id": 7, "session_id": 41, "elapsed_us": 1_500_000, "queue_us": 300,
        "compile_us": 110_000, "execution_us": 1_200_000, "result_cache_hit": False,
        "compute_type": "primary-scale", "short_query_accelerated": True, "error": "aborted",
    }  # fmt: skip


def test_rows_are_those_of_the_runs_group_and_window_read_in_parts(
    history: str, views: ConnectedViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay.inside.history._ROWS_AT_ONCE", 7)
    change(
        history,
        """INSERT INTO sys_query_history (query_id, session_id, query_label, status, start_time,
               end_time, error_message, returned_rows, usage_limit)
           SELECT n, n % 3, CASE WHEN n % 2 = 0 THEN 'fourstep-x' ELSE 'other' END,
                  CASE WHEN n = 0 THEN 'running' ELSE 'failed' END,
                  timestamp '2026-11-23 09:59:30' + n * interval '5 s',
                  timestamp '2026-11-23 09:59:31' + n * interval '5 s',
                  'value "secret" is too long', CASE WHEN n = 8 THEN -1 ELSE n END, 'abc-1'
           FROM generate_series(0, 99) n""",
    )
    told = read_history(views, group="fourstep-x", window=NAIVE, expected=1, patience=patient())
    assert told.rows.schema.equals(ROWS)
    # From 10:00:00 on, before 10:05:00.
    assert sorted(told.rows["query_id"].to_pylist()) == list(range(6, 66, 2))
    assert told.rows["returned_rows"].null_count == 1
    assert set(told.rows["error"].to_pylist()) == {'value "…" is too long'}
    assert told.usage_limits == ["abc-1"]
    told = read_history(views, group=None, window=NAIVE, expected=1, patience=patient())
    assert told.rows.num_rows == 60


@pytest.mark.parametrize(
    ("counts", "expected", "settled"),
    [
        ([0, 0, 0, 0, 5, 9, 9, 9], 9, True),
        ([3] * 8, 9, True),
        ([0] * 400, 0, False),
        (list(range(400)), 0, False),
    ],
    ids=["late", "fewer than expected", "nothing", "ever more"],
)
def test_waiting_ends_when_nothing_changes(counts: list[int], expected: int, settled: bool) -> None:
    told = iter(counts)
    how = patient(wait_s=60 if settled else 0.2)
    assert how.until_still(lambda: next(told), expected=expected) is settled
    assert next(told, None) is None or not settled


def test_waiting_can_be_cut_short() -> None:
    how, cancelled = patient(), []
    how.cancel = lambda: cancelled.append(True)

    def count() -> int:
        how.skip()
        return 0

    with pytest.raises(UndecidedRun):
        how.until_still(count, expected=1)
    assert cancelled


def use_of(views: ConnectedViews, *, serverless: bool) -> tuple[dict[str, Any], list[str]]:
    failed: list[str] = []

    def attempt(what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except FourstepError:
            failed.append(what)
            return None

    use = read_usage(
        views, serverless=serverless, window=WINDOW, patience=patient(wait_s=5), attempt=attempt
    )
    return use, failed


def test_use_is_added_over_the_minutes_of_the_run(history: str, views: ConnectedViews) -> None:
    change(
        history,
        """CREATE TABLE sys_serverless_usage AS
               SELECT timestamp '2026-11-23 09:59:00' + n * interval '1 min' AS start_time,
                      timestamp '2026-11-23 10:00:00' + n * interval '1 min' AS end_time,
                      480 AS charged_seconds, 100.5 AS compute_seconds
               FROM generate_series(0, 9) n;
           CREATE TABLE svcs_concurrency_scaling_usage AS
               SELECT timestamp '2026-11-23 10:01:00' AS start_time,
                      timestamp '2026-11-23 10:02:00' AS end_time,
                      60::numeric(27) AS usage_in_seconds;
           CREATE TABLE svl_s3query_summary AS
               SELECT timestamp '2026-11-23 10:01:00' AS starttime,
                      timestamp '2026-11-23 10:02:00' AS endtime, 12345 AS s3_scanned_bytes""",
    )
    use, failed = use_of(views, serverless=True)
    assert not failed
    # The minutes from 10:00 to 10:06; its last is not over when the run ends.
    assert (use["charged_seconds"], use["compute_seconds"]) == (480 * 6, 603.0)
    assert (use["scaling_seconds"], use["scanned_bytes"], use["settled"]) == (0, 12_345, True)
    use, failed = use_of(views, serverless=False)
    assert not failed
    assert (use["charged_seconds"], use["scaling_seconds"], use["settled"]) == (None, 60, True)


def test_use_that_may_not_be_read_is_null_and_named(views: ConnectedViews) -> None:
    use, failed = use_of(views, serverless=True)
    assert failed == ["use", "scans"]
    assert use["charged_seconds"] is use["scanned_bytes"] is None
    assert not use["settled"]


def test_the_data_api_asks_waits_and_reads_every_page(redshift_api: RedshiftApi) -> None:
    states = iter(["PICKED", "STARTED", "FINISHED"])
    pages = {
        None: ([{"longValue": 1}, {"stringValue": "a"}], "more"),
        "more": ([{"longValue": 2}, {"isNull": True}], None),
    }

    def page(asked: dict[str, Any]) -> dict[str, Any]:
        record, token = pages[asked.get("NextToken")]
        columns = [{"name": "N"}, {"name": "t"}]
        told = {"Records": [record], "ColumnMetadata": columns}
        return told | ({"NextToken": token} if token else {})

    redshift_api.answers |= {
        "ExecuteStatement": {"Id": "q1"},
        "DescribeStatement": lambda _: {"Id": "q1", "Status": next(states)},
        "GetStatementResult": page,
        "CancelStatement": {"Status": True},
    }
    views = DataApiViews(CLUSTER, user="ann")
    assert views.rows("SELECT 1").to_pydict() == {"n": [1, 2], "t": ["a", None]}
    asked = dict(redshift_api.asked)["ExecuteStatement"]
    # boto3's own.
    del asked["ClientToken"]
    assert asked == {
        "Sql": "SELECT 1", "ClusterIdentifier": "reports", "Database": "ads", "DbUser": "ann",
    }  # fmt: skip
    views.cancel()
    assert redshift_api.actions()[-1] == "CancelStatement"
    states = iter(["FINISHED"])
    DataApiViews(WORKGROUP, user="ann").rows("SELECT 1")
    asked = redshift_api.asked[-4][1]
    del asked["ClientToken"]
    assert asked == {"Sql": "SELECT 1", "WorkgroupName": "adhoc", "Database": "ads"}


def test_what_the_data_api_refuses_is_told_as_over_a_connection(redshift_api: RedshiftApi) -> None:
    said = {"Error": 'ERROR: relation "sys_x" does not exist'}
    redshift_api.answers |= {
        "ExecuteStatement": {"Id": "q1"},
        "DescribeStatement": {"Id": "q1", "Status": "FAILED"} | said,
    }
    with pytest.raises(Missing, match="`sys_x`"):
        DataApiViews(CLUSTER).rows("SELECT * FROM sys_x")
    redshift_api.answers["ExecuteStatement"] = "AccessDeniedException"
    with pytest.raises(Unreachable):
        DataApiViews(CLUSTER).rows("SELECT 1")
    with pytest.raises(UsageError, match="no cluster"):
        DataApiViews({"host": "127.0.0.1", "database": "ads"})


@pytest.mark.parametrize(
    ("facts", "namespace", "dimension", "metric"),
    [
        (CLUSTER, "AWS/Redshift", "ClusterIdentifier", "CPUUtilization"),
        (WORKGROUP, "AWS/Redshift-Serverless", "Workgroup", "ComputeCapacity"),
    ],
    ids=["provisioned", "serverless"],
)
def test_the_minutes_of_a_run_are_read_from_cloudwatch(
    aws: None, facts: dict[str, str], namespace: str, dimension: str, metric: str
) -> None:
    client = boto3.client("cloudwatch")
    name = facts.get("cluster") or facts["workgroup"]
    for whose, factor in ((name, 1.0), ("another", 100.0)):
        for minute in range(-2, 8):
            client.put_metric_data(
                Namespace=namespace,
                MetricData=[
                    {
                        "MetricName": metric,
                        "Dimensions": [{"Name": dimension, "Value": whose}],
                        "Timestamp": ZERO + timedelta(minutes=minute),
                        "Value": factor * (10 + minute),
                    }
                ],
            )
    window = (WINDOW[0] + timedelta(seconds=30), WINDOW[1])
    rows = read_metrics(facts, window=window, zero=ZERO + timedelta(seconds=30)).to_pylist()
    mine = [(row["at_us"], row["value"]) for row in rows if row["metric"] == metric]
    assert mine[0] == (-30_000_000, 10.0)
    assert mine[:6] == [(n * 60_000_000 - 30_000_000, 10.0 + n) for n in range(6)]
    assert {row["unit"] for row in rows} == {"%" if dimension != "Workgroup" else "RPU"}


def test_metrics_that_may_not_be_read_are_a_clear_error(no_aws: None) -> None:
    with pytest.raises(Unreachable, match="cloudwatch"):
        read_metrics(CLUSTER, window=WINDOW, zero=ZERO)


def events_of(views: ConnectedViews | None, facts: dict[str, str]) -> tuple[list[Any], list[str]]:
    failed = []

    def attempt(what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except FourstepError:
            failed.append(what)
            return None

    return read_events(views, facts, window=WINDOW, zero=ZERO, attempt=attempt), failed


def test_what_happened_to_a_cluster_is_read_with_its_time(
    history: str, views: ConnectedViews, redshift_api: RedshiftApi
) -> None:
    change(
        history,
        """CREATE TABLE sys_vacuum_history AS
               SELECT timestamp '2026-11-23 10:01:00' + n * interval '10 min' AS start_time,
                      CASE WHEN n < 1 THEN timestamp '2026-11-23 10:02:00' + n * interval '10 min'
                      END AS end_time, 'public'::char(20) AS schema_name,
                      'facts'::char(20) AS table_name, 'Delete'::char(9) AS vacuum_type,
                      n = 0 AS is_automatic
               FROM generate_series(-1, 1) n""",
    )
    announced = {
        "Date": "2026-11-23T10:02:00Z",
        "Message": "soon",
        "EventCategories": {"EventCategory": "Pending"},
    }
    done = {"Date": "2026-11-23T10:03:00Z", "Message": "Cluster reports was restarted. "}
    shown = [{"Event": {"SourceIdentifier": "reports"} | event} for event in (announced, done)]
    pages = iter([{"Marker": "more", "Events": shown[0]}, {"Events": shown[1]}])
    redshift_api.answers["DescribeEvents"] = lambda _: next(pages)
    found, failed = events_of(views, CLUSTER)
    assert not failed
    assert found == [
        {"at_us": 60_000_000, "text": "automatic vacuum (delete) of public.facts"},
        {"at_us": 180_000_000, "text": "Cluster reports was restarted."},
    ]
    asked = dict(redshift_api.asked)["DescribeEvents"]
    assert (asked["SourceIdentifier"], asked["SourceType"]) == ("reports", "cluster")


def test_events_that_may_not_be_read_are_none_and_named(
    views: ConnectedViews, redshift_api: RedshiftApi
) -> None:
    # A server without the view is an old one, not one that refuses.
    assert events_of(views, CLUSTER) == ([], ["events"])
    assert events_of(None, WORKGROUP) == ([], [])
