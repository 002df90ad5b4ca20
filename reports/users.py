"""Who gets slower: 1.0 and 2.0 by user, by application and by tag.

An average over all users hides one whose reports got slower; gates with `where` hold for those
that somebody thought of, this is for the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reports.case import Case
from reports.compare import compare_each, impact_of, word_of
from reports.scope import labels_of
from reports.stats.estimate import Word
from reports.stats.slices import count_codes

BY = ("user", "application", "tag")
MOST = 10


def compare_users(case: Case) -> list[dict[str, Any]]:
    """The `users` list of verdict.json, an object for each of `BY` that names more than one.

    With a single name it would be the headline again. Users come from the workload; where it is
    gone the list is empty.
    """
    known = [by for by in BY if all(labels_of(side.evidence, by) for side in case.sides)]
    return [section for by in known if (section := _compare(case, by)) is not None]


def _compare(case: Case, by: str) -> dict[str, Any] | None:
    evidence = case.candidate.evidence
    labels = labels_of(evidence, by)
    assert labels is not None
    asked = ~evidence.is_status("skipped") & evidence.asks_data()
    statements = count_codes(labels.code, asked, number=len(labels.words))
    codes = np.flatnonzero(statements).tolist()
    if len(codes) < 2:
        return None
    arms, total = case.build_arms(label=by), int(statements.sum())
    rows: list[dict[str, Any]] = []
    for code, (one, two, lines) in zip(
        codes, compare_each(arms.baseline, arms.candidate, codes, case.resampler), strict=True
    ):
        number = int(statements[code])
        rows.append(
            {
                "name": labels.words[code],
                "statements": number,
                "share": number / total,
                "n": lines["p50"].ratio.n,
                "stats": {stat: line.as_json() for stat, line in lines.items()},
                "word": str(word_of(lines)),
                "impact_s": impact_of(one, two, number),
            }
        )
    rows.sort(key=lambda row: (-(row["impact_s"] or 0), -row["statements"], row["name"] or ""))
    words = [row["word"] for row in rows]
    return {
        "by": by,
        "names": len(rows),
        "slower": words.count(Word.WORSE),
        "faster": words.count(Word.IMPROVED),
        "cannot_tell": words.count(Word.CANNOT_TELL),
        "cannot_tell_share": sum(r["share"] for r in rows if r["word"] == Word.CANNOT_TELL),
        "worst": rows[:MOST],
    }
