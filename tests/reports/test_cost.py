"""Cost by hand, and what is said where nothing was stated."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import UsageError
from reports.cost import Cost, estimate_cost, load_prices
from reports.load import load
from tests.reports.synthetic import Plan, write_both


def _cost(tmp_path: Path, text: str) -> Cost:
    evidence = load(write_both(tmp_path, Plan(statements=400, seconds=400)))
    config = tmp_path / "fourstep.toml"
    config.write_text(text)
    return estimate_cost(evidence, config)


def test_nodes_and_storage_by_hand(tmp_path: Path) -> None:
    cost = _cost(
        tmp_path,
        '[cost]\nnode_type = "ra3.large"\nnodes = 2\nhours_per_month = 100\nstorage_gb = 1000\n'
        "baseline_monthly = 500\nbaseline_note = 'invoice'\nstatements_per_month = 2_000_000\n",
    )
    assert cost.monthly("candidate") == pytest.approx(2 * 100 * 0.543 + 1000 * 0.024)
    per_1000 = {"baseline": 0.25, "candidate": (108.6 + 24) / 2000}
    assert cost.as_json()["per_1000"] == pytest.approx(per_1000)
    assert cost.ratio == pytest.approx(132.6 / 500)
    assert cost.warnings == ()


def test_serverless_by_hand(tmp_path: Path) -> None:
    cost = _cost(tmp_path, "[cost]\nrpu_hours_per_month = 800")
    assert cost.monthly("candidate") == pytest.approx(300)


def test_the_captured_rate_gives_the_volume(tmp_path: Path) -> None:
    cost = _cost(tmp_path, "[cost]\nbaseline_monthly = 500")
    assert cost.statements_per_month == pytest.approx(730 * 3600, rel=0.02)
    assert cost.reason == "not stated: the size of 2.0"
    assert cost.ratio is None


def test_an_unverified_price_is_marked(tmp_path: Path) -> None:
    cost = _cost(tmp_path, '[cost]\nnode_type = "ra3.16xlarge"\nnodes = 1')
    assert cost.parts[0].unverified
    assert cost.warnings == ("the price of ra3.16xlarge nodes is unverified",)


@pytest.mark.parametrize("text", ["", "[replay]\nscale = 2"])
def test_no_section_is_not_stated(tmp_path: Path, text: str) -> None:
    cost = _cost(tmp_path, text)
    assert cost.as_json()["stated"] is False
    assert "not stated" in str(cost.reason)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('node_type = "ra3.huge"\nnodes = 1', "did you mean `ra3.large`?"),
        ('node_type = "ra3.large"', "`node_type` needs `nodes`"),
        ('node_type = "ra3.large"\nnodes = 1\nrpu_hours_per_month = 8', "both nodes and RPU-hours"),
        ("node = 3", "did you mean `nodes`?"),
        ("nodes = 'eight'\nnode_type = 'ra3.large'", "`nodes` must be a number"),
        ("storage_gb = -1", "`storage_gb` must be from 0"),
    ],
)
def test_a_wrong_section_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        _cost(tmp_path, f"[cost]\n{text}")
    assert complaint in str(caught.value)


def test_every_price_has_a_source_and_a_date() -> None:
    prices = load_prices()
    for section in ("redshift_node_hour", "redshift_rpu_hour"):
        for entry in prices[section].values():
            assert entry["usd"] > 0
            assert entry["source"]
            assert entry["date"]
