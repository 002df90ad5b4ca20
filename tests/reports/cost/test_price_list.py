"""The Price List's traps: several SKUs a type, prefixes, $0 rows, nothing, too much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replay.errors import Unreachable, UsageError
from reports.cost.price_list import PriceList
from reports.cost.prices import Prices, kept_path
from tests.reports.cost.price_list_server import offer, price_list, product

NODE = "ra3.4xlarge"
REDSHIFT = [
    product(f"Node:{NODE}", "Hrs", 3.26, instanceType=NODE, terms={
        "OnDemand": {"SKU.1": offer("Hrs", 3.26)},
        "Reserved": {
            "SKU.2": {
                "termAttributes": {"LeaseContractLength": "1yr", "PurchaseOption": "All Upfront"},
                "priceDimensions": {
                    "a": {"unit": "Quantity", "pricePerUnit": {"USD": "17520"}},
                    "b": {"unit": "Hrs", "beginRange": "0", "pricePerUnit": {"USD": "0.1"}},
                },
            },
            "SKU.3": offer("Hrs", 2.5, LeaseContractLength="1yr", PurchaseOption="No Upfront"),
            "SKU.4": offer("Hrs", 1.7, LeaseContractLength="3yr", PurchaseOption="No Upfront"),
        },
    }),
    product(f"CS:{NODE}", "seconds", 0.0009, instanceType=NODE),
    product(f"CSFreeUsage:{NODE}", "seconds", 0, instanceType=NODE),
    product(f"RMS:{NODE}", "GB-Mo", 0.024, instanceType=NODE, spelling="startingRange"),
    product("RMS:Serverless", "GB-Mo", 0.024),
    product("Redshift:ServerlessUsage", "RPU-Hr", 0.375),
    product("Redshift:ServerlessUsage-CR-1YR", "RPU-Hr", 2000),
    product("Redshift:PaidSnapshots", "GB-Mo", 0.023),
    product("USE1-DataScanned", "TB", 5),
    product("Node:free", "Hrs", 0),
    product("Node:two", "Hrs", 1),
    product("Node:two", "Hrs", 2),
    product("Node:odd", "Quantity", 9),
    product("APN1-Node:ra3.4xlarge", "Hrs", 3.836, regionCode="ap-northeast-1"),
    product("EU-Node:dc2.large", "Hrs", 0.3, regionCode="eu-west-1"),
]  # fmt: skip
LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "capacitystatus": "Used",
         "preInstalledSw": "NA"}  # fmt: skip
EC2 = [
    product("BoxUsage:r5.large", "Hrs", 0.126, instanceType="r5.large", **LINUX),
    product("BoxUsage:r5.large", "Hrs", 0.256, instanceType="r5.large",
            **LINUX | {"operatingSystem": "RHEL"}),
    product("DedicatedUsage:r5.large", "Hrs", 0.133, instanceType="r5.large",
            **LINUX | {"tenancy": "Dedicated"}),
]  # fmt: skip


@pytest.fixture
def asked(
    no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[dict[str, Any]]]:
    """The requests of a Price List of those products, to which boto3 is led."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    with price_list(REDSHIFT + EC2) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        yield requests


@pytest.mark.parametrize(
    ("kind", "name", "region", "usd"),
    [
        ("redshift_node_hour", NODE, "us-east-1", 3.26),
        ("redshift_node_hour", NODE, "ap-northeast-1", 3.836),
        ("redshift_node_hour", "dc2.large", "eu-west-1", 0.3),
        ("redshift_reserved_hour", f"{NODE} 1yr No Upfront", "us-east-1", 2.5),
        ("redshift_reserved_hour", f"{NODE} 1yr All Upfront", "us-east-1", 2.1),
        ("redshift_scaling_second", NODE, "us-east-1", 0.0009),
        ("redshift_storage_gb_month", NODE, "us-east-1", 0.024),
        ("redshift_storage_gb_month", "Serverless", "us-east-1", 0.024),
        ("redshift_rpu_hour", "serverless", "us-east-1", 0.375),
        ("redshift_snapshot_gb_month", "manual", "us-east-1", 0.023),
        ("redshift_scanned_tb", "Spectrum", "us-east-1", 5),
        ("ec2_hour", "r5.large", "us-east-1", 0.126),
    ],
)
def test_one_price_is_found_among_many_products(
    asked: list[Any], kind: str, name: str, region: str, usd: float
) -> None:
    assert PriceList().price(kind, name, region) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two", ["2 prices", "Node:two USD 1 per hrs", "Node:two USD 2 per hrs"]),
        ("free", ["no price of `free`", "it has", "Node:ra3.4xlarge"]),
        ("rg.large", ["no price of `rg.large`", "it has Node:free, Node:odd, Node:ra3.4xlarge"]),
        ("odd", ["1 price of", "per hrs", "Node:odd USD 9 per quantity"]),
    ],
)
def test_no_price_or_several_list_what_was_seen(
    asked: list[Any], name: str, said: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        PriceList().price("redshift_node_hour", name, "us-east-1")
    for words in said:
        assert words in str(caught.value)
    assert "docs/cost.md" in str(caught.value.hint)


def test_products_of_redshift_are_read_once(asked: list[Any]) -> None:
    ask = PriceList()
    ask.price("redshift_node_hour", NODE, "us-east-1")
    pages = len(asked)
    assert pages > 1
    ask.price("redshift_rpu_hour", "serverless", "us-east-1")
    assert len(asked) == pages


def test_what_was_fetched_serves_later_without_asking(asked: list[Any]) -> None:
    fetched = Prices(region="eu-west-1", ask=PriceList().price)
    assert fetched.find("redshift_node_hour", "dc2.large").usd == 0.3
    assert kept_path("prices-eu-west-1.json").is_file()
    requests = len(asked)
    later = Prices(region="eu-west-1").find("redshift_node_hour", "dc2.large")
    assert (later.usd, later.source) == (0.3, "Price List API")
    assert later.date.startswith("20")
    assert len(asked) == requests


def test_ones_own_price_is_not_asked_for(asked: list[Any], tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text('[redshift_node_hour]\n"*" = { usd = 2 }')
    prices = Prices(region="us-east-1", own=own, ask=PriceList().price)
    assert prices.find("redshift_node_hour", NODE).usd == 2
    assert asked == []


def test_a_damaged_cache_is_as_none(no_aws: None, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept_path("").mkdir()
    for damaged in ('{"redshift_rpu_hour": [', "[1]", "7"):
        kept_path("prices-us-east-1.json").write_text(damaged)
        price = Prices(region="us-east-1").find("redshift_rpu_hour", "serverless")
        assert price.source.endswith("bundled table")


def test_a_price_list_that_does_not_answer_is_unreachable(
    no_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match="the Price List API"):
        PriceList().price("redshift_node_hour", NODE, "us-east-1")
