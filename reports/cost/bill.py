"""1.0's bill from Cost Explorer, day by day; kept on disk, because each request costs money.

Source: the API's GetCostAndUsage.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from replay.artefact import write_json
from replay.aws import client, reaching
from replay.errors import UsageError
from reports import format as fmt
from reports.cost.model import Figures, Part
from reports.cost.prices import Prices, kept_path
from reports.cost.terms import HOURS_PER_MONTH

_METRIC = "AmortizedCost"
"""Reservations spread over their term: unblended, a year paid upfront would be one day's cost."""


def fetch_bill(
    wanted: tuple[str, str], *, since: date, until: date, refresh: bool = False
) -> dict[str, Any]:
    """USD by service from `since` to before `until`, without credits and refunds.

    `wanted` is a tag's key and value or SERVICE and its name. The document says with `usd_asked`
    what asking cost; it is 0 where the answer was kept from before.

    Raises:
        UsageError: nothing matches, or the bill is in another currency.
        Unreachable: AWS did not answer.
    """
    key, value = wanted
    what = {"Key": key, "Values": [value]}
    request = {
        "TimePeriod": {"Start": str(since), "End": str(until)},
        "Granularity": "DAILY",
        "Metrics": [_METRIC],
        "Filter": {
            "And": [
                {"Dimensions": what} if key == "SERVICE" else {"Tags": what},
                {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Credit", "Refund"]}}},
            ]
        },
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    }
    name = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    path = kept_path(f"bill-{name}.json")
    if not refresh:
        with suppress(OSError, ValueError):
            return {**json.loads(path.read_text(encoding="utf-8")), "usd_asked": 0.0}
    services, pages, more = defaultdict[str, float](float), list[Any](), dict[str, str]()
    with reaching("AWS Cost Explorer"):
        asked = client("ce", region="us-east-1")
        while not pages or more:
            pages.append(asked.get_cost_and_usage(**request, **more))
            token = pages[-1].get("NextPageToken")
            more = {"NextPageToken": token} if token else {}
    days = [day for page in pages for day in page["ResultsByTime"]]
    # Grouped, a day's Total is empty.
    for group in [group for day in days for group in day["Groups"]]:
        amount = group["Metrics"][_METRIC]
        if amount["Unit"] != "USD":
            raise UsageError(f"the bill is in `{amount['Unit']}`, and costs here are in USD")
        services[group["Keys"][0]] += float(amount["Amount"])
    price = Prices(region="us-east-1").find("cost_explorer_request", "request")
    usd_asked = len(pages) * price.usd
    if not sum(services.values()):
        raise UsageError(
            f"`{key}={value}` matches nothing from {since} to {until}, which is not USD 0; "
            f"asking cost {fmt.money(usd_asked)}",
            hint="a tag must be activated for cost allocation and counts from then on; a service "
            "is named as on the bill: Amazon Elastic Compute Cloud - Compute",
        )
    document = {
        "wanted": [key, value],
        "from": str(since),
        "to": str(until),
        "days": (until - since).days,
        "services": dict(services),
        "estimated": any(day.get("Estimated") for day in days),
        "fetched": str(datetime.now(UTC).date()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, document)
    return {**document, "usd_asked": usd_asked}


def price_bill(document: dict[str, Any]) -> Figures:
    """A month at the rate of a bill, by service."""
    days, span = document["days"], f"{document['from']} to {document['to']}"
    month = HOURS_PER_MONTH / 24
    parts = (
        Part(
            name=name,
            usd=usd / days * month,
            formula=f"{fmt.money(usd)} in {days} days ({span}) × {month:.4g} days a month",
            source="Cost Explorer, amortized, without credits and refunds",
            date=document["fetched"],
            note="the last days are estimates" if document["estimated"] else "",
        )
        for name, usd in document["services"].items()
    )
    return Figures(parts=tuple(parts))


def kept_bill(wanted: tuple[str, str]) -> Figures:
    """A month by the latest bill that was fetched; it asks for none."""
    found = []
    for path in kept_path("").glob("bill-*.json"):
        with suppress(OSError, ValueError, KeyError):
            document = json.loads(path.read_text(encoding="utf-8"))
            found += [document] if document["wanted"] == list(wanted) else []
    if not found:
        ask = "`fourstep cost --from DAY --to DAY` asks Cost Explorer"
        return Figures(reason=f"the cost of 1.0 (its bill was not fetched: {ask})")
    return price_bill(max(found, key=lambda document: str(document["to"])))
