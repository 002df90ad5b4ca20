"""Gates: what must hold for a GO, read from typed TOML.

There is no expression language: every limit is a key of its own, so a typing error is found
before a run is judged rather than read as a pass.
"""

from __future__ import annotations

import datetime
import importlib.resources
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from replay.problems import Table, read_toml, settle
from reports.compare import TEMPLATE_QUANTILES, Decision
from reports.metrics import METRICS, Measure, Metric
from reports.scope import EVERYWHERE, LABELS, Where
from reports.stats.family import Correction

SCHEMA = 1


VALIDITY = {
    "lag_p99": "max",
    "starved_p99": "max",
    "offered_over_target": "min",
    "replayed_share": "min",
    "skipped_share": "max",
    "client_cpu_p95": "max",
}
"""Figures of `Fidelity` that `[validity]` may limit, and from which side."""


class Severity(StrEnum):
    """What a failing gate does: block the move, warn, or only be shown."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition: the `limit` and the key that gave it, such as `max_ratio`.

    Durations are microseconds. The fields from `min_harm_us` on belong to a gate over every
    template (`for_each`), the last also to gates on results.
    """

    id: str
    metric: Metric
    why: str = ""
    severity: Severity = Severity.BLOCK
    limit: float = 0.0
    key: str = "max"
    stat: str | None = None
    min_samples: int = 0
    captured: str = "cap"
    where: Where = field(default_factory=dict)
    for_each: bool = False
    min_harm_us: int = 0
    correction: Correction = "bh"
    q: float = 0.05
    max_unevaluated_share: float = 0.05

    @property
    def relative(self) -> bool:
        """True where the limit is a ratio to the baseline."""
        return self.key.endswith("_ratio")

    @property
    def side(self) -> str:
        """`max` where the limit is the most allowed, `min` where it is the least."""
        return self.key.removesuffix("_ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A gate, or one template of a gate over templates, that may fail until a date."""

    gate: str
    template: str | None
    until: datetime.date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """A whole gates file, checked; `validity` holds limits by the keys of `VALIDITY`."""

    source: str
    decision: Decision
    validity: dict[str, float]
    gates: tuple[Gate, ...]
    waivers: tuple[Waiver, ...]

    def refuse_expired(self, day: datetime.date) -> None:
        """Waivers end by the run's own date, so that a verdict never depends on the clock.

        Raises:
            UsageError: a waiver ended before `day`; lists all that did.
        """
        ended = [
            f"waiver of gate `{waiver.gate}`: ended on {waiver.until}, before the run of {day}"
            for waiver in self.waivers
            if waiver.until < day
        ]
        settle(self.source, ended, hint="mend what it excused, or renew `until` on purpose")


def load_gates(path: Path | None, *, soak: bool = False) -> Gates:
    """Read gates from `path`, or those that ship with fourstep, for a `soak` some more.

    Raises:
        UsageError: the file is not TOML or has problems; lists all of them at once.
    """
    problems: list[str] = []
    content = read_toml(path or shipped("gates.toml"))
    if path is None and soak:
        content["gate"] += read_toml(shipped("gates_soak.toml"))["gate"]
    document = Table(content, "", problems)
    if document.value("schema") != SCHEMA:
        document.add(f"`schema` must be {SCHEMA}, not `{document.value('schema')}`")
    gates = [_gate(table) for table in document.tables("gate")]
    ids = [gate.id for gate in gates]
    for repeated in sorted({name for name in ids if name and ids.count(name) > 1}):
        document.add(f"gate id `{repeated}` is used {ids.count(repeated)} times")
    if not ids:
        document.add("no [[gate]]: nothing would be decided")
    checked = Gates(
        source="shipped defaults" if path is None else str(path),
        decision=_decision(document.table("decision")),
        validity=_validity(document.table("validity")),
        gates=tuple(gates),
        waivers=tuple(_waiver(table, ids) for table in document.tables("waiver")),
    )
    if checked.decision.tag is None and any("tag" in gate.where for gate in gates):
        document.add("`where.tag` needs `tag` in [decision]: the key to look for in comments")
    document.close()
    settle(path or "gates.toml", problems, hint="every key is explained in docs/gates.md")
    return checked


def shipped(name: str) -> Path:
    """A file of gates that comes with fourstep."""
    return Path(str(importlib.resources.files("reports") / name))


def _decision(table: Table) -> Decision:
    default = Decision()
    decision = Decision(
        confidence=table.number("confidence", default.confidence, low=0.6, high=0.999),
        resamples=int(table.number("resamples", default.resamples, low=200, high=100_000)),
        seed=int(table.number("seed", default.seed, high=2**53)),
        warm_up_us=table.duration_us("warm_up") if table.has("warm_up") else 0,
        tag=_tag(table),
        min_runs=int(table.number("min_runs", default.min_runs, low=1, high=64)),
    )
    table.close()
    return decision


def _tag(table: Table) -> str | None:
    tag = table.value("tag")
    if tag is not None and not (isinstance(tag, str) and re.fullmatch(r"[\w.-]+", tag)):
        table.add(f"`tag` must be the name of a key in comments, such as report, not `{tag}`")
        return None
    return tag


def _validity(table: Table) -> dict[str, float]:
    limits = {}
    for name, side in VALIDITY.items():
        if not table.has(name):
            continue
        entry = table.content[name]
        if not isinstance(entry, dict) or set(entry) != {side}:
            table.add(f"`{name}` must be {{ {side} = ... }}")
            continue
        inner = table.table(name)
        limits[name] = inner.duration_us(side) if name.endswith("_p99") else inner.number(side)
    table.close()
    return limits


def _gate(table: Table) -> Gate:
    name = table.value("id")
    if isinstance(name, str) and name:
        table.where += f" `{name}`"
    else:
        table.add("needs an `id`")
    metric = table.choose("metric", list(Metric))
    keys: dict[str, Any] = {}
    if metric:
        measure = METRICS[Metric(metric)]
        for_each = "for_each" in measure.takes and table.has("for_each")
        keys = _limit(table, ("max_ratio",) if for_each else measure.limits, unit=measure.unit)
        keys |= {key: read(table, measure) for key, read in _READ.items() if key in measure.takes}
        keys |= _family(table, keys["where"]) if for_each else {}
    gate = Gate(
        id=str(name or ""),
        metric=Metric(metric or Metric.ERRORS_NEW),
        why=str(table.value("why", "")),
        severity=Severity(table.choose("severity", list(Severity), "block")),
        **keys,
    )
    if metric:
        table.close()
    return gate


def _limit(table: Table, limits: tuple[str, ...], *, unit: str) -> dict[str, Any]:
    present = [key for key in limits if table.has(key)]
    if len(present) != 1:
        said = " and ".join(f"`{key}`" for key in present) or "none"
        choice = " or ".join(f"`{key}`" for key in limits)
        table.add(f"needs one limit, {choice}; it has {said}")
        return {}
    key = present[0]
    if unit == "us" and not key.endswith("_ratio"):
        return {"key": key, "limit": table.duration_us(key)}
    high = 1.0 if unit in ("share", "change") else float("inf")
    low = 1e-9 if key.endswith("_ratio") else 0
    return {"key": key, "limit": table.number(key, low=low, high=high)}


def _where(table: Table) -> Where:
    inner, where = table.table("where"), {}
    for label in LABELS:
        if not inner.has(label):
            continue
        said = inner.value(label)
        names = said if isinstance(said, list) else [said]
        if not names or not all(isinstance(name, str) and name for name in names):
            inner.add(f"`{label}` must be a name or a list of names")
        where[label] = tuple(map(str, names))
    inner.close()
    return where


_READ: dict[str, Callable[[Table, Measure], Any]] = {
    "stat": lambda table, measure: table.choose("stat", measure.stats),
    "min_samples": lambda table, _: int(table.number("min_samples", 0)),
    "captured": lambda table, _: table.choose("captured", ("cap", "allow"), "cap"),
    "where": lambda table, _: _where(table) if table.has("where") else EVERYWHERE,
    "max_unevaluated_share": lambda table, _: _unevaluated_share(table),
}
"""Keys that several metrics take, and how each is read."""


def _family(table: Table, where: Where) -> dict[str, Any]:
    table.choose("for_each", ("template",))
    if where:
        table.add("a gate for each template looks at all statements and takes no `where`")
    if table.value("stat") not in TEMPLATE_QUANTILES:
        table.add(f"a gate for each template needs `stat` {' or '.join(TEMPLATE_QUANTILES)}")
    if not (table.has("max_ratio") and table.has("min_harm")):
        table.add("a gate for each template needs both `max_ratio` and `min_harm`")
        return {}
    return {
        "for_each": True,
        "min_harm_us": table.duration_us("min_harm"),
        "correction": table.choose("correction", ("bh", "holm"), "bh"),
        "q": table.number("q", 0.05, high=1),
        "max_unevaluated_share": _unevaluated_share(table),
    }


def _unevaluated_share(table: Table) -> float:
    return table.number("max_unevaluated_share", 0.05, high=1)


def _waiver(table: Table, ids: list[str]) -> Waiver:
    until = table.value("until")
    if not isinstance(until, datetime.date) or isinstance(until, datetime.datetime):
        table.add(f"`until` must be a date such as 2027-01-31, not `{until}`")
    if not table.value("reason"):
        table.add("needs a `reason`")
    waiver = Waiver(
        gate=table.choose("gate", ids),
        template=table.value("template"),
        until=cast("datetime.date", until),
        reason=str(table.value("reason")),
    )
    table.close()
    return waiver
