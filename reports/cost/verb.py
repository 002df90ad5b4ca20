"""What `fourstep cost` answers: a run, several of them, or 1.0's bill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from replay.errors import UsageError
from reports import findings
from reports import format as fmt
from reports.case import build_case
from reports.charts.cost import draw_cost, draw_runs
from reports.charts.style import write_figure
from reports.cost.bill import fetch_bill, price_bill
from reports.cost.estimate import estimate_cost
from reports.cost.model import Cost
from reports.cost.place import place_of_target
from reports.cost.price_list import PriceList
from reports.cost.prices import Ask
from reports.cost.section import read_section
from reports.gates import load_gates
from reports.judge.judge import judge
from reports.load import load
from reports.verdict import Answer, decide

Document = dict[str, Any]


def of_run(run: Path, config: Path | None, *, refresh: bool) -> Document:
    """The `cost` object of verdict.json, and all there is to warn of."""
    document = estimate_cost(load(run), config, ask=_ask(refresh)).as_json()
    said = [*document["warnings"], *document["run"].get("warnings", ()), document["reason"]]
    return document | {"warnings": [warning for warning in said if warning]}


def of_runs(
    runs: Sequence[Path], config: Path | None, gates: Path | None, *, refresh: bool
) -> Document:
    """`runs`, a row each, the cheapest first; `cheapest` marks the first that is a GO.

    Each is priced at the size it ran on and judged against the durations of 1.0's log.
    """
    rules, ask, rows = load_gates(gates), _ask(refresh), []
    for path in runs:
        evidence = load(path)
        cost = estimate_cost(evidence, config, ask=ask, as_run=True)
        case = build_case(evidence, None, decision=rules.decision, cost=cost)
        verdict, reason = decide(judge(case, rules))
        ran_on = place_of_target(evidence.document.get("target") or {})
        rows.append(
            {
                "run": evidence.run.run_id,
                "place": ran_on.name if ran_on.sized else "a size it does not state",
                "monthly": cost.monthly("candidate"),
                "per_1000": cost.as_json()["per_1000"]["candidate"],
                "p95_us": case.overall["p95"].candidate.value,
                "verdict": str(verdict),
                "reason": reason,
                "not_priced": cost.reason if cost.monthly("candidate") is None else None,
            }
        )
    rows.sort(key=lambda row: (row["monthly"] is None, row["monthly"] or 0))
    known = (row for row in rows if row["monthly"] is not None)
    cheapest = next((row for row in known if row["verdict"] == Answer.GO), None)
    return {"runs": [row | {"cheapest": row is cheapest} for row in rows], "warnings": []}


def of_bill(
    since: date | None, until: date | None, config: Path | None, *, refresh: bool
) -> Document:
    """1.0's bill and a month at its rate.

    Raises:
        UsageError: the days are none, nothing says which bill is meant, or it matches nothing.
        Unreachable: AWS did not answer.
    """
    if since is None or until is None or since >= until:
        raise UsageError("`--from` and `--to` must be two days, in that order")
    section = read_section(config)
    if section is None or section.baseline.bill is None:
        raise UsageError(
            "nothing says which bill is 1.0's",
            hint="state `tag` or `service` in [cost.baseline] of fourstep.toml, see docs/cost.md",
        )
    bill = fetch_bill(section.baseline.bill, since=since, until=until, refresh=refresh)
    asked = f"asking Cost Explorer cost {fmt.money(bill['usd_asked'])}"
    said = asked if bill["usd_asked"] else f"kept from {bill['fetched']}; nothing was asked"
    return Cost(baseline=price_bill(bill)).as_json() | {"bill": bill, "warnings": [said]}


def draw(document: Document, path: Path) -> None:
    """Cost against p95 of several runs, else next month's bill by stages, as an SVG file.

    Raises:
        UsageError: too little is known to draw.
    """
    if "runs" in document:
        figure = draw_runs(document, title=findings.of_runs(document))
    else:
        figure = draw_cost(document, title=findings.of_cost({"cost": document}))
    if figure is None:
        raise UsageError("`--svg` needs what is not known: both places' cost, or two runs'")
    write_figure(figure, path, name="cost")


def _ask(refresh: bool) -> Ask | None:
    return PriceList().price if refresh else None
