"""2.0 as something to buy: nodes or serverless and what it keeps; priced over a span of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reports import format as fmt
from reports.cost import terms
from reports.cost.model import Figures, Part
from reports.cost.prices import Prices
from reports.cost.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Keys of `[cost.candidate]`; RPU-hours that were not stated come from the run."""

    node_type: str = ""
    nodes: float = 0
    reserved: str = ""
    rpu: float = 0
    hours_per_month: float = terms.HOURS_PER_MONTH
    rpu_hours_per_month: float | None = None
    storage_gb: float = 0
    snapshot_gb: float = 0

    @property
    def serverless(self) -> bool:
        """True where capacity is charged by the RPU-second."""
        return bool(self.rpu) or self.rpu_hours_per_month is not None

    @property
    def sized(self) -> bool:
        """True where it is known what to buy."""
        return bool(self.node_type and self.nodes) or self.serverless

    @property
    def name(self) -> str:
        """In words: `4 × ra3.4xlarge`, `serverless, 64 RPU`."""
        if self.serverless:
            return f"serverless, {self.rpu:g} RPU" if self.rpu else "serverless"
        return f"{self.nodes:g} × {self.node_type}{f', {self.reserved}' if self.reserved else ''}"

    def sized_as(self, other: Place) -> Place:
        """What it keeps, in the size of another."""
        keys = ("node_type", "nodes", "reserved", "rpu", "rpu_hours_per_month")
        return replace(self, **{key: getattr(other, key) for key in keys})


def place_of_target(target: Mapping[str, Any]) -> Place:
    """The size that run.json's `target` states; not `sized` where it states none."""
    nodes, rpu = (float(target.get(key) or 0) for key in ("nodes", "base_rpu"))
    return Place(node_type=str(target.get("node_type") or ""), nodes=nodes, rpu=rpu)


def price_place(place: Place, prices: Prices, used: Usage, *, run_hours: float = 0) -> Figures:
    """A month of a place used as `used` says, or `run_hours` of it.

    A run gets no free credits, and its share of what is kept.

    Raises:
        UsageError: a price is not known.
    """
    hours = run_hours or place.hours_per_month
    kind = "Serverless" if place.serverless else place.node_type
    parts: list[Part] = []

    def add(name: str, table: str, key: str, *factors: tuple[float, str], note: str = "") -> None:
        parts.append(terms.priced(name, prices.find(table, key), *factors, note=note))

    if place.serverless:
        charged = ((used.rpu_seconds or 0) / 3600, "RPU-hours")
        add("serverless compute", "redshift_rpu_hour", "serverless", charged, note=used.basis)
    elif place.reserved:
        # Every hour of the term is paid for, whether the cluster runs or is paused.
        count = (place.nodes, "nodes"), (run_hours or terms.HOURS_PER_MONTH, "h")
        add(f"{kind} nodes", "redshift_reserved_hour", f"{kind} {place.reserved}", *count)
    else:
        add(f"{kind} nodes", "redshift_node_hour", kind, (place.nodes, "nodes"), (hours, "h"))
    if used.scaling_seconds and not place.serverless:
        whole = terms.scaling_seconds(used.scaling_seconds)
        credit = 0 if run_hours else terms.MONTHLY_CREDIT_S
        charged = (terms.scaling_seconds(used.scaling_seconds, credit=credit), "s")
        usd = whole * place.nodes * prices.find("redshift_scaling_second", kind).usd
        note = f"{fmt.money(usd)} without free credits; an hour a day is free"
        count = charged, (place.nodes, "nodes")
        add("concurrency scaling", "redshift_scaling_second", kind, *count, note=note)
    # Serverless and RG nodes read the lake on compute that is paid for already.
    if used.scanned_bytes and not place.serverless and not kind.startswith("rg."):
        scanned = (terms.scanned_tb([used.scanned_bytes]), "TB")
        add("Spectrum scans", "redshift_scanned_tb", "Spectrum", scanned)
    for name, table, gb in (
        ("managed storage", "redshift_storage_gb_month", place.storage_gb),
        ("manual snapshots", "redshift_snapshot_gb_month", place.snapshot_gb),
    ):
        if gb:
            span = ((run_hours / terms.HOURS_PER_MONTH, "months"),) if run_hours else ()
            add(name, table, kind, (gb, "GB"), *span)
    return Figures(parts=tuple(parts))
