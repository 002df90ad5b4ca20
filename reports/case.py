"""Everything the gates and the pages look at, computed once from the evidence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from replay.run import Ledger
from reports.arms import Arms, build_arms
from reports.compare import (
    QUANTILES,
    Decision,
    Line,
    Resampler,
    TemplateLine,
    compare_quantiles,
    compare_templates,
    compare_throughput,
)
from reports.correctness import Correctness, compare_answers
from reports.cost import Cost
from reports.drift import measure_drift
from reports.errors import Errors, new_errors_by_template, split_errors
from reports.fidelity import Fidelity, measure_fidelity
from reports.ingest import ingest_figures
from reports.inside import inside_figures
from reports.load import Evidence, other_workload
from reports.noise import noise_floor


@dataclass(frozen=True, kw_only=True)
class Side:
    """A run with its ledger, counted, and how well it was replayed.

    Or several, in `parts`, and how well the worst of them was.
    """

    evidence: Evidence
    ledger: Ledger
    fidelity: Fidelity
    parts: tuple[Side, ...] = ()

    @property
    def runs(self) -> tuple[Side, ...]:
        """Each run alone."""
        return self.parts or (self,)


@dataclass(frozen=True, kw_only=True)
class Case:
    """The candidate's runs, what they are compared with, and what was found.

    `baseline` None means the durations 1.0's log gives. `overall` is by stat.
    """

    candidate: Side
    baseline: Side | None
    decision: Decision
    cost: Cost
    arms: Arms
    resampler: Resampler
    overall: dict[str, Line]
    throughput: Line
    templates: tuple[TemplateLine, ...]
    errors: Errors
    correctness: Correctness
    ingest: dict[str, Any] | None
    """How the background writer fared, see `reports.ingest`."""
    server: dict[str, Any] | None
    """What the server said of the run, or of that which its result cache served most."""
    noise: list[dict[str, Any]]
    """How much runs of one side differ, see `reports.noise`."""
    drift: dict[str, Any] | None
    """How a long run changed while it went on, see `reports.drift`; None of several."""
    forced: bool
    """True where the baseline run replayed another workload."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The candidate, and the baseline where it is a run."""
        return (self.candidate,) if self.baseline is None else (self.candidate, self.baseline)

    @property
    def evidence(self) -> dict[str, Evidence]:
        """The runs by arm: `candidate`, `candidate/2` and so on, and perhaps `baseline`."""
        return {
            arm if number == 1 else f"{arm}/{number}": run
            for arm, side in zip(("candidate", "baseline"), self.sides, strict=False)
            for number, run in enumerate(side.evidence.runs, start=1)
        }

    def build_arms(self, **chosen: Any) -> Arms:  # noqa: ANN401  see `reports.arms.build_arms`
        """Arms of other samples, times or labels of the same runs."""
        baseline = None if self.baseline is None else self.baseline.evidence
        warm_up_us = self.decision.warm_up_us
        return build_arms(self.candidate.evidence, baseline, warm_up_us=warm_up_us, **chosen)


def build_case(
    candidate: Evidence, baseline: Evidence | None, *, decision: Decision, cost: Cost
) -> Case:
    """Compare a run, or several pooled, with another one or several, or with 1.0's log."""
    arms = build_arms(candidate, baseline, warm_up_us=decision.warm_up_us)
    forced = baseline is not None and other_workload(candidate.run, baseline.run) is not None
    resampler = Resampler(decision, arms.blocks)
    runs = [each.run for each in candidate.runs]
    servers = [told for run in runs if (told := inside_figures(run)) is not None]
    with ThreadPoolExecutor(1) as aside:
        # In a thread of its own: numpy lets go of the interpreter while it sorts and counts.
        templates = aside.submit(
            compare_templates,
            candidate, arms, resampler, new_errors=new_errors_by_template(candidate),
        )  # fmt: skip
        return Case(
            candidate=_side(candidate),
            baseline=None if baseline is None else _side(baseline),
            decision=decision,
            cost=cost,
            arms=arms,
            resampler=resampler,
            overall=compare_quantiles(arms.baseline, arms.candidate, resampler, QUANTILES),
            throughput=compare_throughput(candidate, baseline, resampler),
            errors=split_errors(candidate, with_baseline_run=baseline is not None and not forced),
            correctness=compare_answers(candidate, baseline, confidence=decision.two_sided),
            ingest=ingest_figures(*runs),
            server=max(servers, key=lambda told: told["result_cache_share"] or 0, default=None),
            noise=noise_floor(arms),
            drift=None
            if candidate.parts
            else measure_drift(
                candidate,
                arms.candidate_all,
                warm_up_us=decision.warm_up_us,
                confidence=decision.two_sided,
            ),
            forced=forced,
            templates=templates.result(),
        )


def _side(evidence: Evidence) -> Side:
    ledger, parts = evidence.ledger(), tuple(map(_side, evidence.parts))
    runs = [part.fidelity for part in parts] or [measure_fidelity(evidence, ledger)]
    worst = min(
        runs, key=lambda run: (run.finished, run.replayed_share or 0, -(run.lag_p99_us or 0))
    )
    return Side(evidence=evidence, ledger=ledger, fidelity=worst, parts=parts)
