"""Cost Explorer's answers, by moto's server, and what is kept of them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from replay.errors import Unreachable, UsageError
from reports.cost.bill import fetch_bill, kept_bill

TAG = ("app", "reporting-1.0")
COMPUTE, OTHER = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other"
DAYS: dict[str, Any] = {"since": date(2026, 9, 1), "until": date(2026, 9, 3)}

Answer = Callable[..., None]


@pytest.fixture
def answer(aws: None, aws_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Sets the pages that Cost Explorer answers, one a request."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def answers(*pages: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{aws_url}/moto-api/static/ce/cost-and-usage-results",
            data=json.dumps({"results": pages}).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        urllib.request.urlopen(request).close()

    return answers


def _page(
    day: str,
    costs: dict[str, float],
    *,
    token: str = "",
    unit: str = "USD",
    estimated: bool = False,
) -> dict[str, Any]:
    groups = [
        {"Keys": [name], "Metrics": {"AmortizedCost": {"Amount": str(usd), "Unit": unit}}}
        for name, usd in costs.items()
    ]
    period = {"Start": day, "End": day}
    result = {"TimePeriod": period, "Total": {}, "Groups": groups, "Estimated": estimated}
    return {"ResultsByTime": [result], **({"NextPageToken": token} if token else {})}


def test_pages_and_days_add_up_by_service(answer: Answer) -> None:
    answer(
        _page("2026-09-01", {COMPUTE: 100, OTHER: 10}, token="more"),
        _page("2026-09-02", {COMPUTE: 140}, estimated=True),
    )
    bill = fetch_bill(TAG, **DAYS)
    assert bill["services"] == {COMPUTE: 240, OTHER: 10}
    assert bill["usd_asked"] == pytest.approx(0.02)
    month = kept_bill(TAG)
    assert month.usd == pytest.approx(250 / 2 * 730 / 24)
    assert month.parts[0].formula.startswith("USD 240.00 in 2 days (2026-09-01 to 2026-09-03)")
    assert month.parts[0].note == "the last days are estimates"


def test_a_bill_is_asked_for_once(answer: Answer) -> None:
    answer(_page("2026-09-01", {COMPUTE: 100}), _page("2026-09-01", {COMPUTE: 300}))
    assert fetch_bill(TAG, **DAYS)["usd_asked"] == pytest.approx(0.01)
    again = fetch_bill(TAG, **DAYS)
    assert (again["usd_asked"], again["services"]) == (0, {COMPUTE: 100})
    fresh = fetch_bill(TAG, **DAYS, refresh=True)
    assert fresh["usd_asked"] == pytest.approx(0.01)


def test_the_latest_bill_counts_and_only_its_own_filter(answer: Answer) -> None:
    answer(_page("2026-09-01", {COMPUTE: 100}), _page("2026-10-01", {COMPUTE: 400}))
    fetch_bill(TAG, **DAYS)
    fetch_bill(TAG, since=date(2026, 10, 1), until=date(2026, 10, 2))
    assert kept_bill(TAG).usd == pytest.approx(400 * 730 / 24)
    other = kept_bill(("SERVICE", COMPUTE))
    assert other.usd is None
    assert "`fourstep cost --from DAY --to DAY`" in str(other.reason)


@pytest.mark.parametrize("costs", [{}, {COMPUTE: 0.0}], ids=["no groups", "zero"])
def test_nothing_is_not_zero(answer: Answer, costs: dict[str, float]) -> None:
    answer(_page("2026-09-01", costs))
    with pytest.raises(UsageError, match="matches nothing from 2026-09-01") as caught:
        fetch_bill(TAG, **DAYS)
    assert "asking cost USD 0.01" in str(caught.value)
    assert "activated" in str(caught.value.hint)
    assert kept_bill(TAG).usd is None


def test_another_currency_is_refused(answer: Answer) -> None:
    answer(_page("2026-09-01", {COMPUTE: 5}, unit="EUR"))
    with pytest.raises(UsageError, match="`EUR`"):
        fetch_bill(TAG, **DAYS)


def test_without_credentials_it_is_unreachable(
    no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(Unreachable, match="AWS Cost Explorer"):
        fetch_bill(TAG, **DAYS)
