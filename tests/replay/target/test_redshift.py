"""Clusters and workgroups by AWS's word; logins on an ordinary PostgreSQL."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from replay.aws import client
from replay.dials import Dials
from replay.errors import ExitCode, Unreachable, describe
from replay.target.embedded import EmbeddedServer
from replay.target.target import Target, aws_facts, log_in, parse_target, probe_target, target_of
from tests.redshift_api import RedshiftApi, cluster, workgroup

IAM = "redshift://ann@reports/d?auth=iam&sslmode=disable"
HOUR = {"DbPassword": "hush hush", "DbUser": "IAM:ann", "Expiration": "2099-01-01T00:00:00Z"}


def target(url: str) -> Target:
    return parse_target(url, statement_timeout_s=5)


def granted(url: str) -> dict[str, Any]:
    """What a login adds to the conninfo once credentials were fetched."""
    found = target(url)
    assert found.credentials is not None
    found.credentials.renew()
    grant = found.credentials.grant
    assert grant is not None
    assert f"'{grant.password}'" not in repr(found)
    return {"user": grant.user, "password": grant.password, "expires_s": grant.expires_s}


def test_the_endpoint_of_a_cluster_is_asked_for(redshift_api: RedshiftApi) -> None:
    redshift_api.answers["DescribeClusters"] = cluster(port=1234)
    found = target(IAM)
    assert found.host == "127.0.0.1"
    assert "port=1234" in found.conninfo
    assert "sslmode=disable" in found.conninfo
    assert redshift_api.asked[0][1]["ClusterIdentifier"] == "reports"


def test_the_endpoint_of_a_workgroup_is_asked_for(redshift_api: RedshiftApi) -> None:
    redshift_api.answers["GetWorkgroup"] = workgroup(port=4321)
    found = target("redshift+serverless://adhoc/d?auth=iam&sslmode=disable")
    assert "port=4321" in found.conninfo
    assert redshift_api.asked[0][1] == {"workgroupName": "adhoc"}


def test_iam_grants_by_user_without_one_and_to_serverless(redshift_api: RedshiftApi) -> None:
    expires_s = datetime(2099, 1, 1, tzinfo=UTC).timestamp()
    redshift_api.answers |= {
        "DescribeClusters": cluster(),
        "GetClusterCredentials": HOUR,
        "GetClusterCredentialsWithIAM": HOUR | {"DbUser": "IAMR:role"},
        "GetWorkgroup": workgroup(),
        "GetCredentials": {"dbUser": "IAM:me", "dbPassword": "hush", "expiration": expires_s},
    }
    assert granted(IAM) == {"user": "IAM:ann", "password": "hush hush", "expires_s": expires_s}
    asked = redshift_api.asked[-1][1]
    assert (asked["DbUser"], asked["DbName"], asked["DurationSeconds"]) == ("ann", "d", "3600")
    assert granted(IAM.replace("ann@", ""))["user"] == "IAMR:role"
    serverless = "redshift+serverless://adhoc/d?auth=iam&sslmode=disable"
    assert granted(serverless) == {"user": "IAM:me", "password": "hush", "expires_s": expires_s}


def test_another_imitation_of_aws_understands_the_same(aws: None) -> None:
    redshift, secrets = client("redshift"), client("secretsmanager")
    redshift.create_cluster(
        ClusterIdentifier="reports",
        NodeType="ra3.xlplus",
        NumberOfNodes=2,
        MasterUsername="root",
        MasterUserPassword="Root-0-root",
    )
    found = target("redshift://ann@reports/d?auth=iam&hostaddr=127.0.0.1")
    assert "host=reports." in found.conninfo and "sslmode=verify-full" in found.conninfo
    facts = aws_facts(found)
    assert (facts["node_type"], facts["nodes"], facts["status"]) == ("ra3.xlplus", 2, "available")
    assert found.credentials is not None
    found.credentials.renew()
    assert found.credentials.grant is not None
    assert found.credentials.grant.user == "IAM:ann"
    assert found.credentials.valid
    with pytest.raises(Unreachable, match="does not know it"):
        target("redshift://other/d")
    secrets.create_secret(Name="login", SecretString='{"username": "bob", "password": "x"}')
    assert granted("redshift://127.0.0.1/d?auth=secret&secret=login")["user"] == "bob"
    with pytest.raises(Unreachable, match="secret `another`: AWS does not know it"):
        granted("redshift://127.0.0.1/d?auth=secret&secret=another")


def test_a_secret_is_read_and_one_that_is_no_login_is_not_shown(redshift_api: RedshiftApi) -> None:
    url = "redshift://127.0.0.1/d?auth=secret&secret=login&sslmode=disable"
    login = {"username": "bob", "password": "hush", "engine": "redshift"}
    redshift_api.answers["GetSecretValue"] = {"SecretString": json.dumps(login)}
    assert granted(url)["user"] == "bob"
    for broken in ('{"user": "hush"}', "hush", "[1]"):
        redshift_api.answers["GetSecretValue"] = {"SecretString": broken}
        with pytest.raises(Unreachable, match="secret `login`") as refused:
            granted(url)
        assert "hush" not in describe(refused.value)


def test_a_password_that_libpq_finds_goes_before_iam(
    redshift_api: RedshiftApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    redshift_api.answers["DescribeClusters"] = cluster()
    url = IAM.replace("auth=iam&", "")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert target(url).credentials is not None
    (tmp_path / "pgpass").write_text("127.0.0.1:5439:d:ann:from a file\n")
    (tmp_path / "pgpass").chmod(0o600)
    assert target(url).credentials is None
    (tmp_path / "pgpass").unlink()
    monkeypatch.setenv("PGPASSWORD", "from the environment")
    assert target(url).credentials is None
    assert target(IAM).credentials is not None


FAILURES = {
    "AccessDenied": ("may not do redshift:DescribeClusters", "allow redshift:DescribeClusters"),
    "ExpiredToken": ("have expired", "aws sso login"),
    "Throttling": ("throttles", "wait a minute"),
    "ClusterNotFound": ("does not know it", "region"),
    "InvalidClientTokenId": ("refuses the credentials", "AWS_PROFILE"),
}


@pytest.mark.parametrize("code", FAILURES)
def test_what_aws_refuses_is_named_with_its_remedy(redshift_api: RedshiftApi, code: str) -> None:
    redshift_api.answers["DescribeClusters"] = code
    reason, remedy = FAILURES[code]
    with pytest.raises(Unreachable, match=f"cluster `reports`: .*{reason}") as refused:
        target(IAM)
    assert remedy in str(refused.value.hint)
    assert refused.value.exit_code == ExitCode.UNREACHABLE


def test_throttled_requests_are_tried_again(
    redshift_api: RedshiftApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    answers = iter(["Throttling", "Throttling", cluster(port=77)])
    redshift_api.answers["DescribeClusters"] = lambda _: next(answers)
    assert "port=77" in target(IAM).conninfo


def test_without_credentials_or_region_the_remedy_is_said(
    no_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match="no region") as refused:
        target("redshift://reports/d")
    assert "region=" in str(refused.value.hint)
    with pytest.raises(Unreachable, match="no AWS credentials"):
        target("redshift://reports/d?region=eu-central-1")


@pytest.mark.parametrize(
    ("state", "word", "hint"),
    [
        ({"ClusterStatus": "paused"}, "paused", "aws redshift resume-cluster .*reports"),
        ({"ClusterStatus": "resizing"}, "resizing", "wait"),
        ({"ResizeInfo": {"ResizeType": "ElasticResize"}}, "resizing", "wait"),
        ({"ClusterStatus": "rebooting"}, "rebooting", "wait"),
    ],
)
def test_a_cluster_that_is_not_itself_is_refused(
    redshift_api: RedshiftApi, state: dict[str, Any], word: str, hint: str
) -> None:
    redshift_api.answers["DescribeClusters"] = cluster(**state)
    with pytest.raises(Unreachable, match=f"`reports` is {word}") as refused:
        target(IAM)
    assert re.search(hint, str(refused.value.hint))
    assert redshift_api.actions() == ["DescribeClusters"]
    # So is one whose endpoint is given.
    named = "redshift://reports.c1.eu-central-1.redshift.amazonaws.com/d"
    with pytest.raises(Unreachable, match=f"`reports` is {word}"):
        probe_target(target(f"{named}?hostaddr=127.0.0.1&auth=iam"))


def embedded(server: EmbeddedServer, options: str = "") -> str:
    """The server's URL, as if it were a Redshift."""
    parts = urlsplit(server.url())
    query = f"{parts.query}&{options}" if parts.query else options
    return f"redshift://{parts.netloc}{parts.path}?{query}"


def test_session_settings_are_recorded() -> None:
    dials = Dials(result_cache="on", search_path="a, b", statement_timeout_s=9)
    url = "redshift://ann@127.0.0.1/d?sslmode=disable"
    found = target_of(url, dials, run_id="20261130-101112-abcd")
    assert found.as_json() == {
        "kind": "redshift",
        "host": "127.0.0.1",
        "database": "d",
        "session": {
            "application_name": "fourstep",
            "statement_timeout": "10000",
            "search_path": "a, b",
            "enable_result_cache_for_session": "on",
            "query_group": "fourstep-20261130-101112-abcd",
        },
    }
    assert found.setup("o'hara\\") == (
        "SET statement_timeout TO 10000; SET search_path TO a, b; "
        "SET enable_result_cache_for_session TO on; "
        "SET query_group TO 'fourstep-20261130-101112-abcd'; "
        "SET SESSION AUTHORIZATION 'o''hara\\\\'"
    )


def test_time_is_no_reason_to_fetch_until_it_is(redshift_api: RedshiftApi) -> None:
    def grant(seconds: float) -> dict[str, str]:
        stamp = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
        return HOUR | {"Expiration": stamp}

    redshift_api.answers |= {
        "DescribeClusters": cluster(),
        "GetClusterCredentials": lambda _: grant(100),
    }
    credentials = target(IAM).credentials
    assert credentials is not None and credentials.wanting()
    credentials.renew()
    first = credentials.grant
    # Less than two minutes are left: fetched anew, but what is there serves where that fails.
    assert credentials.valid and credentials.wanting()
    redshift_api.answers["GetClusterCredentials"] = "Throttling"
    credentials.renew()
    assert credentials.grant is first and not credentials.wanting()
    # One that the server refused does not serve, however long it would last.
    with pytest.raises(Unreachable, match="throttles"):
        credentials.renew(first)
    redshift_api.answers["GetClusterCredentials"] = lambda _: grant(3_600)
    credentials.renew(first)
    assert credentials.grant is not first and not credentials.wanting()


def test_aws_is_not_needed_where_host_and_password_are_given(
    no_aws: None, embedded_empty: EmbeddedServer
) -> None:
    found = target(embedded(embedded_empty, "sslmode=disable&port=5432"))
    plain = Target(kind="redshift", conninfo=found.conninfo, host="h", address=found.address)
    facts = probe_target(plain)
    assert facts["server_version"] > 0
    assert facts["redshift_version"] is None
    with pytest.raises(Unreachable, match="does not let us in"):
        # PostgreSQL does not know Redshift's settings.
        log_in(found)
