"""The verdict: one word, one sentence with the deciding numbers, and everything behind it.

`verdict.json` is this object; every page, table and exit code is a view of it. Nothing in it
comes from the clock, so the same run and gates give the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import replay
from replay.errors import ExitCode
from reports import format as fmt
from reports.arms import CAPTURED
from reports.case import Case
from reports.compare import Line, TemplateLine
from reports.gates import Gates, Severity
from reports.judge.result import GateResult, Outcome
from reports.load import SESSION_KINDS
from reports.stats.estimate import Estimate, Word

SCHEMA_VERSION = 1


class Answer(StrEnum):
    """The four answers."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


_EXIT = {
    Answer.GO: ExitCode.DONE,
    Answer.NO_GO: ExitCode.NO_GO,
    Answer.INCONCLUSIVE: ExitCode.UNDECIDED,
    Answer.INVALID: ExitCode.UNDECIDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision with its document, the content of verdict.json."""

    verdict: Answer
    reason: str
    gates: tuple[GateResult, ...]
    document: Mapping[str, Any]
    on_inconclusive: str = "fail"

    def as_json(self) -> Mapping[str, Any]:
        """The content of verdict.json."""
        return self.document

    @property
    def exit_code(self) -> ExitCode:
        """What the verb exits with; `on_inconclusive = "warn"` lets INCONCLUSIVE exit 0."""
        if self.verdict is Answer.INCONCLUSIVE and self.on_inconclusive == "warn":
            return ExitCode.DONE
        return _EXIT[self.verdict]


def decide(results: Sequence[GateResult]) -> tuple[Answer, str]:
    """The order of decision, over blocking gates that no waiver lifts.

    Any fails: NO-GO. Else any is invalid: INVALID. Else any is inconclusive: INCONCLUSIVE.
    Else GO. Nothing to decide by is INCONCLUSIVE. The sentence names the deciding gate.
    """
    blocking = [result for result in results if result.blocking]
    for outcome, decision in (
        (Outcome.FAIL, Answer.NO_GO),
        (Outcome.INVALID, Answer.INVALID),
        (Outcome.INCONCLUSIVE, Answer.INCONCLUSIVE),
    ):
        chosen = [result for result in blocking if result.verdict is outcome]
        if chosen:
            return decision, _sentence(chosen, results)
    gates = [result for result in blocking if not _is_validity(result)]
    if not gates:
        return Answer.INCONCLUSIVE, "no gate blocks, so nothing was decided"
    return Answer.GO, _sentence_of_go(gates, results)


def give_verdict(case: Case, gates: Gates, results: Sequence[GateResult]) -> Verdict:
    """Decide, and gather the document."""
    decision, reason = decide(results)
    return Verdict(
        verdict=decision,
        reason=reason,
        gates=tuple(results),
        document=_document(case, gates, results, decision, reason),
        on_inconclusive=gates.decision.on_inconclusive,
    )


def _is_validity(result: GateResult) -> bool:
    return result.id.startswith("validity.")


def _sentence(chosen: Sequence[GateResult], results: Sequence[GateResult]) -> str:
    first = chosen[0]
    text = f"{first.id}: {first.reason}"
    # An invalid run invalidates gates by the dozen; only causes are worth counting.
    others = [r for r in chosen[1:] if first.verdict is not Outcome.INVALID or _is_validity(r)]
    if others:
        text += f"; and {fmt.plural(len(others), 'more gate')}: {', '.join(r.id for r in others)}"
    return text + _asides(results)


def _sentence_of_go(gates: Sequence[GateResult], results: Sequence[GateResult]) -> str:
    ratios = [r for r in gates if r.unit == "ratio" and r.observed is not None and r.stat]
    shown = sorted(ratios, key=lambda r: (r.observed or 0) / (r.limit or 1), reverse=True)[:1]
    shown += [r for r in gates if r.metric.startswith("errors.")][:1]
    shown = shown or list(gates[:1])
    closest = "; ".join(f"{result.id}: {result.reason}" for result in shown)
    return f"{fmt.plural(len(gates), 'blocking gate passes', 'blocking gates pass')}; {closest}" + (
        _asides(results)
    )


def _asides(results: Sequence[GateResult]) -> str:
    warnings = sum(
        result.severity is Severity.WARN
        and result.waived is None
        and result.verdict is not Outcome.PASS
        for result in results
    )
    waivers = sum(result.waived is not None for result in results)
    parts = []
    if warnings:
        parts.append(fmt.plural(warnings, "warning"))
    if waivers:
        parts.append(fmt.plural(waivers, "waiver"))
    return f" (with {' and '.join(parts)})" if parts else ""


def _document(
    case: Case,
    gates: Gates,
    results: Sequence[GateResult],
    decision: Answer,
    reason: str,
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": str(decision),
        "reason": reason,
        "gates": [result.as_json() for result in results],
        "fidelity": case.fidelity.as_json(),
        "headline": [_headline(line) for line in (*case.overall, case.throughput)],
        "templates": [_template(line) for line in case.templates],
        "errors": case.errors.as_json(),
        "correctness": {"checked": False, "reason": "answers were not compared"},
        "cost": case.cost.as_json(),
        "ledger": case.ledger.as_json(),
        "warnings": list(_warnings(case)),
        "provenance": _provenance(case, gates),
    }


def _headline(line: Line) -> dict[str, Any]:
    return {
        "stat": line.stat,
        "unit": line.unit,
        "baseline": line.baseline.value,
        "candidate": line.candidate.value,
        "baseline_interval": _bounds(line.baseline),
        "candidate_interval": _bounds(line.candidate),
        "ratio": line.ratio.value,
        "interval": _bounds(line.ratio),
        "n": {"baseline": line.baseline.n, "candidate": line.candidate.n},
        "word": str(line.word),
        "method": line.ratio.method,
        "warnings": list(
            dict.fromkeys((*line.baseline.warnings, *line.candidate.warnings, *line.ratio.warnings))
        ),
    }


def _template(template: TemplateLine) -> dict[str, Any]:
    p50, p95 = template.lines["p50"], template.lines["p95"]
    return {
        "template_id": template.template_id,
        "kind": template.kind,
        "sql": template.sql,
        "executions": template.executions,
        "share": template.share,
        "n": p50.ratio.n,
        "stats": {
            stat: {
                "baseline_us": line.baseline.value,
                "candidate_us": line.candidate.value,
                "ratio": line.ratio.value,
                "interval": _bounds(line.ratio),
                "word": str(line.word),
            }
            for stat, line in template.lines.items()
        },
        "word": str(p95.word if p95.word is not Word.CANNOT_TELL else p50.word),
        "impact_s": template.impact_s,
        "new_errors": template.new_errors,
    }


def _bounds(estimate: Estimate) -> list[float | None] | None:
    return None if estimate.interval is None else list(estimate.interval)


def _warnings(case: Case) -> list[str]:
    arms = case.response
    left_out = int((~case.candidate.asks_data()).sum())
    found = []
    if arms.baseline is None:
        found.append("1.0 left no durations: nothing to compare with")
    elif arms.captured:
        found.append(
            "the baseline is 1.0's production timings: other load, other hardware, and the "
            "server's own clock instead of the client's"
        )
    found.append("one run on each side: differences between runs are not measured")
    if arms.blocks.warning:
        found.append(arms.blocks.warning)
    if arms.left_out:
        found.append(
            f"{fmt.plural(arms.left_out, 'sample')} left out of the comparison: "
            "1.0 failed the statement or logged no duration"
        )
    if left_out:
        kinds = ", ".join(sorted(SESSION_KINDS))
        found.append(f"{fmt.plural(left_out, 'statement')} of kinds {kinds} not in latencies")
    if case.candidate.workload is None:
        found.append("the workload is gone or has changed: templates are shown by id only")
    timeouts = int((case.candidate.is_status("timeout")).sum())
    if timeouts:
        found.append(f"{fmt.plural(timeouts, 'timeout')} counted with the time they had lasted")
    return found


def _provenance(case: Case, gates: Gates) -> dict[str, Any]:
    arms = case.response
    documents = {"candidate": case.candidate.document}
    if case.baseline is not None:
        documents["baseline"] = case.baseline.document
    workload = case.candidate.workload
    return {
        "tool_version": replay.__version__,
        "baseline": CAPTURED if case.baseline is None else case.baseline.run.run_id,
        "candidate": case.candidate.run.run_id,
        "runs": {arm: _run_facts(document) for arm, document in documents.items()},
        "workload": {
            **dict(case.candidate.document.get("workload") or {}),
            "window": None if workload is None else workload.manifest.get("window"),
            "statements": None if workload is None else len(workload),
            "redaction": None if workload is None else workload.manifest.get("redaction"),
        },
        "gates": gates.source,
        "decision": dataclasses.asdict(gates.decision),
        "blocks": {"number": arms.blocks.number, "length_us": arms.blocks.length_us},
    }


def _run_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    keys = (
        "run_id", "tool_version", "versions", "target", "dials", "started_at", "ended_at",
        "ended_by", "window_us", "timetable",
    )  # fmt: skip
    return {key: document.get(key) for key in keys}
