"""What `fourstep cost` answers: a run, several of them, or 1.0's bill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from replay.artefact import write_text
from replay.errors import UsageError
from reports import findings
from reports import format as fmt
from reports.charts.cost import draw_cost, draw_runs
from reports.charts.style import figure_to_svg
from reports.cost.bill import fetch_bill, price_bill
from reports.cost.estimate import estimate_cost
from reports.cost.measured import compare_runs
from reports.cost.model import Cost
from reports.cost.price_list import PriceList
from reports.cost.section import read_section
from reports.load import load


def answer(
    runs: Sequence[Path],
    *,
    config: Path | None,
    gates: Path | None,
    days: tuple[date | None, date | None],
    refresh: bool,
) -> dict[str, Any]:
    """The document of `--json`: `runs` of several, else that of verdict.json's `cost`.

    Raises:
        UsageError: neither a run nor days, or the configuration has problems.
        Unreachable: AWS was asked and did not answer.
    """
    since, until = days
    ask = PriceList().price if refresh else None
    if bool(runs) == bool(since or until):
        raise UsageError(
            "`cost` takes runs, or the days of a bill", hint="`fourstep cost --help` lists both"
        )
    if len(runs) > 1:
        return {"runs": compare_runs(runs, config, gates, ask=ask), "warnings": []}
    section = read_section(config)
    if runs:
        document = estimate_cost(load(runs[0]), config, ask=ask).as_json()
        said = [*document["warnings"], *document["run"].get("warnings", ()), document["reason"]]
        return document | {"warnings": [warning for warning in said if warning]}
    if since is None or until is None or since >= until:
        raise UsageError("`--from` and `--to` must be two days, in that order")
    if section is None or section.baseline.bill is None:
        raise UsageError(
            "nothing says which bill is 1.0's",
            hint="state `tag` or `service` in [cost.baseline] of fourstep.toml, see docs/cost.md",
        )
    bill = fetch_bill(section.baseline.bill, since=since, until=until, refresh=refresh)
    asked = f"asking Cost Explorer cost {fmt.money(bill['usd_asked'])}"
    warnings = [asked if bill["usd_asked"] else f"kept from {bill['fetched']}; nothing was asked"]
    return Cost(baseline=price_bill(bill)).as_json() | {"bill": bill, "warnings": warnings}


def draw(document: dict[str, Any], path: Path) -> None:
    """Cost against p95 of several runs, else next month's bill by stages, as SVG.

    Raises:
        UsageError: too little is known to draw.
    """
    title = (
        findings.of_runs(document) if "runs" in document else findings.of_cost({"cost": document})
    )
    drawn = draw_runs if "runs" in document else draw_cost
    figure = drawn(document, title=title)
    if figure is None:
        raise UsageError(
            "`--svg` draws what is not known: both places' cost, or two runs' with p95"
        )
    write_text(path, figure_to_svg(figure, name="cost", description=title))
