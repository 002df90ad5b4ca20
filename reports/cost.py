"""What each place costs: per month and per 1,000 statements at the captured rate.

From list prices in `prices.toml` and the `[cost]` section of a fourstep.toml. What nobody stated
is `not stated`; nothing is guessed from the run.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.load import Evidence
from reports.problems import Problems, read_toml

HOURS_PER_MONTH = 730
"""A twelfth of a year of 8,760 hours."""

_KEYS = {
    "node_type", "nodes", "hours_per_month", "rpu", "rpu_hours_per_month", "storage_gb",
    "baseline_monthly", "baseline_note", "baseline_instance_type", "baseline_instances",
    "statements_per_month",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPart:
    """One addend of a month: its formula in words and numbers, and the price's source."""

    arm: str
    name: str
    monthly: float
    formula: str
    source: str
    date: str
    unverified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Monthly cost in USD of both arms; None where it was not stated.

    `reason` says why a comparison is missing.
    """

    baseline_monthly: float | None = None
    candidate_monthly: float | None = None
    statements_per_month: float | None = None
    volume_formula: str = ""
    parts: tuple[CostPart, ...] = ()
    reason: str | None = None
    price_date: str = ""
    region: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def baseline_per_1000(self) -> float | None:
        """USD per 1,000 statements on 1.0."""
        return _per_1000(self.baseline_monthly, self.statements_per_month)

    @property
    def candidate_per_1000(self) -> float | None:
        """USD per 1,000 statements on 2.0."""
        return _per_1000(self.candidate_monthly, self.statements_per_month)

    @property
    def ratio(self) -> float | None:
        """Candidate over baseline; the same per month and per 1,000 statements."""
        if self.candidate_monthly is None or not self.baseline_monthly:
            return None
        return self.candidate_monthly / self.baseline_monthly

    def as_json(self) -> dict[str, Any]:
        """The `cost` object of verdict.json."""
        return {
            "stated": self.candidate_monthly is not None or self.baseline_monthly is not None,
            "reason": self.reason,
            "currency": "USD",
            "monthly": {"baseline": self.baseline_monthly, "candidate": self.candidate_monthly},
            "per_1000": {"baseline": self.baseline_per_1000, "candidate": self.candidate_per_1000},
            "ratio": self.ratio,
            "statements_per_month": self.statements_per_month,
            "volume_formula": self.volume_formula,
            "parts": [asdict(part) for part in self.parts],
            "price_date": self.price_date,
            "region": self.region,
            "warnings": list(self.warnings),
        }


def estimate_cost(evidence: Evidence, config: Path | None) -> Cost:
    """Read `[cost]` of `config` and price it.

    Raises:
        UsageError: the file is not TOML, or its `[cost]` section has problems; lists all.
    """
    section = read_toml(config).get("cost") if config is not None else None
    if config is None or section is None:
        return Cost(reason="not stated: no [cost] section in the configuration")
    prices = load_prices()
    problems = Problems(config)
    parts: list[CostPart] = []
    if not isinstance(section, dict):
        problems.add("cost", "must be a table")
        section = {}
    problems.check_keys(section, _KEYS, "[cost]")
    numbers = _numbers(section, problems)
    parts += _baseline_parts(section, numbers, prices, problems)
    parts += _candidate_parts(section, numbers, prices, problems)
    problems.settle(hint="see the section on cost in docs/gates.md")
    volume, formula = _volume(evidence, numbers.get("statements_per_month"))
    return _total(parts, volume, formula, prices)


def load_prices() -> dict[str, Any]:
    """The price table that ships with the package."""
    text = importlib.resources.files("reports").joinpath("prices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _numbers(section: dict[str, Any], problems: Problems) -> dict[str, float]:
    texts = {"node_type", "baseline_note", "baseline_instance_type"}
    out = {}
    for key in sorted(_KEYS - texts):
        if key in section:
            value = problems.number(section[key], "[cost]", key)
            if value is not None:
                out[key] = value
    return out


def _candidate_parts(
    section: dict[str, Any], numbers: dict[str, float], prices: dict[str, Any], problems: Problems
) -> list[CostPart]:
    provisioned = "node_type" in section or "nodes" in section
    serverless = "rpu" in section or "rpu_hours_per_month" in section
    if provisioned and serverless:
        problems.add("[cost]", "states both nodes and RPUs: a place is one or the other")
        return []
    hours = numbers.get("hours_per_month", float(HOURS_PER_MONTH))
    parts = []
    if provisioned:
        table = prices["redshift_node_hour"]
        kind = problems.choose(section.get("node_type"), table, "[cost]", "node_type")
        if "nodes" not in section:
            problems.add("[cost]", "`node_type` needs `nodes`")
        if kind is not None:
            parts.append(
                _part("candidate", f"{kind} nodes", table[kind], "h",
                      (numbers.get("nodes", 0), "nodes"), (hours, "h"))
            )  # fmt: skip
    elif serverless:
        entry = prices["redshift_rpu_hour"]["serverless"]
        stated = numbers.get("rpu_hours_per_month")
        factors = (
            [(stated, "RPU-hours")]
            if stated is not None
            else [(numbers.get("rpu", 0), "RPU"), (hours, "h")]
        )
        parts.append(_part("candidate", "serverless compute", entry, "RPU-hour", *factors))
    if "storage_gb" in numbers and parts:
        entry = prices["redshift_storage_gb_month"]["managed"]
        parts.append(
            _part("candidate", "managed storage", entry, "GB-month", (numbers["storage_gb"], "GB"))
        )
    return parts


def _baseline_parts(
    section: dict[str, Any], numbers: dict[str, float], prices: dict[str, Any], problems: Problems
) -> list[CostPart]:
    if "baseline_monthly" in numbers:
        note = str(section.get("baseline_note", "no note given"))
        return [
            CostPart(
                arm="baseline", name="as stated", monthly=numbers["baseline_monthly"],
                formula=note, source="configuration", date="", unverified=False,
            )
        ]  # fmt: skip
    if "baseline_instance_type" not in section:
        return []
    table = prices["ec2_instance_hour"]
    kind = problems.choose(
        section["baseline_instance_type"], table, "[cost]", "baseline_instance_type"
    )
    if kind is None:
        return []
    number = numbers.get("baseline_instances", 1)
    return [
        _part("baseline", f"{kind} instances", table[kind], "h",
              (number, "instances"), (float(HOURS_PER_MONTH), "h"))
    ]  # fmt: skip


def _part(
    arm: str, name: str, entry: dict[str, Any], unit: str, *factors: tuple[float, str]
) -> CostPart:
    monthly = float(entry["usd"])
    for value, _ in factors:
        monthly *= value
    words = " × ".join(f"{value:g} {what}" for value, what in factors)
    return CostPart(
        arm=arm,
        name=name,
        monthly=monthly,
        formula=f"{words} × USD {entry['usd']:g} per {unit}",
        source=str(entry["source"]),
        date=str(entry["date"]),
        unverified=bool(entry.get("unverified", False)),
    )


def _volume(evidence: Evidence, stated: float | None) -> tuple[float | None, str]:
    """Statements of a month at the captured rate, and how that was reckoned."""
    if stated:
        return stated, f"{stated:,.0f} statements a month, as stated"
    statements, seconds = _captured(evidence)
    if statements == 0 or seconds <= 0:
        return None, "the captured rate is not known"
    monthly = statements / seconds * 3600 * HOURS_PER_MONTH
    formula = (
        f"{statements:,} statements captured in {seconds:,.0f} s × {HOURS_PER_MONTH} h a month"
        f" = {monthly:,.0f} statements a month"
    )
    return monthly, formula


def _captured(evidence: Evidence) -> tuple[int, float]:
    if evidence.workload is not None:
        window = evidence.workload.manifest.get("window") or {}
        if window.get("from") and window.get("to"):
            first, last = (datetime.fromisoformat(window[end]) for end in ("from", "to"))
            return len(evidence.workload), (last - first).total_seconds()
    dials = evidence.document.get("dials") or {}
    statements = evidence.run.planned / float(dials.get("scale") or 1)
    return round(statements), evidence.length_us / 1e6 * float(dials.get("speed") or 1)


def _total(
    parts: list[CostPart], volume: float | None, formula: str, prices: dict[str, Any]
) -> Cost:
    sums = {
        arm: sum(part.monthly for part in parts if part.arm == arm) if any(
            part.arm == arm for part in parts
        ) else None
        for arm in ("baseline", "candidate")
    }  # fmt: skip
    missing = [
        words
        for arm, words in (("baseline", "the cost of 1.0"), ("candidate", "the size of 2.0"))
        if sums[arm] is None
    ]
    unverified = [part.name for part in parts if part.unverified]
    return Cost(
        baseline_monthly=sums["baseline"],
        candidate_monthly=sums["candidate"],
        statements_per_month=volume,
        volume_formula=formula,
        parts=tuple(parts),
        reason=f"not stated: {' and '.join(missing)}" if missing else None,
        price_date=str(prices["date"]),
        region=str(prices["region"]),
        warnings=tuple(f"the price of {name} is unverified" for name in unverified),
    )


def _per_1000(monthly: float | None, statements: float | None) -> float | None:
    return None if monthly is None or not statements else monthly / statements * 1000
