"""Everything the gates and the pages look at, computed once from the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from replay.run import Ledger
from reports.arms import Arms, build_arms
from reports.compare import (
    Decision,
    Line,
    Resampler,
    TemplateLine,
    compare_overall,
    compare_templates,
)
from reports.cost import Cost
from reports.errors import Errors, new_errors_by_template, split_errors
from reports.fidelity import Fidelity, measure_fidelity
from reports.load import Evidence
from reports.throughput import compare_throughput


@dataclass(kw_only=True)
class Case:
    """One candidate run, what it is compared with, and what was found.

    `baseline` None means the durations 1.0's log gives. Every figure is computed when first
    asked for and kept.
    """

    candidate: Evidence
    baseline: Evidence | None
    decision: Decision
    cost: Cost

    def __post_init__(self) -> None:
        self._arms: dict[str, Arms] = {}

    def arms(self, measure: str) -> Arms:
        """Both arms of `response`, `service` or `first_row`."""
        if measure not in self._arms:
            self._arms[measure] = build_arms(
                self.candidate, self.baseline, measure=measure, block_us=self.decision.block_us
            )
        return self._arms[measure]

    @property
    def response(self) -> Arms:
        """Both arms of the response time."""
        return self.arms("response")

    @cached_property
    def resampler(self) -> Resampler:
        """Block weights shared by every line."""
        return Resampler(self.decision, self.response.blocks)

    @cached_property
    def overall(self) -> tuple[Line, ...]:
        """Response time over all statements."""
        return compare_overall(self.response, self.resampler)

    @cached_property
    def templates(self) -> tuple[TemplateLine, ...]:
        """Response time per template."""
        return compare_templates(
            self.candidate,
            self.response,
            self.resampler,
            new_errors=new_errors_by_template(self.candidate),
        )

    @cached_property
    def throughput(self) -> Line:
        """Answers per second."""
        return compare_throughput(
            self.candidate, self.baseline, self.response.blocks, self.resampler
        )

    @cached_property
    def errors(self) -> Errors:
        """Failures by what 1.0 did with the same statement."""
        return split_errors(self.candidate, with_baseline_run=self.baseline is not None)

    @cached_property
    def ledger(self) -> Ledger:
        """The run's ledger, counted."""
        return self.candidate.ledger()

    @cached_property
    def fidelity(self) -> Fidelity:
        """How well the candidate run was replayed."""
        return measure_fidelity(self.candidate, self.ledger)

    @cached_property
    def baseline_fidelity(self) -> Fidelity | None:
        """How well the baseline run was replayed, where there is one."""
        if self.baseline is None:
            return None
        return measure_fidelity(self.baseline, self.baseline.ledger())
