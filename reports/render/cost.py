"""What `fourstep cost` found, as tables: on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports import format as fmt
from reports.render.terminal import align

Document = Mapping[str, Any]
_ARMS = {"baseline": "1.0", "candidate": "2.0"}


def cost_text(document: Document) -> str:
    """The tables, one below the other."""
    return "\n\n".join(
        "\n".join([title, *(line.plain.rstrip() for line in align(rows, right=(2,)))])
        for title, rows in cost_tables(document)
    )


def cost_tables(document: Document) -> Iterator[tuple[str, list[list[str]]]]:
    """Titles and rows, the first row the head: of a run's cost, of several runs, or of a bill."""
    if "runs" in document:
        head = ["run", "on", "a month", "per 1,000", "p95", "verdict", ""]
        rows = [_run(row) for row in document["runs"]]
        yield "Runs by cost a month, and the cheapest that is a GO", [head, *rows]
        return
    sums = {_ARMS[arm]: usd for arm, usd in document["monthly"].items() if usd is not None}
    rows = [_part(_ARMS[part["arm"]], part, part["monthly"]) for part in document["parts"]]
    rows += [[arm, "sum", fmt.money(usd), "", ""] for arm, usd in sums.items()]
    volume = document["volume_formula"]
    yield f"A month{f': {volume}' if volume else ''}", [_head("place", "a month"), *rows]
    if document["stages"]:
        rows = [["", row["stage"], fmt.money(row["usd"])] for row in document["stages"]]
        yield "Next month's bill", [["", "running", "a month"], *rows]
    if document["choices"]:
        rows = [["", row["name"], fmt.money(row["usd"])] for row in document["choices"]]
        title = f"The same run in other sizes; {document['choices'][0]['note']}"
        yield title, [["", "2.0 as", "a month"], *rows]
    run = document["run"]
    if run.get("parts"):
        spent = f"{fmt.money(run['usd'])}, {fmt.money(run['per_1000'])} per 1,000 statements"
        rows = [_part("", part, part["usd"]) for part in run["parts"]]
        yield f"This run on {run['place']}: {spent}", [_head("", "USD"), *rows]
        shares = [
            [what, row["name"], fmt.money(row["usd"]), fmt.share(row["share"]),
             fmt.count(row["statements"])]
            for what, key in (("template", "templates"), ("user", "users"))
            for row in run[key][:5]
        ]  # fmt: skip
        yield f"By {run['by']}", [["", "caused by", "USD", "share", "statements"], *shares]


def _head(first: str, usd: str) -> list[str]:
    return [first, "part", usd, "price", "formula"]


def _part(place: str, part: Document, usd: float) -> list[str]:
    price = ["unverified"] if part["unverified"] else []
    price = [part["source"], part["date"], *price]
    words = "; ".join(filter(None, (part["formula"], part["note"])))
    return [place, part["name"], fmt.money(usd), " ".join(filter(None, price)), words]


def _run(row: Document) -> list[str]:
    return [
        row["run"], row["place"], fmt.money(row["monthly"]), fmt.money(row["per_1000"]),
        fmt.duration(row["p95_us"]), row["verdict"],
        "the cheapest" if row["cheapest"] else row["not_priced"] or "",
    ]  # fmt: skip
