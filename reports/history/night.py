"""A night: what is kept of one run's verdict, and under which conditions it was run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from replay.errors import Unreadable
from replay.moment import moment_of
from reports.cost.place import place_of_target

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of each night. `least` is the difference, in its unit, that may matter at all."""

    name: str
    title: str
    unit: str
    least: float = 0
    more_is_worse: bool = True
    judged: bool = True


METRICS = (
    Metric(name="p50_us", title="p50", unit="us", least=1_000),
    Metric(name="p95_us", title="p95", unit="us", least=1_000),
    Metric(name="p99_us", title="p99", unit="us", least=1_000),
    Metric(name="p95_ratio", title="p95 to 1.0", unit="ratio", least=0.05),
    Metric(name="error_share", title="errors", unit="share", least=0.001),
    Metric(name="throughput_per_s", title="throughput", unit="per_s", least=0, more_is_worse=False),
    Metric(name="cost_per_1000", title="cost per 1,000", unit="usd"),
    Metric(name="drift", title="drift", unit="share", least=0.05),
    # Ours, not the target's: shown beside the others, no regression of 2.0.
    Metric(name="lag_p99_us", title="tool lag p99", unit="us", judged=False),
)

SCHEMA = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("run_id", pa.string()),
        ("started_at", pa.timestamp("us", "UTC")),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("workload", pa.string()),
        ("key", pa.map_(pa.string(), pa.string())),
        *((metric.name, pa.float64()) for metric in METRICS),
    ]
)
"""Of a night's file, which has one row. `key` are the conditions; `workload` is only a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One run. `values` has every metric, None where it is not known; `started_at` is in UTC."""

    run_id: str
    started_at: datetime
    verdict: str
    reason: str
    workload: str
    key: Mapping[str, str]
    values: Mapping[str, float | None]

    @property
    def file(self) -> str:
        """The name of its file, whoever writes it; in order of time."""
        return f"{self.started_at:%Y%m%dT%H%M%S%fZ}-{self.run_id}.parquet"

    @property
    def measured(self) -> bool:
        """False where nothing was answered, or the harness itself spoilt the figures."""
        return self.verdict != "INVALID" and self.values["p50_us"] is not None

    def as_table(self) -> pa.Table:
        """The one row of its file."""
        named = {name: getattr(self, name) for name in SCHEMA.names[1:6]}
        row = {"schema_version": SCHEMA_VERSION, **named, "key": list(self.key.items())}
        return pa.Table.from_pylist([row | dict(self.values)], schema=SCHEMA)

    def as_json(self) -> dict[str, Any]:
        """A night of `history --json`; its moment is ISO 8601."""
        moment = self.started_at.isoformat().replace("+00:00", "Z")
        told = {name: getattr(self, name) for name in ("run_id", "verdict", "reason", "values")}
        return told | {"started_at": moment}

    @classmethod
    def from_table(cls, table: pa.Table) -> Night:
        """The inverse; a metric of a later version is left out, one of an earlier is None.

        Raises:
            ValueError: it is no night, or of a later schema.
        """
        (row,) = table.to_pylist()
        if row.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"of schema {row.get('schema_version')}, not {SCHEMA_VERSION}")
        missing = [name for name in SCHEMA.names[1:7] if row.get(name) is None]
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
        values = {metric.name: row.get(metric.name) for metric in METRICS}
        known = {name: row[name] for name in SCHEMA.names[1:6]}
        known["started_at"] = known["started_at"].astimezone(UTC)
        return cls(**known, key=dict(row["key"]), values=values)

    @classmethod
    def from_verdict(cls, document: Mapping[str, Any]) -> Night:
        """What is kept of a verdict.json; moments of whatever zone become UTC.

        Raises:
            Unreadable: it is none, or of a version that told less.
        """
        try:
            run = document["provenance"]["runs"]["candidate"]
            workload = document["provenance"]["workload"]
            return cls(
                run_id=_checked(run["run_id"]),
                started_at=moment_of(run["started_at"]).astimezone(UTC),
                verdict=document["verdict"],
                reason=document["reason"],
                workload=workload["uri"],
                key=_key(document["provenance"]["baseline"], workload, run),
                values=_values(document),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(
                f"verdict.json lacks what a history needs: {error}",
                hint="judge the run again with `fourstep report`",
            ) from error


def _checked(run_id: str) -> str:
    if not run_id or set(run_id) & set("/\\\0") or run_id.startswith("."):
        raise ValueError(f"run_id {run_id!r}")
    return run_id


def _key(baseline: str, workload: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, str]:
    """The conditions under which nights can be compared, by their names in words."""
    target, dials = run["target"], run["dials"]
    size = place_of_target(target)
    told = {
        "workload": workload["sha256"],
        "target": target["kind"],
        "host": target.get("host"),
        "database": target.get("database"),
        "size": size.name if size.sized else None,
        "target version": target.get("redshift_version") or target.get("server_version"),
        "fourstep version": run["tool_version"],
        "baseline": "1.0's log" if baseline == "captured" else "a run on 1.0",
        **dials,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in told.items()
        if value is not None
    }


def _values(document: Mapping[str, Any]) -> dict[str, float | None]:
    lines = {line["stat"]: line for line in document["headline"]}
    ledger, cost = document["ledger"], document["cost"]
    # Of a long run only.
    drift = (document.get("drift") or {}).get("series", {}).get("p95", {})
    failed = ledger["error"] + ledger["timeout"]
    found = {
        **{f"{stat}_us": lines[stat]["candidate"] for stat in ("p50", "p95", "p99")},
        "p95_ratio": lines["p95"]["ratio"],
        "error_share": failed / max(ledger["planned"], 1),
        "throughput_per_s": lines["throughput"]["candidate"],
        "cost_per_1000": cost["per_1000"]["candidate"] if cost["stated"] else None,
        "drift": drift.get("drift"),
        "lag_p99_us": document["fidelity"]["lag_p99_us"],
    }
    return {name: None if value is None else float(value) for name, value in found.items()}
