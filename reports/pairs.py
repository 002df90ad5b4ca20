"""Answers of several runs: those of 2.0's first run with those of 1.0's first, and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from reports.correctness import Correctness, Differing, compare_answers
from reports.load import Evidence
from reports.stats.quantiles import share_interval

_COUNTS = ("answered", "compared", "same", "different", "row_count_differs", "unstable")
_WEAKEST = (False, "rows", "digest")


def compare_pairs(
    candidate: Evidence, baseline: Evidence | None, *, confidence: float
) -> Correctness:
    """`compare_answers` of each run of 2.0, in one; where 1.0 has fewer runs, they take turns."""
    others = (None,) if baseline is None else baseline.runs
    found = [
        compare_answers(run, others[at % len(others)], confidence=confidence)
        for at, run in enumerate(candidate.runs)
    ]
    return _in_one(found, confidence) if len(found) > 1 else found[0]


def _in_one(found: Sequence[Correctness], confidence: float) -> Correctness:
    """Counts added up; checked as the pair that was checked least, for its reason."""
    weakest = min(found, key=lambda each: _WEAKEST.index(each.checked))
    if not weakest.checked:
        return weakest
    counts = {name: sum(getattr(each, name) for each in found) for name in _COUNTS}
    skipped = sum((Counter(each.skipped) for each in found), Counter[str]())
    templates: dict[str, Differing] = {}
    for one in (template for each in found for template in each.templates):
        seen = templates.get(one.template_id, replace(one, compared=0, different=0))
        templates[one.template_id] = replace(
            one,
            compared=seen.compared + one.compared,
            different=seen.different + one.different,
            statement_ids=sorted({*seen.statement_ids, *one.statement_ids})[:5],
        )
    compared, different = counts["compared"], counts["different"]
    return replace(
        weakest,
        **counts,
        skipped=dict(skipped.most_common()),
        share=different / compared if compared else None,
        interval=share_interval(different, compared, confidence=confidence) if compared else None,
        templates=tuple(sorted(templates.values(), key=lambda t: (-t.different, t.template_id))),
    )
