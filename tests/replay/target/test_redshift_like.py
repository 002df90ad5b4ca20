"""Whole runs and the doctor against the stand-in of Redshift, with an API that grants passwords."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from replay.doctor import Finding, examine
from replay.redshift_like import Behaviour, RedshiftLike
from replay.target.embedded import EmbeddedServer
from tests.locusts import ports, replay
from tests.redshift_api import RedshiftApi, cluster, workgroup
from tests.replay.planned import write_workload
from tests.replay.redshift_like.conftest import embedded, new_database

__all__ = ["embedded"]

URL = "redshift://analyst@reports/{}?auth=iam&sslmode=disable"
Grants = Callable[[float], None]


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords.json"
    path.write_text("{}")
    return path


@pytest.fixture
def server(embedded: EmbeddedServer, passwords: Path) -> Iterator[RedshiftLike]:
    behaviour = Behaviour(compile_ms=1, view_delay_s=0, passwords=str(passwords))
    with RedshiftLike(new_database(embedded), behaviour) as running:
        yield running


@pytest.fixture
def grants(redshift_api: RedshiftApi, server: RedshiftLike, passwords: Path) -> Grants:
    """Has the API know the server as a cluster; the server takes each password for `lasts_s`."""
    port = int(server.url().partition("@127.0.0.1:")[2].partition("/")[0])

    def grant(lasts_s: float) -> None:
        def answer(_: object) -> dict[str, str]:
            known = json.loads(passwords.read_text())
            password = f"granted-{len(known)}"
            passwords.write_text(json.dumps(known | {password: time.time() + lasts_s}))
            hour = datetime.fromtimestamp(time.time() + 3_600, UTC).isoformat()
            return {"DbUser": "IAM:analyst", "DbPassword": password, "Expiration": hour}

        redshift_api.answers |= {"GetClusterCredentials": answer}
        redshift_api.answers |= {"DescribeClusters": cluster(port=port)}

    return grant


def database(server: RedshiftLike) -> str:
    return server.url().rpartition("/")[2].partition("?")[0]


def test_a_run_goes_on_when_its_credentials_end_by_the_servers_clock(
    server: RedshiftLike,
    grants: Grants,
    redshift_api: RedshiftApi,
    passwords: Path,
    tmp_path: Path,
) -> None:
    grants(4)
    said = [(n / 2, f"s{n}", f"SELECT count(*) FROM sale WHERE shop = {n}") for n in range(24)]
    workload = write_workload(tmp_path / "w", [*said, (1.0, "x", "SELECT max(id) FROM sale")])
    url = URL.format(database(server))
    options = ["--workload", str(workload.path), "--host", url, "--lag-budget-ms", "10000"]
    result = replay(tmp_path, *options, *ports(), "--system-views", "none")
    assert result.code == 0, result.text
    assert result.ledger["ok"] == 25
    assert redshift_api.actions().count("GetClusterCredentials") > 2
    target, warm_up = result.run.document["target"], result.run.document["warm_up"]
    assert (target["kind"], target["cluster"], target["region"]) == (
        "redshift",
        "reports",
        "eu-central-1",
    )
    assert (target["node_type"], target["nodes"]) == ("ra3.xlplus", 4)
    assert (target["server_version"], target["redshift_version"]) == (80_002, "1.0.123456")
    assert (warm_up["templates"], warm_up["ok"]) == (2, 2)
    # The label is the run's, and another the warm-up's.
    group = target["session"]["query_group"]
    passwords.write_text(json.dumps({"mine": time.time() + 3_600}))
    with psycopg.connect(server.url(scheme="postgresql"), password="mine") as session:
        rows = session.execute(
            "SELECT trim(query_label), count(*) FROM sys_query_history "
            "WHERE query_text LIKE '%FROM sale%' GROUP BY 1"
        ).fetchall()
    assert dict(rows) == {group: 25, f"{group}w": 2}
    written = [path.read_bytes() for path in result.run.path.rglob("*") if path.is_file()]
    assert not any(b"granted-" in content for content in (*written, result.text.encode()))


def states(url: str | None) -> dict[str, Finding]:
    return {each.check: each for each in examine(url, workload=None, scale=1)}


def test_the_doctor_tells_what_is_well_what_is_not_and_what_cannot_be_told(
    server: RedshiftLike, grants: Grants, redshift_api: RedshiftApi
) -> None:
    grants(3_600)
    redshift_api.answers["DescribeLoggingStatus"] = {"LoggingEnabled": "true"}
    redshift_api.answers["DescribeUsageLimits"] = {"UsageLimits": ""}
    found = states(URL.format(database(server)))
    for check in ("reachable", "backend pid", "clock", "read only", "result cache"):
        assert found[check].state == "ok", found[check]
    for check in ("version", "size", "system views", "snapshot", "audit logging", "no superuser"):
        assert found[check].state == "ok", found[check]
    assert "Redshift 1.0.123456" in found["version"].found
    assert "node_type ra3.xlplus, nodes 4" in found["size"].found
    assert found["TLS"].state == "fail"
    assert "verify-full" in str(found["TLS"].remedy)
    assert (found["usage limits"].state, found["usage limits"].found) == ("fail", "0 set")
    # The stand-in has no such view.
    assert found["query group"].state == "unknown"
    assert found["query group"].remedy


def test_what_the_doctor_may_not_ask_is_unknown_with_the_remedy(
    server: RedshiftLike, grants: Grants, redshift_api: RedshiftApi
) -> None:
    grants(3_600)
    found = states(URL.format(database(server)))
    for check in ("audit logging", "usage limits"):
        assert found[check].state == "unknown"
        assert "allow redshift:Describe" in str(found[check].remedy)


def test_a_cluster_that_is_paused_is_a_patient_that_cannot_be_reached(
    server: RedshiftLike, grants: Grants, redshift_api: RedshiftApi
) -> None:
    grants(3_600)
    redshift_api.answers["DescribeClusters"] = cluster(ClusterStatus="paused")
    found = states(URL.format(database(server)))
    assert list(found)[-1] == "reachable"
    assert found["reachable"].state == "fail"
    assert "aws redshift resume-cluster" in str(found["reachable"].remedy)


def test_the_doctor_asks_serverlesss_own_api_about_a_workgroup(
    server: RedshiftLike, grants: Grants, redshift_api: RedshiftApi, passwords: Path
) -> None:
    grants(3_600)
    port = int(redshift_api.answers["DescribeClusters"]["Clusters"]["Cluster"]["Endpoint"]["Port"])
    passwords.write_text(json.dumps({"p": time.time() + 3_600}))
    grant = {"dbUser": "IAM:analyst", "dbPassword": "p", "expiration": time.time() + 3_600}
    redshift_api.answers |= {
        "GetWorkgroup": workgroup(port=port, workgroupArn="arn:w", namespaceName="reporting"),
        "GetCredentials": grant,
        "GetNamespace": {"namespace": {"logExports": ["useractivitylog"]}},
        "ListUsageLimits": {"usageLimits": [{"usageLimitId": "u"}]},
    }
    url = URL.format(database(server)).replace("redshift://analyst@reports", "{}://adhoc")
    found = states(url.format("redshift+serverless"))
    assert "base_rpu 32" in found["size"].found
    for check in ("reachable", "audit logging", "usage limits", "query group"):
        assert found[check].state == "ok", found[check]
    asked = dict(redshift_api.asked)
    assert asked["ListUsageLimits"] == {"resourceArn": "arn:w"}
    assert asked["GetNamespace"] == {"namespaceName": "reporting"}
