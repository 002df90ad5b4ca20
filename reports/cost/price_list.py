"""The Price List API: the one price of a kind and a name, or what was seen instead of it.

Source: "Reading the service price list file" of AWS's billing guide, and the API's GetProducts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from replay.aws import client, reaching
from replay.errors import UsageError
from reports import format as fmt

_LISTED = {
    "redshift_node_hour": ("AmazonRedshift", "Node:{}", "hrs"),
    "redshift_reserved_hour": ("AmazonRedshift", "Node:{}", "hrs"),
    "redshift_scaling_second": ("AmazonRedshift", "CS:{}", "seconds"),
    "redshift_rpu_hour": ("AmazonRedshift", "Redshift:ServerlessUsage", "rpu-hr"),
    "redshift_storage_gb_month": ("AmazonRedshift", "RMS:{}", "gb-mo"),
    "redshift_snapshot_gb_month": ("AmazonRedshift", "Redshift:PaidSnapshots", "gb-mo"),
    "redshift_scanned_tb": ("AmazonRedshift", "DataScanned", "tb"),
    "ec2_hour": ("AmazonEC2", "BoxUsage:{}", "hrs"),
}
"""Service, usage type without its region, and unit."""

_LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "capacitystatus": "Used",
          "preInstalledSw": "NA"}  # fmt: skip
_REGION = re.compile(r"^[A-Z]{2,5}\d?-")
"""What usage types begin with outside us-east-1: `EU-`, `APN1-`."""


class PriceList:
    """Asks for prices; products of Redshift are read once a region."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def price(self, kind: str, name: str, region: str) -> float:
        """USD of `name` by the list; for a reserved node `ra3.4xlarge 1yr No Upfront`.

        Raises:
            UsageError: no price, or several; lists what was seen.
            Unreachable: AWS did not answer.
        """
        service, pattern, unit = _LISTED[kind]
        what, _, term = name.partition(" ")
        wanted, seen, usages = pattern.format(what), dict[tuple[float, str], str](), set[str]()
        for product in self._products(service, region, what if service == "AmazonEC2" else ""):
            usage = str(product["product"]["attributes"].get("usagetype"))
            usages.add(usage)
            if _REGION.sub("", usage) == wanted:
                rates = _reserved(product["terms"], term) if term else _on_demand(product["terms"])
                seen |= {(usd, per): f"{usage} USD {usd:g} per {per}" for usd, per in rates if usd}
        if len(seen) == 1 and (found := next(iter(seen)))[1] == unit:
            return found[0]
        kin = {usage for usage in usages if wanted.partition(":")[0] in usage} or usages
        shown = sorted(seen.values()) or sorted(kin)
        more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
        raise UsageError(
            f"the Price List has {fmt.plural(len(seen), 'price') if seen else 'no price'} of "
            f"`{name}` ({kind}, {wanted}, per {unit}) in `{region}`; "
            f"it has {', '.join(shown[:12]) or 'nothing'}{more}",
            hint="check the name and `region`, or state the price in a file of your own, see "
            "docs/cost.md",
        )

    def _products(self, service: str, region: str, instance: str) -> list[dict[str, Any]]:
        key = (service, region, instance)
        if key not in self._read:
            wanted = {"regionCode": region}
            wanted |= {"instanceType": instance, **_LINUX} if instance else {}
            match = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
            with reaching("the Price List API"):
                # Its endpoints are in few regions, whichever region is asked for.
                pages = client("pricing", region="us-east-1").get_paginator("get_products")
                answer = pages.paginate(ServiceCode=service, Filters=match)
                self._read[key] = [json.loads(text) for p in answer for text in p["PriceList"]]
        return self._read[key]


def _on_demand(terms: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """USD and unit of each first tier; the bulk file spells the range otherwise."""
    for offer in terms.get("OnDemand", {}).values():
        for rate in offer["priceDimensions"].values():
            if float(rate.get("beginRange", rate.get("startingRange", 0))) == 0:
                yield float(rate["pricePerUnit"].get("USD", 0)), rate["unit"].lower()


def _reserved(terms: Mapping[str, Any], term: str) -> Iterator[tuple[float, str]]:
    """USD an hour of each reservation of that `term`, what is paid upfront spread over it."""
    for offer in terms.get("Reserved", {}).values():
        length, option = (offer["termAttributes"].get(key) for key in _TERM)
        if f"{length} {option}" == term:
            hours = {"Quantity": 8760 * int(length.removesuffix("yr"))}
            rates = [(r["pricePerUnit"], r["unit"]) for r in offer["priceDimensions"].values()]
            yield sum(float(usd.get("USD", 0)) / hours.get(per, 1) for usd, per in rates), "hrs"


_TERM = ("LeaseContractLength", "PurchaseOption")
