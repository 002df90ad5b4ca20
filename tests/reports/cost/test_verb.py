"""`fourstep cost`: a run, several, a bill; what it prints, and what it refuses.

Renew the golden files with FOURSTEP_GOLDEN=write in the environment, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replay.errors import UsageError
from reports.cli import fourstep
from reports.cost.verb import of_run
from reports.render.cost import cost_text
from tests.reports.cost.price_list_server import price_list, product
from tests.reports.synthetic import Plan, write_both

GOLDEN = Path(__file__).parents[2] / "golden" / "cost"
CONFIG = """
[cost]
growth = 0.5
[cost.baseline]
monthly = 5400
note = "invoice of May"
[cost.candidate]
storage_gb = 2000
[[cost.choice]]
rpu = 16
[[cost.choice]]
node_type = "ra3.4xlarge"
nodes = 2
"""
GATES = """
schema = 1
[[gate]]
id = "p95"
metric = "latency.response"
stat = "p95"
max = "400ms"
min_samples = 100
"""
SIZES: dict[str, tuple[dict[str, Any], float]] = {
    "small": ({"node_type": "ra3.large", "nodes": 2}, 1.3),
    "large": ({"node_type": "ra3.4xlarge", "nodes": 2}, 0.6),
    "largest": ({"node_type": "ra3.16xlarge", "nodes": 2}, 0.5),
    "unheard of": ({"node_type": "rg.large", "nodes": 2}, 0.5),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same half hour on clusters of different sizes."""
    found = {}
    for name, (target, slowdown) in SIZES.items():
        plan = Plan(statements=1500, slowdown=slowdown, run_id=f"r-{name.replace(' ', '-')}")
        run = write_both(tmp_path_factory.mktemp("size"), plan)
        document = json.loads((run / "run.json").read_text())
        document["target"] |= target
        (run / "run.json").write_text(json.dumps(document))
        found[name] = run
    return found


@pytest.fixture(autouse=True)
def here(tmp_path: Path, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory with a fourstep.toml, on a machine that fetched nothing and knows no AWS."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("fourstep.toml").write_text(CONFIG)
    Path("gates.toml").write_text(GATES)
    yield


def _golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("FOURSTEP_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _invoke(*arguments: object) -> str:
    result = CliRunner().invoke(fourstep, ["cost", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_tables_of_a_run(runs: dict[str, Path]) -> None:
    text = _invoke(runs["small"])
    _golden("run.txt", text)
    monthly = re.search(r"2\.0 +sum +USD ([\d.]+)", text)
    assert monthly is not None
    assert float(monthly[1]) == pytest.approx(2 * 730 * 0.543 + 48)


def test_the_cheapest_of_several_that_passes_is_marked(runs: dict[str, Path]) -> None:
    text = _invoke(*runs.values(), "--gates", "gates.toml", "--svg", "cost.svg")
    _golden("runs.txt", text)
    [marked] = [line for line in text.splitlines() if line.endswith("the cheapest")]
    # ra3.large costs less and is too slow; rg.large has no known price.
    assert "2 × ra3.4xlarge" in marked
    assert "2 × ra3.4xlarge is the cheapest GO" in Path("cost.svg").read_text()


def test_json_is_the_verdicts_cost(runs: dict[str, Path]) -> None:
    document = json.loads(_invoke(runs["small"], "--json"))
    assert {"stated", "currency", "monthly", "per_1000", "ratio", "warnings", "parts"} <= set(
        document
    )
    assert [row["stage"] for row in document["stages"]] == ["1.0 alone", "both", "2.0 alone"]


def test_refreshed_prices_are_asked_for_and_said(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nothing")
    Path("fourstep.toml").write_text("[cost.baseline]\nmonthly = 1\n")
    with price_list([product("Node:rg.large", "Hrs", 0.7)]) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        text = _invoke(runs["unheard of"], "--refresh-prices")
    assert "2 nodes × 730 h × USD 0.7 per h" in text
    assert "Price List API" in text
    # Kept: asked no more.
    assert "USD 0.7 per h" in _invoke(runs["unheard of"])


def test_a_bill_is_fetched_and_then_used(runs: dict[str, Path], aws: None, aws_url: str) -> None:
    Path("fourstep.toml").write_text("[cost.baseline]\ntag = 'app=reporting'\n")
    before = of_run(runs["small"], Path("fourstep.toml"), refresh=False)  # fmt: skip
    assert "its bill was not fetched" in before["warnings"][-1]
    groups = [{"Keys": ["EC2"], "Metrics": {"AmortizedCost": {"Amount": "24", "Unit": "USD"}}}]
    page = {"ResultsByTime": [{"Total": {}, "Groups": groups, "Estimated": False}]}
    request = urllib.request.Request(
        f"{aws_url}/moto-api/static/ce/cost-and-usage-results",
        data=json.dumps({"results": [page]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()
    assert "USD 730.00" in _invoke("--from", "2026-09-01", "--to", "2026-09-02")
    assert "USD 24.00 in 1 days" in _invoke(runs["small"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "takes runs, or the days of a bill"),
        (["--from", "2026-09-01"], "must be two days"),
        (["--from", "2026-09-02", "--to", "2026-09-02"], "must be two days"),
        (["--from", "2026-09-01", "--to", "2026-09-02"], "nothing says which bill is 1.0's"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _invoke(*arguments)


def test_an_unstated_cost_says_so_and_is_not_drawn(runs: dict[str, Path]) -> None:
    Path("fourstep.toml").write_text("")
    document = of_run(runs["small"], None, refresh=False)
    assert document["warnings"] == ["not stated: no [cost] section in the configuration"]
    assert "A month" in cost_text(document)
    with pytest.raises(UsageError, match="not known"):
        _invoke(runs["small"], "--svg", "cost.svg")
    assert not Path("cost.svg").exists()
