"""Several runs on different sizes: what each costs against how fast it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.case import build_case
from reports.cost.estimate import estimate_cost
from reports.cost.place import place_of_target
from reports.cost.prices import Ask
from reports.gates import load_gates
from reports.judge.judge import judge
from reports.load import load
from reports.verdict import Answer, decide


def compare_runs(
    runs: Sequence[Path], config: Path | None, gates: Path | None, *, ask: Ask | None
) -> list[dict[str, Any]]:
    """One row a run, the cheapest first; `cheapest` marks the first that is a GO by the gates.

    Each is priced at the size it ran on, against the durations of 1.0's log.

    Raises:
        UsageError: gates or configuration have problems.
        Unreadable: a run cannot be read.
    """
    rules, rows = load_gates(gates), []
    for path in runs:
        evidence = load(path)
        cost = estimate_cost(evidence, config, ask=ask, as_run=True)
        case = build_case(evidence, None, decision=rules.decision, cost=cost)
        verdict, reason = decide(judge(case, rules))
        ran_on = place_of_target(evidence.document.get("target") or {})
        rows.append(
            {
                "run": evidence.run.run_id,
                "place": ran_on.name if ran_on.sized else "size not stated by the run",
                "monthly": cost.monthly("candidate"),
                "per_1000": cost.as_json()["per_1000"]["candidate"],
                "p95_us": case.overall["p95"].candidate.value,
                "verdict": str(verdict),
                "reason": reason,
                "not_priced": cost.reason if cost.monthly("candidate") is None else None,
                "cheapest": False,
            }
        )
    rows.sort(key=lambda row: (row["monthly"] is None, row["monthly"] or 0))
    for row in rows:
        if row["verdict"] == Answer.GO and row["monthly"] is not None:
            row["cheapest"] = True
            break
    return rows
