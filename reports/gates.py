"""Gates: what must hold for a GO, read from typed TOML.

There is no expression language: every limit is a key of its own, so a typing error is found
before a run is judged rather than read as a pass.
"""

from __future__ import annotations

import datetime
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, cast

from reports.compare import QUANTILES, Decision
from reports.problems import Problems, read_toml
from reports.stats.family import Correction

SCHEMA = 1


class Metric(StrEnum):
    """What a gate can look at."""

    LATENCY_RESPONSE = "latency.response"
    LATENCY_SERVICE = "latency.service"
    LATENCY_FIRST_ROW = "latency.first_row"
    THROUGHPUT = "throughput"
    ERRORS_NEW = "errors.new"
    ERRORS_NEW_SHARE = "errors.new_share"
    LEDGER_UNKNOWN = "ledger.unknown"
    COST_MONTHLY = "cost.monthly"
    COST_PER_1000 = "cost.per_1000"

    @property
    def timing(self) -> bool:
        """True where a run that was not replayed faithfully cannot be judged."""
        return self.is_latency or self is Metric.THROUGHPUT

    @property
    def is_latency(self) -> bool:
        """True for the latencies, the only metrics with a `stat`."""
        return self.value.startswith("latency.")


class Severity(StrEnum):
    """What a failing gate does: block the move, warn, or only be shown."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition; limits that are None do not apply. Durations in microseconds."""

    id: str
    metric: Metric
    why: str = ""
    stat: str | None = None
    max: float | None = None
    min: float | None = None
    max_ratio: float | None = None
    min_ratio: float | None = None
    min_samples: int | None = None
    severity: Severity = Severity.BLOCK
    for_each: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    min_harm_us: int = 0
    correction: Correction = "bh"
    q: float = 0.05
    max_unevaluated_share: float = 0.05
    captured: Literal["cap", "allow"] = "cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One validity limit: a figure of `Fidelity` and the most or least it may be."""

    name: str
    max: float | None = None
    min: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A gate, or one template of a gate over templates, that may fail until a date."""

    gate: str
    template: str | None
    until: datetime.date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """A whole gates file, checked."""

    source: str
    decision: Decision
    validity: tuple[Limit, ...]
    gates: tuple[Gate, ...]
    waivers: tuple[Waiver, ...]

    def refuse_expired(self, day: datetime.date) -> None:
        """Waivers end by the run's own date, so that a verdict never depends on the clock.

        Raises:
            UsageError: a waiver ended before `day`; lists all that did.
        """
        problems = Problems(Path(self.source))
        for number, waiver in enumerate(self.waivers):
            if waiver.until < day:
                problems.add(
                    f"waiver[{number}] of gate `{waiver.gate}`",
                    f"ended on {waiver.until}, before the run of {day}",
                )
        problems.settle(hint="mend what it excused, or renew `until` on purpose")


_LIMIT_KEYS = {
    Metric.THROUGHPUT: {"min", "min_ratio"},
    Metric.ERRORS_NEW: {"max"},
    Metric.ERRORS_NEW_SHARE: {"max"},
    Metric.LEDGER_UNKNOWN: {"max"},
    Metric.COST_MONTHLY: {"max", "max_ratio"},
    Metric.COST_PER_1000: {"max", "max_ratio"},
}
_LATENCY_LIMITS = {"max", "max_ratio"}
_COMMON = {"id", "why", "metric", "severity"}
_LATENCY_KEYS = {"stat", "min_samples", "for_each", "where", "captured"}
_FAMILY_KEYS = {"min_harm", "correction", "q", "max_unevaluated_share"}
_VALIDITY = {
    "lag_p99": "max",
    "offered_over_target": "min",
    "replayed_share": "min",
    "skipped_share": "max",
    "client_cpu_p95": "max",
}


def load_gates(path: Path | None) -> Gates:
    """Read gates from `path`, or those that ship with fourstep.

    Raises:
        UsageError: the file is not TOML or has problems; lists all of them at once.
    """
    if path is None:
        with importlib.resources.as_file(
            importlib.resources.files("reports").joinpath("gates.toml")
        ) as shipped:
            return _parse(read_toml(shipped), Path("gates.toml"), source="shipped defaults")
    return _parse(read_toml(path), path, source=str(path))


def _parse(document: dict[str, Any], path: Path, *, source: str) -> Gates:
    problems = Problems(path)
    problems.check_keys(document, {"schema", "decision", "validity", "gate", "waiver"}, "")
    if document.get("schema") != SCHEMA:
        problems.add("", f"`schema` must be {SCHEMA}, not `{document.get('schema')}`")
    decision = _decision(_table(document, "decision", problems), problems)
    validity = _validity(_table(document, "validity", problems), problems)
    gates = [
        _gate(table, f"gate[{number}]", problems)
        for number, table in enumerate(_tables(document, "gate", problems))
    ]
    ids = [str(table.get("id")) for table in _tables(document, "gate", Problems(path))]
    for repeated in sorted({name for name in ids if ids.count(name) > 1}):
        problems.add("", f"gate id `{repeated}` is used {ids.count(repeated)} times")
    waivers = [
        _waiver(table, f"waiver[{number}]", ids, problems)
        for number, table in enumerate(_tables(document, "waiver", problems))
    ]
    if not ids:
        problems.add("", "no [[gate]]: nothing would be decided")
    problems.settle(hint="every key is explained in docs/gates.md")
    return Gates(
        source=source,
        decision=decision,
        validity=validity,
        gates=tuple(gate for gate in gates if gate is not None),
        waivers=tuple(waiver for waiver in waivers if waiver is not None),
    )


def _table(document: dict[str, Any], key: str, problems: Problems) -> dict[str, Any]:
    value = document.get(key, {})
    if isinstance(value, dict):
        return value
    problems.add("", f"`{key}` must be a table: [{key}]")
    return {}


def _tables(document: dict[str, Any], key: str, problems: Problems) -> list[dict[str, Any]]:
    value = document.get(key, [])
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    problems.add("", f"`{key}` must be a list of tables: [[{key}]]")
    return []


def _decision(table: dict[str, Any], problems: Problems) -> Decision:
    where, default = "[decision]", Decision()
    keys = {"confidence", "block", "resamples", "seed", "on_inconclusive"}
    problems.check_keys(table, keys, where)
    confidence = problems.number(
        table.get("confidence", default.confidence), where, "confidence", low=0.6, high=0.999
    )
    block = table.get("block", "auto")
    block_us = None if block == "auto" else problems.duration_us(block, where, "block")
    resamples = problems.number(
        table.get("resamples", default.resamples), where, "resamples", low=200, high=100_000
    )
    seed = problems.number(table.get("seed", default.seed), where, "seed", high=2**53)
    warn = problems.choose(
        table.get("on_inconclusive", default.on_inconclusive),
        ("fail", "warn"),
        where,
        "on_inconclusive",
    )
    return Decision(
        confidence=confidence or default.confidence,
        block_us=block_us,
        resamples=int(resamples or default.resamples),
        seed=default.seed if seed is None else int(seed),
        on_inconclusive=warn or default.on_inconclusive,
    )


def _validity(table: dict[str, Any], problems: Problems) -> tuple[Limit, ...]:
    problems.check_keys(table, _VALIDITY, "[validity]")
    limits = []
    for name, side in _VALIDITY.items():
        if name not in table:
            continue
        where = f"[validity] {name}"
        entry = table[name]
        if not isinstance(entry, dict) or set(entry) != {side}:
            problems.add(where, f"must be {{ {side} = ... }}")
            continue
        value = (
            problems.duration_us(entry[side], where, side)
            if name == "lag_p99"
            else problems.number(entry[side], where, side)
        )
        if value is not None:
            limits.append(Limit(name=name, **{side: float(value)}))
    return tuple(limits)


def _gate(table: dict[str, Any], where: str, problems: Problems) -> Gate | None:
    if not isinstance(table.get("id"), str) or not table["id"]:
        problems.add(where, "needs an `id`")
    else:
        where = f"{where} `{table['id']}`"
    name = problems.choose(table.get("metric"), list(Metric), where, "metric")
    if name is None:
        return None
    metric = Metric(name)
    before = len(problems.found)
    limits = _LIMIT_KEYS.get(metric, _LATENCY_LIMITS)
    allowed = _COMMON | limits | (_LATENCY_KEYS if metric.is_latency else set())
    if metric is Metric.THROUGHPUT:
        allowed = allowed | {"captured"}
    if "for_each" in table:
        allowed = (allowed | _FAMILY_KEYS) - {"max"}
    problems.check_keys(table, allowed, where)
    values = _limits(table, metric, limits, where, problems)
    values |= _latency_keys(table, metric, where, problems)
    severity = problems.choose(table.get("severity", "block"), list(Severity), where, "severity")
    if len(problems.found) > before or severity is None:
        return None
    return Gate(
        id=str(table.get("id")),
        metric=metric,
        why=str(table.get("why", "")),
        severity=Severity(severity),
        **values,
    )


def _limits(
    table: dict[str, Any], metric: Metric, limits: set[str], where: str, problems: Problems
) -> dict[str, Any]:
    present = sorted(limits & set(table))
    if len(present) != 1:
        said = " and ".join(f"`{key}`" for key in present) or "none"
        choice = " or ".join(f"`{key}`" for key in sorted(limits))
        problems.add(where, f"needs one limit, {choice}; it has {said}")
    values: dict[str, Any] = {}
    for key in present:
        if key == "max" and metric.is_latency:
            values[key] = problems.duration_us(table[key], where, key)
        else:
            low = 1e-9 if key.endswith("ratio") else 0
            values[key] = problems.number(table[key], where, key, low=low)
    return values


def _latency_keys(
    table: dict[str, Any], metric: Metric, where: str, problems: Problems
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "captured" in table:
        values["captured"] = problems.choose(table["captured"], ("cap", "allow"), where, "captured")
    if not metric.is_latency:
        return values
    values["stat"] = problems.choose(table.get("stat"), QUANTILES, where, "stat")
    if "min_samples" in table:
        least = problems.number(table["min_samples"], where, "min_samples", low=1)
        values["min_samples"] = None if least is None else int(least)
    if "where" in table:
        values["where"] = _where(table["where"], where, problems)
    if "for_each" in table:
        values |= _family(table, where, problems)
    return values


def _where(value: object, where: str, problems: Problems) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        problems.add(where, '`where` must be a table of texts such as { kind = "select" }')
        return {}
    problems.check_keys(value, {"kind", "template"}, f"{where} where")
    return cast("dict[str, str]", value)


def _family(table: dict[str, Any], where: str, problems: Problems) -> dict[str, Any]:
    values: dict[str, Any] = {
        "for_each": problems.choose(table["for_each"], ("template",), where, "for_each")
    }
    if table.get("stat") not in ("p50", "p95"):
        problems.add(where, "a gate for each template needs `stat` p50 or p95")
    if "max_ratio" not in table or "min_harm" not in table:
        problems.add(where, "a gate for each template needs both `max_ratio` and `min_harm`")
    else:
        values["min_harm_us"] = problems.duration_us(table["min_harm"], where, "min_harm")
    if "correction" in table:
        values["correction"] = problems.choose(
            table["correction"], ("bh", "holm"), where, "correction"
        )
    for key in ("q", "max_unevaluated_share"):
        if key in table:
            values[key] = problems.number(table[key], where, key, high=1)
    return values


def _waiver(table: dict[str, Any], where: str, ids: list[str], problems: Problems) -> Waiver | None:
    before = len(problems.found)
    problems.check_keys(table, {"gate", "template", "until", "reason"}, where)
    gate = problems.choose(table.get("gate"), ids, where, "gate")
    until = table.get("until")
    if not isinstance(until, datetime.date) or isinstance(until, datetime.datetime):
        problems.add(where, f"`until` must be a date such as 2027-01-31, not `{until}`")
    if not table.get("reason"):
        problems.add(where, "needs a `reason`")
    if len(problems.found) > before or gate is None:
        return None
    return Waiver(
        gate=gate,
        template=table.get("template"),
        until=cast("datetime.date", until),
        reason=str(table["reason"]),
    )
