from __future__ import annotations

import pytest

from replay.errors import UsageError, describe
from replay.target.address import Address, parse_address

ENDPOINT = "reports.c1abc.eu-west-1.redshift.amazonaws.com"
WORKGROUP = "adhoc.123456789012.us-east-1.redshift-serverless.amazonaws.com"
GOOD = {
    "redshift://ann@reports/d?region=eu-west-1": ("reports", None, "eu-west-1", None),
    "redshift+serverless://adhoc/d": (None, "adhoc", None, None),
    f"redshift://{ENDPOINT}:5439/d": ("reports", None, "eu-west-1", ENDPOINT),
    f"redshift://{ENDPOINT}/d?region=r": ("reports", None, "r", ENDPOINT),
    f"redshift://{WORKGROUP}/d": (None, "adhoc", "us-east-1", WORKGROUP),
    "redshift://localhost:1/d": (None, None, None, "localhost"),
    "redshift://127.0.0.1/d": (None, None, None, "127.0.0.1"),
    "redshift://[::1]/d": (None, None, None, "::1"),
    "redshift://dwh.example.com/d": (None, None, None, "dwh.example.com"),
}


def facts(address: Address) -> tuple[str | None, ...]:
    host = address.parameters.get("host")
    return address.cluster, address.workgroup, address.region, host


@pytest.mark.parametrize(("url", "expected"), GOOD.items(), ids=GOOD.keys())
def test_a_host_is_a_name_an_endpoint_or_just_a_host(
    url: str, expected: tuple[str | None, ...]
) -> None:
    assert facts(parse_address(url)) == expected


def test_what_is_ours_is_taken_out_and_the_rest_is_libpqs() -> None:
    url = "redshift://ann@reports/d?auth=secret&secret=arn:aws:x&region=r&sslmode=require"
    address = parse_address(url + "&connect_timeout=7")
    assert (address.auth, address.secret) == ("secret", "arn:aws:x")
    assert address.parameters == {
        "user": "ann",
        "dbname": "d",
        "sslmode": "require",
        "connect_timeout": "7",
        "gssencmode": "disable",
    }


def test_tls_is_verified_by_the_systems_certificates_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tls(options: str = "") -> tuple[str, str | None]:
        parameters = parse_address(f"redshift://{ENDPOINT}/d{options}").parameters
        return parameters["sslmode"], parameters.get("sslrootcert")

    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    assert tls() == ("verify-full", "system")
    assert tls("?sslrootcert=/amazon.pem") == ("verify-full", "/amazon.pem")
    monkeypatch.setenv("PGSSLROOTCERT", "/own.pem")
    assert tls() == ("verify-full", "/own.pem")
    assert tls("?sslmode=require") == ("require", None)


BAD = {
    "a password": ("redshift://u:secret@reports/d", "holds a password"),
    "a password as an option": ("redshift://reports/d?password=secret", "holds a password"),
    "no URL": ("redshift://u:secret@reports:x/d", "not a connection URL"),
    "an unknown option": ("redshift://reports/d?clusterid=secret", "not a connection URL"),
    "no host": ("redshift:///d", "lacks a host"),
    "no database": ("redshift://reports", "lacks a host"),
    "an unknown way": ("redshift://reports/d?auth=magic", "makes no sense"),
    "a secret without a name": ("redshift://reports/d?auth=secret", "makes no sense"),
    "a secret unasked": ("redshift://reports/d?secret=s", "makes no sense"),
    "iam of a stranger": ("redshift://dwh.example.com/d?auth=iam", "whose host"),
}


@pytest.mark.parametrize(("url", "words"), BAD.values(), ids=BAD.keys())
def test_bad_urls_are_refused_without_showing_secrets(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        parse_address(url)
    assert "secret@" not in describe(refused.value)
    assert refused.value.hint
