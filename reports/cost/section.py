"""The `[cost]` section of fourstep.toml, checked; docs/cost.md explains every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from replay.problems import Table, read_toml, settle
from reports.cost.place import Place

_TEXTS = ("node_type", "reserved")
_WAYS = ("monthly", "tag", "service", "instances")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What says what 1.0 costs; `bill` is a tag's key and value, or SERVICE and its name."""

    monthly: float | None = None
    note: str = "no note given"
    bill: tuple[str, str] | None = None
    instances: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All of `[cost]`."""

    region: str
    prices: Path | None
    statements_per_month: float
    scale: float
    growth: float
    baseline: Baseline
    candidate: Place
    choices: tuple[Place, ...]


def configured() -> Path | None:
    """The configuration where nobody names one."""
    path = Path("fourstep.toml")
    return path if path.is_file() else None


def read_section(config: Path | None) -> Section | None:
    """`[cost]` of a fourstep.toml; None where there is none.

    Raises:
        UsageError: the file is not TOML, or its `[cost]` section has problems; lists all.
    """
    problems: list[str] = []
    document = Table({} if config is None else read_toml(config), "", problems)
    if config is None or not document.has("cost"):
        return None
    table = document.table("cost")
    section = Section(
        region=str(table.value("region", "us-east-1")),
        prices=config.parent / str(table.value("prices")) if table.has("prices") else None,
        statements_per_month=table.number("statements_per_month"),
        scale=table.number("scale", 1),
        growth=table.number("growth", low=-1),
        baseline=_baseline(table.table("baseline")),
        candidate=_place(table.table("candidate")),
        choices=tuple(_place(each, must=True) for each in table.tables("choice")),
    )
    table.close()
    settle(str(config), problems, hint="every key of [cost] is explained in docs/cost.md")
    return section


def _baseline(table: Table) -> Baseline:
    ways = [key for key in _WAYS if table.has(key)]
    if len(ways) > 1:
        table.add(f"states 1.0 in {len(ways)} ways, {' and '.join(ways)}: keep one")
    bill = ("SERVICE", str(table.value("service"))) if "service" in ways else None
    if "tag" in ways:
        key, _, value = str(table.value("tag")).partition("=")
        bill = key, value
        if not (key and value):
            table.add('`tag` must be "KEY=VALUE"')
    rows = table.table("instances")
    baseline = Baseline(
        monthly=table.number("monthly") if "monthly" in ways else None,
        note=str(table.value("note", "no note given")),
        bill=bill,
        instances={kind: rows.number(kind) for kind in rows.content},
    )
    table.close()
    return baseline


def _place(table: Table, *, must: bool = False) -> Place:
    stated: dict[str, Any] = {key: str(table.value(key, "")) for key in _TEXTS}
    numbers = [each.name for each in fields(Place) if each.name not in _TEXTS]
    place = Place(**stated | {key: table.number(key) for key in numbers if table.has(key)})
    if bool(place.node_type) != bool(place.nodes):
        table.add("`node_type` needs `nodes`, and they it")
    if place.serverless and (place.node_type or place.nodes):
        table.add("states both nodes and RPU: a place is one or the other")
    elif must and not place.sized:
        table.add("needs a size: `node_type` and `nodes`, or `rpu`")
    table.close()
    return place
