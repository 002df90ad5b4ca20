"""Errors, split by what 1.0 did with the same statement: new, existing, resolved.

A statement is `new` where 1.0 answered it and 2.0 did not (an error or a timeout), `existing`
where both failed, `resolved` where only 1.0 failed. Only `new` speaks against the move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.load import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Samples of one template that failed in one way; `sqlstate` may be a class like `timeout`."""

    divergence: str
    sqlstate: str
    template_id: str
    message: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Counts of samples. `answerable` are those 2.0 tried and 1.0 had answered."""

    new: int
    existing: int
    resolved: int
    answerable: int
    groups: tuple[ErrorGroup, ...]
    known: bool

    def as_json(self) -> dict[str, Any]:
        """The `errors` object of verdict.json."""
        return {
            "new": self.new,
            "existing": self.existing,
            "resolved": self.resolved,
            "answerable": self.answerable,
            "baseline_known": self.known,
            "groups": [
                {
                    "divergence": group.divergence,
                    "sqlstate": group.sqlstate,
                    "template_id": group.template_id,
                    "message": group.message,
                    "count": group.count,
                }
                for group in self.groups
            ],
        }


def split_errors(evidence: Evidence, *, with_baseline_run: bool) -> Errors:
    """Split failures by statement.

    Without the workload and without a baseline run nothing is known of 1.0's errors; then every
    failure counts as new and `known` is False.
    """
    failed = evidence.is_status("error", "timeout")
    answered = evidence.is_status("ok")
    before = evidence.failed_before
    new, existing = failed & ~before, failed & before
    groups = [
        *_group(evidence, new, "new"),
        *_group(evidence, existing, "existing"),
    ]
    return Errors(
        new=int(new.sum()),
        existing=int(existing.sum()),
        resolved=int((answered & before).sum()),
        answerable=int(((answered | failed) & ~before).sum()),
        groups=tuple(groups),
        known=with_baseline_run or evidence.workload is not None,
    )


def new_errors_by_template(evidence: Evidence) -> npt.NDArray[np.int64]:
    """How many samples of each template (templates) failed on 2.0 alone."""
    new = evidence.is_status("error", "timeout") & ~evidence.failed_before
    return np.bincount(evidence.template[new], minlength=len(evidence.templates)).astype(np.int64)


def _group(evidence: Evidence, chosen: npt.NDArray[np.bool_], divergence: str) -> list[ErrorGroup]:
    timeout = evidence.is_status("timeout")[chosen]
    keys = np.stack(
        [evidence.template[chosen], evidence.failure[chosen], timeout.astype(np.int32)], axis=1
    )
    distinct, counts = np.unique(keys, axis=0, return_counts=True)
    groups = []
    for (template, failure, timed_out), number in zip(distinct.tolist(), counts, strict=True):
        sqlstate, message = evidence.failures[failure] if failure >= 0 else ("", "")
        groups.append(
            ErrorGroup(
                divergence=divergence,
                sqlstate=sqlstate or ("timeout" if timed_out else "unknown"),
                template_id=evidence.templates[template].template_id,
                message=message,
                count=int(number),
            )
        )
    return sorted(groups, key=lambda g: (-g.count, g.sqlstate, g.template_id, g.message))
