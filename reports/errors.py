"""Errors, split by what 1.0 did with the same statement: new, existing, resolved.

A statement is `new` where 1.0 answered it and 2.0 did not (an error or a timeout), `existing`
where both failed, `resolved` where only 1.0 failed. Only `new` speaks against the move.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from reports.load import Evidence
from reports.scope import EVERYWHERE, Where, select
from reports.stats.estimate import Bools, Int64s

_CAUSES = (
    ("timeout", "no answer in time"),
    ("08", "connection lost or not made"),
    ("53300", "too many connections"),
    ("57P", "2.0 stopping or starting"),
    ("28", "login refused"),
)
"""What a beginning of an SQLSTATE means where it speaks of the service and not of a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Samples of one template that failed in one way; `sqlstate` is `timeout` for timeouts."""

    divergence: str
    sqlstate: str
    template_id: str
    message: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Counts of samples, the `errors` object of verdict.json.

    `answerable` are those 2.0 tried and 1.0 had answered. Without the workload and without a
    baseline run nothing is known of 1.0's errors: every failure then counts as new, and
    `baseline_known` is False.
    """

    new: int
    existing: int
    resolved: int
    answerable: int
    baseline_known: bool
    groups: tuple[ErrorGroup, ...]

    @property
    def failed(self) -> int:
        """Samples that failed on 2.0, whatever 1.0 did."""
        return self.new + self.existing

    @property
    def tried(self) -> int:
        """Samples that 2.0 answered or failed."""
        return self.answerable + self.existing + self.resolved

    def causes(self, *, new: bool = True) -> str:
        """The three most frequent causes of errors, the `new` ones or all, with their numbers."""
        causes: Counter[str] = Counter()
        for group in self.groups:
            if group.divergence == "new" or not new:
                state = group.sqlstate
                known = (words for start, words in _CAUSES if state.startswith(start))
                causes[next(known, f"SQLSTATE {state}")] += group.count
        return ", ".join(f"{number:,} × {what}" for what, number in causes.most_common(3))


def split_errors(
    evidence: Evidence, *, with_baseline_run: bool, where: Where = EVERYWHERE
) -> Errors:
    """Split failures by statement, of the samples in `where`."""
    inside = select(evidence, where)
    failed, answered = (
        evidence.is_status(*names) & inside for names in (("error", "timeout"), ("ok",))
    )
    before = evidence.failed_before
    new, existing = failed & ~before, failed & before
    return Errors(
        new=int(new.sum()),
        existing=int(existing.sum()),
        resolved=int((answered & before).sum()),
        answerable=int(((answered | failed) & ~before).sum()),
        baseline_known=with_baseline_run or evidence.workload is not None,
        groups=(*_group(evidence, new, "new"), *_group(evidence, existing, "existing")),
    )


def new_errors_by_template(evidence: Evidence) -> Int64s:
    """How many samples of each template (templates) failed on 2.0 alone."""
    new = evidence.is_status("error", "timeout") & ~evidence.failed_before
    return np.bincount(evidence.template[new], minlength=len(evidence.templates)).astype(np.int64)


def _group(evidence: Evidence, chosen: Bools, divergence: str) -> list[ErrorGroup]:
    timeout = evidence.is_status("timeout")[chosen]
    keys = np.stack([evidence.template[chosen], evidence.failure[chosen], timeout], axis=1)
    distinct, counts = np.unique(keys, axis=0, return_counts=True)
    groups = [
        ErrorGroup(
            divergence=divergence,
            sqlstate="timeout" if timed_out else evidence.failures[failure][0] or "unknown",
            template_id=evidence.templates[template].template_id,
            message=evidence.failures[failure][1],
            count=int(number),
        )
        for (template, failure, timed_out), number in zip(distinct.tolist(), counts, strict=True)
    ]
    return sorted(groups, key=lambda g: (-g.count, g.sqlstate, g.template_id, g.message))
