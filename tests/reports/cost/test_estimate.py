"""A run's cost and a month's by hand, and what is said where something is not known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.errors import UsageError
from reports.cost import Cost, estimate_cost
from reports.load import load
from tests.reports.synthetic import Plan, write_both

Priced = Callable[..., Cost]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was fetched on this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of half an hour with 400 statements in 400 s."""
    return write_both(tmp_path_factory.mktemp("run"), Plan(statements=400, seconds=400))


@pytest.fixture
def priced(run: Path, tmp_path: Path) -> Priced:
    """Prices a copy of that run with a configuration, a target and the server's meters."""

    def price(
        config: str, *, target: dict[str, Any] | None = None, usage: dict[str, Any] | None = None
    ) -> Cost:
        here = tmp_path / run.name
        if not here.exists():
            here.mkdir()
            (here / "samples").symlink_to(run / "samples")
        document = json.loads((run / "run.json").read_text())
        document["target"] |= target or {}
        (here / "run.json").write_text(json.dumps(document))
        if usage is not None:
            (here / "server").mkdir(exist_ok=True)
            (here / "server" / "usage.json").write_text(json.dumps(usage))
        path = tmp_path / "fourstep.toml"
        path.write_text(config)
        return estimate_cost(load(here), path)

    return price


METERS = {"charged_seconds": 8190 * 128, "scaling_seconds": 7200, "scanned_bytes": 2e12,
          "settled": True}  # fmt: skip
MONTH = "[cost]\nstatements_per_month = 4000\n"


def test_nodes_and_storage_by_hand(priced: Priced) -> None:
    cost = priced(
        "[cost]\nstatements_per_month = 2_000_000\n"
        "[cost.candidate]\nnode_type = 'ra3.large'\nnodes = 2\nhours_per_month = 100\n"
        "storage_gb = 1000\n[cost.baseline]\nmonthly = 500\nnote = 'invoice'\n"
    )
    assert cost.monthly("candidate") == pytest.approx(2 * 100 * 0.543 + 1000 * 0.024)
    per_1000 = {"baseline": 0.25, "candidate": (108.6 + 24) / 2000}
    assert cost.as_json()["per_1000"] == pytest.approx(per_1000)
    assert cost.ratio == pytest.approx(132.6 / 500)
    assert cost.warnings == ()
    assert [row["usd"] for row in cost.more["stages"]] == pytest.approx([500, 632.6, 132.6])


def test_serverless_by_hand(priced: Priced) -> None:
    cost = priced("[cost.candidate]\nrpu_hours_per_month = 800")
    assert cost.monthly("candidate") == pytest.approx(300)


def test_the_captured_rate_gives_the_volume(priced: Priced) -> None:
    cost = priced("[cost.baseline]\nmonthly = 500")
    assert cost.statements_per_month == pytest.approx(730 * 3600, rel=0.02)
    assert cost.reason == "not stated: the size of 2.0"
    assert cost.ratio is None


def test_scale_and_growth_are_of_the_volume_and_in_its_formula(priced: Priced) -> None:
    cost = priced("[cost]\nstatements_per_month = 1000\nscale = 3\ngrowth = 0.1")
    assert cost.statements_per_month == pytest.approx(3300)
    assert cost.volume_formula.endswith("× 3 (scale) × 1.1 (growth)")


def test_an_unverified_price_is_marked(priced: Priced) -> None:
    cost = priced("[cost.candidate]\nnode_type = 'ra3.16xlarge'\nnodes = 1")
    assert cost.candidate.parts[0].unverified
    assert cost.warnings == ("the price of ra3.16xlarge nodes is unverified",)


def test_the_servers_own_meters_price_a_serverless_run(priced: Priced) -> None:
    cost = priced(MONTH, target={"base_rpu": 128}, usage=METERS)
    assert cost.more["run"]["usd"] == pytest.approx(109.20)
    assert cost.more["run"]["per_1000"] == pytest.approx(109.20 / 0.4)
    assert cost.more["run"]["warnings"] == []
    # Ten times the run's statements in a month; neither scans nor scaling are charged apart.
    assert cost.monthly("candidate") == pytest.approx(1092)
    assert "for the month's statements" in cost.candidate.parts[0].note


def test_a_provisioned_run_pays_for_scaling_and_scans(priced: Priced) -> None:
    target = {"node_type": "ra3.4xlarge", "nodes": 2}
    cost = priced(MONTH, target=target, usage=METERS | {"charged_seconds": None})
    spent = {part["name"]: part["usd"] for part in cost.more["run"]["parts"]}
    assert spent == pytest.approx({
        "ra3.4xlarge nodes": 2 * 0.5 * 3.26,
        "concurrency scaling": 7200 * 2 * 0.0009,
        "Spectrum scans": 10,
    })  # fmt: skip
    month = {part.name: part for part in cost.candidate.parts}
    assert month["ra3.4xlarge nodes"].usd == pytest.approx(2 * 730 * 3.26)
    # 20 hours of scaling are less than the 30 that are free.
    assert month["concurrency scaling"].usd == 0
    assert month["concurrency scaling"].note.startswith("USD 129.60 without free credits")
    assert month["Spectrum scans"].usd == pytest.approx(100)


def test_a_run_without_meters_is_reckoned_and_says_so(priced: Priced) -> None:
    cost = priced(MONTH, target={"base_rpu": 8})
    [part] = cost.more["run"]["parts"]
    # One statement a second, for 400 s.
    assert part["usd"] == pytest.approx(400 * 8 / 3600 * 0.375, rel=0.05)
    assert "not read from the server" in part["note"]
    assert cost.more["run"]["warnings"] == ["use of 2.0 in the run: not read from the server"]


def test_meters_that_still_rose_are_said(priced: Priced) -> None:
    cost = priced(MONTH, target={"base_rpu": 8}, usage=METERS | {"settled": False})
    assert "still rose" in cost.more["run"]["warnings"][0]


def test_choices_price_the_same_run_in_other_sizes(priced: Priced) -> None:
    cost = priced(
        MONTH + "[[cost.choice]]\nnode_type = 'ra3.large'\nnodes = 2\n[[cost.choice]]\nrpu = 64\n"
        "[cost.candidate]\nstorage_gb = 1000\n",
        target={"base_rpu": 128},
        usage=METERS,
    )
    by_name = {row["name"]: row["usd"] for row in cost.more["choices"]}
    # On nodes, what the run scanned is charged apart; 20 hours of scaling are free.
    assert by_name == pytest.approx(
        {"serverless, 64 RPU": 546 + 24, "2 × ra3.large": 2 * 730 * 0.543 + 24 + 100}
    )
    assert all("assumed" in row["note"] for row in cost.more["choices"])


def test_a_size_without_a_known_price_stops_no_report(priced: Priced) -> None:
    cost = priced("[cost.baseline]\nmonthly = 5", target={"node_type": "rg.large", "nodes": 2})
    assert "no price of `rg.large`" in str(cost.reason)
    assert "no price of `rg.large`" in cost.more["run"]["reason"]


def test_shares_are_by_execution_where_the_server_tells(priced: Priced, tmp_path: Path) -> None:
    target = {"node_type": "ra3.large", "nodes": 2}
    cost = priced(MONTH, target=target)
    spent = cost.more["run"]
    assert spent["by"] == "service time seen by the client"
    assert sum(row["usd"] for row in spent["templates"]) == pytest.approx(spent["usd"])
    assert spent["users"] == [
        {"name": "report", "statements": 400, "share": 1.0, "usd": pytest.approx(spent["usd"])}
    ]
    server = tmp_path / "r-20240611-b81" / "server"
    server.mkdir()
    columns = {"statement_id": [7], "clone": pa.array([0], pa.int32()), "execution_us": [5000]}
    pq.write_table(pa.table(columns), server / "queries.parquet")
    inside = priced(MONTH, target=target).more["run"]
    assert inside["by"] == "execution time on the server"
    assert [row["share"] for row in inside["templates"]].count(1.0) == 1


@pytest.mark.parametrize("text", ["", "[replay]\nscale = 2"])
def test_no_section_is_not_stated(priced: Priced, text: str) -> None:
    cost = priced(text)
    assert cost.as_json()["stated"] is False
    assert "not stated" in str(cost.reason)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[cost.candidate]\nnode_type = "ra3.huge"\nnodes = 1', "did you mean `ra3.large`?"),
        ('[cost.candidate]\nnode_type = "ra3.large"', "`node_type` needs `nodes`"),
        ('[cost.candidate]\nnode_type = "x"\nnodes = 1\nrpu = 8', "both nodes and RPU"),
        ("[cost.candidate]\nnode = 3", "did you mean `nodes`?"),
        ("[cost.candidate]\nnodes = 'eight'\nnode_type = 'ra3.large'", "must be a number"),
        ("[cost.candidate]\nstorage_gb = -1", "`storage_gb` must be from 0"),
        ("[cost]\nnode_type = 'ra3.large'", "unknown key `node_type`"),
        ("[cost.baseline]\nmonthly = 5\nservice = 'x'", "2 ways, monthly and service"),
        ("[cost.baseline]\ntag = 'app'", '`tag` must be "KEY=VALUE"'),
        ("[[cost.choice]]\nstorage_gb = 3", "choice[0]: needs a size"),
        ("[cost.baseline]\ninstances = {'m5.large' = 2}", "no price of `m5.large` (ec2_hour)"),
        ("[cost]\nregion = 'eu-west-1'\n[cost.candidate]\nrpu_hours_per_month = 3", "eu-west-1"),
    ],
)
def test_a_wrong_section_is_refused(priced: Priced, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        priced(text)
    assert complaint in str(caught.value)
    assert caught.value.hint


def test_ones_own_prices_come_first(priced: Priced, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(
        'date = "2026-11-01"\n[redshift_node_hour]\n"ra3.large" = { usd = 0.4 }\n'
        '[ec2_hour]\n"*" = { usd = 0.1, source = "our contract" }\n'
    )
    cost = priced(
        "[cost]\nprices = 'ours.toml'\n[cost.candidate]\nnode_type = 'ra3.large'\nnodes = 1\n"
        "storage_gb = 10\n[cost.baseline.instances]\n'm5.large' = 2\n"
    )
    nodes, kept = cost.candidate.parts
    assert (nodes.usd, nodes.source, nodes.date) == (730 * 0.4, "own prices", "2026-11-01")
    assert kept.source.endswith("bundled table")
    assert cost.baseline.parts[0].usd == pytest.approx(146)
    assert cost.baseline.parts[0].source == "our contract, own prices"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[redshift_node_hours]\n", "did you mean `redshift_node_hour`?"),
        ("[redshift_node_hour]\nx = { eur = 3 }", "needs `usd`"),
        ("[redshift_node_hour]\nx = { usd = 'much' }", "`usd` must be a number"),
        ("[redshift_node_hour]\nx = 3", "`x` must be a table"),
        ("currency = 'EUR'", "`currency` must be USD"),
    ],
)
def test_a_wrong_prices_file_is_refused(
    priced: Priced, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "ours.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        priced("[cost]\nprices = 'ours.toml'")
    assert complaint in str(caught.value)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None
)
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1e5))
def test_parts_sum_up_and_more_volume_never_costs_less(
    priced: Priced, one: int, two: int, storage: float
) -> None:
    months = [
        priced(
            f"[cost]\nstatements_per_month = {volume + 1}\n[cost.candidate]\n"
            f"storage_gb = {storage}",
            target={"node_type": "ra3.4xlarge", "nodes": 2},
            usage=METERS,
        )
        for volume in sorted((one, two))
    ]
    sums = [month.monthly("candidate") for month in months]
    assert sums == [pytest.approx(sum(p.usd for p in month.candidate.parts)) for month in months]
    assert sums[0] <= sums[1]  # type: ignore[operator]
