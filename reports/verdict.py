"""The verdict: one word, one sentence with the deciding numbers, and everything behind it.

`verdict.json` is this object; every page, table and exit code is a view of it. Nothing in it
comes from the clock, so the same run and gates give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import replay
from replay.errors import ExitCode
from reports import format as fmt
from reports.case import Case
from reports.checksums import changed, in_one
from reports.compare import Line, TemplateLine, word_of
from reports.drift import resumptions
from reports.gates import Gates, Severity
from reports.inside import CACHE_FLATTERS
from reports.judge.result import GateResult, Outcome
from reports.load import SESSION_KINDS
from reports.stats.estimate import Word
from reports.users import compare_users

SCHEMA_VERSION = 1
_FORCED = "1.0 and 2.0 replayed different workloads, compared by force"
_IMITATION = "2.0 was an imitation of Redshift on PostgreSQL: its times are not Redshift's"


class Answer(StrEnum):
    """The four answers."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision with its document, the content of verdict.json."""

    verdict: Answer
    reason: str
    gates: tuple[GateResult, ...]
    document: Mapping[str, Any]

    def as_json(self) -> Mapping[str, Any]:
        """The content of verdict.json."""
        return self.document

    @property
    def exit_code(self) -> ExitCode:
        """What the verb exits with."""
        known = {Answer.GO: ExitCode.DONE, Answer.NO_GO: ExitCode.NO_GO}
        return known.get(self.verdict, ExitCode.UNDECIDED)


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


def give_verdict(
    case: Case,
    gates: Gates,
    results: Sequence[GateResult],
    *,
    evidence: Mapping[str, str],
    command: Sequence[str],
) -> Verdict:
    """Decide, and gather the document.

    `evidence` is that of `reports.checksums`, `command` what makes this report again.
    """
    decision, reason = decide(results)
    # In the sentence itself: whoever shows anything of a verdict shows that.
    if any(run.document["target"].get("imitation") for run in case.candidate.evidence.runs):
        reason = f"{reason}; {_IMITATION}"
    if case.forced:
        reason = f"{reason}; {_FORCED}"
    document = _document(case, gates, results, decision, reason)
    document["provenance"] |= {"evidence": dict(evidence), "evidence_sha256": in_one(evidence)}
    document["provenance"]["command"] = list(command)
    document["warnings"] += [
        f"`{name}` is not the file that the run wrote: its checksum is another"
        for name in changed(case.evidence, evidence)
    ]
    return Verdict(verdict=decision, reason=reason, gates=tuple(results), document=document)


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
    """Names the ratio closest to its limit and the errors, the two a reader asks for first."""
    ratios = [r for r in gates if r.unit == "ratio" and r.stat]
    shown = sorted(ratios, key=lambda r: (r.observed or 0) / (r.limit or 1))[-1:]
    shown += [r for r in gates if r.metric.startswith("errors.")][:1]
    closest = "; ".join(f"{result.id}: {result.reason}" for result in shown or gates[:1])
    passed = fmt.plural(len(gates), "blocking gate passes", "blocking gates pass")
    return f"{passed}; {closest}{_asides(results)}"


def _asides(results: Sequence[GateResult]) -> str:
    open_ = [r for r in results if r.waived is None and r.verdict is not Outcome.PASS]
    warnings = sum(result.severity is Severity.WARN for result in open_)
    waivers = sum(result.waived is not None for result in results)
    counted = ((warnings, "warning"), (waivers, "waiver"))
    parts = [fmt.plural(number, what) for number, what in counted if number]
    return f" (with {' and '.join(parts)})" if parts else ""


def _document(
    case: Case, gates: Gates, results: Sequence[GateResult], decision: Answer, reason: str
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": str(decision),
        "reason": reason,
        "gates": [_plain(asdict(result)) for result in results],
        "fidelity": asdict(case.candidate.fidelity),
        "headline": [_headline(line) for line in (*case.overall.values(), case.throughput)],
        "templates": [_template(line) for line in case.templates],
        "evaluated": _evaluated(case.templates),
        "users": compare_users(case),
        "errors": _plain(asdict(case.errors)),
        "noise_floor": case.noise,
        "correctness": _plain(asdict(case.correctness)),
        "server": case.server,
        "ingest": case.ingest,
        "drift": case.drift,
        "cost": _plain(case.cost.as_json()),
        "ledger": case.candidate.ledger.as_json(),
        "warnings": list(_warnings(case)),
        "provenance": _provenance(case, gates),
    }


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in document.items()}


def _headline(line: Line) -> dict[str, Any]:
    arms = {"baseline": line.baseline, "candidate": line.candidate}
    said = [note for estimate in (*arms.values(), line.ratio) for note in estimate.warnings]
    one, two = line.baseline.value, line.candidate.value
    return {
        "stat": line.stat,
        "unit": line.unit,
        **{name: estimate.value for name, estimate in arms.items()},
        "difference": None if one is None or two is None else two - one,
        "ratio": line.ratio.value,
        "interval": line.bounds,
        "n": {name: estimate.n for name, estimate in arms.items()},
        "load": line.load,
        "word": str(line.word),
        "warnings": list(dict.fromkeys(said)),
    }


def _template(template: TemplateLine) -> dict[str, Any]:
    return {
        **asdict(template.template),
        "executions": template.executions,
        "share": template.share,
        "n": template.lines["p50"].ratio.n,
        "stats": {stat: line.as_json() for stat, line in template.lines.items()},
        "word": str(word_of(template.lines)),
        "impact_s": template.impact_s,
        "new_errors": template.new_errors,
    }


def _evaluated(templates: Sequence[TemplateLine]) -> dict[str, Any]:
    """How many templates got a word, and the share of executions of those that did not."""
    words = [word_of(template.lines) for template in templates]
    counts = {str(word).replace(" ", "_"): words.count(word) for word in Word}
    unknown = zip(templates, words, strict=True)
    share = sum(template.share for template, word in unknown if word is Word.CANNOT_TELL)
    return {"templates": len(words), **counts, "cannot_tell_share": share}


def _warnings(case: Case) -> Iterator[str]:
    arms, evidence = case.arms, case.candidate.evidence
    if case.forced:
        yield _FORCED
    if len(arms.candidate_all) and not len(arms.baseline):
        yield "1.0 left no durations: nothing to compare with"
    elif arms.captured:
        yield (
            "the baseline is 1.0's production timings: other load, other hardware, and the "
            "server's own clock instead of the client's"
        )
    for gap in resumptions(evidence.document):
        yield (
            f"the run was {gap['ended_by']} at {fmt.clock(gap['at_us'])} and gone on with after "
            f"{fmt.duration(gap['wait_us'])} in which nothing was asked"
        )
    fewest, wanted = min(len(side.runs) for side in case.sides), case.decision.min_runs
    if fewest < wanted:
        runs = "single run" if fewest == 1 else f"{fewest} runs"
        yield f"{runs} a side, {wanted} wanted: how much runs differ is hardly known"
    if not fmt.is_same(case.throughput.load):
        yield (
            f"2.0 was asked for {fmt.ratio(case.throughput.load)} the load of 1.0: what it takes "
            "longer may be the load's doing"
        )
    if arms.warmed_up:
        yield (
            f"{fmt.plural(arms.warmed_up, 'sample')} due in the first "
            f"{fmt.duration(case.decision.warm_up_us)} left out of latencies as warm-up"
        )
    if arms.blocks.warning:
        yield arms.blocks.warning
    left_out = len(arms.candidate_all) - len(arms.candidate)
    if left_out:
        yield (
            f"{fmt.plural(left_out, 'sample')} left out of the comparison: "
            "1.0 failed the statement or logged no duration"
        )
    steering = int((~evidence.asks_data()).sum())
    if steering:
        kinds = ", ".join(sorted(SESSION_KINDS))
        yield f"{fmt.plural(steering, 'statement')} of kinds {kinds} not in latencies"
    if evidence.workload is None:
        yield "the workload is gone or has changed: templates are shown by id only"
    if case.candidate.ledger.timeout:
        timeouts = fmt.plural(case.candidate.ledger.timeout, "timeout")
        yield f"{timeouts} counted with the time they had lasted"
    failure = (case.ingest or {}).get("failure")
    if failure:
        yield f"the background writer failed: {failure}"
    for failure in (case.server or {}).get("failures", ()):
        remedy = f"; {failure['hint']}" if failure["hint"] else ""
        yield f"not known from the server: {failure['what']}: {failure['why']}{remedy}"
    cached = (case.server or {}).get("result_cache_share") or 0
    if cached > CACHE_FLATTERS:
        yield (
            f"{fmt.share(cached)} of statements were answered by the result cache, which flatters "
            "2.0: replay with --result-cache off"
        )


def _provenance(case: Case, gates: Gates) -> dict[str, Any]:
    evidence = case.candidate.evidence
    workload = evidence.workload
    return {
        "tool_version": replay.__version__,
        "baseline": case.arms.baseline.name,
        "candidate": evidence.run.run_id,
        "runs": {
            name: {key: evidence.document.get(key) for key in _RUN_FACTS}
            for name, evidence in case.evidence.items()
        },
        "workload": {
            **evidence.document["workload"],
            "window": None if workload is None else workload.manifest.get("window"),
            "statements": None if workload is None else len(workload),
            "redaction": None if workload is None else workload.manifest.get("redaction"),
        },
        "gates": gates.source,
        "decision": asdict(gates.decision),
        "blocks": {"number": case.arms.blocks.number, "length_us": case.arms.blocks.length_us},
    }


_RUN_FACTS = (
    "run_id", "tool_version", "versions", "target", "dials", "started_at", "ended_at",
    "ended_by", "timetable", "command",
)  # fmt: skip
