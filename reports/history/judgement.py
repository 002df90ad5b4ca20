"""Tonight against the nights before: what became worse, and when it is too early to tell.

A metric regressed when its level changed for the worse and did not come back, or when tonight is
worse than the nights before let expect. The first is sure and a night late, the second is at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from reports.history.night import METRICS, SCHEMA_VERSION, Metric, Night
from reports.history.nights import Nights, Segment
from reports.stats.change_points import change_points
from reports.stats.prediction import LEAST_VALUES, prediction_limit

LEAST_CHANGE = 0.05
"""A smaller change of a level, either way, is not worth a word."""

_MAX_P = 3e-5
"""Of a change point: it is asked for anew every night and of every metric."""


class State(StrEnum):
    """What a night job is told."""

    REGRESSION = "regression"
    """One that nobody acknowledged."""
    NOT_MEASURED = "not measured"
    TOO_SHORT = "history too short"
    NO_REGRESSION = "no regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A metric has another level from a night on, the one `at` this position of its segment.

    `change` is after over before, less 1, or None from 0; `p` is None where tonight alone is
    beyond its limit, `new` is True when last night did not say so yet.
    """

    metric: str
    at: int
    run_id: str
    before: float
    after: float
    change: float | None
    worse: bool
    p: float | None
    new: bool = True
    acknowledged: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A metric of one segment; `limit` is what `nights` before tell of the last one."""

    metric: Metric
    nights: int
    tonight: float | None
    limit: float | None
    changes: list[Change]
    regressions: list[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`metrics` are of each segment in turn, `regressions` of the last."""

    state: State
    reason: str
    segments: list[Segment]
    metrics: list[list[Judged]]
    regressions: list[Change]

    def as_json(self) -> dict[str, Any]:
        """What `history --json` prints, and what all pages are views of."""
        return {
            "schema_version": SCHEMA_VERSION,
            "state": str(self.state),
            "reason": self.reason,
            "tonight": self.segments[-1].nights[-1].as_json(),
            "regressions": [asdict(regression) for regression in self.regressions],
            "metrics": [
                asdict(each.metric)
                | {"nights": each.nights, "tonight": each.tonight, "limit": each.limit}
                for each in self.metrics[-1]
                if any(
                    n.values[each.metric.name] is not None for s in self.segments for n in s.nights
                )
            ],
            "segments": [
                {
                    "changed": segment.changed,
                    "changes": [asdict(change) for each in metrics for change in each.changes],
                    "nights": [night.as_json() for night in segment.nights],
                }
                for segment, metrics in zip(self.segments, self.metrics, strict=True)
            ],
        }


def judge_nights(history: Nights) -> Judgement:
    """Judge the latest of at least one night."""
    segments = history.segments()
    nights = segments[-1].nights
    metrics = [[judge_metric(each, segment.nights) for each in METRICS] for segment in segments]
    last = [found for each in METRICS for found in judge_metric(each, nights[:-1]).regressions]
    # Where a change is put may still move by a night when nights are added.
    known = {(found.metric, found.at + by) for found in last for by in (-1, 0, 1)}
    regressions = []
    for found in (found for judged in metrics[-1] for found in judged.regressions):
        # Acknowledged at the night it began or at a later one.
        given = (history.acknowledged.get(night.run_id) for night in nights[found.at :])
        new, why = (found.metric, found.at) not in known, next(filter(None, given), None)
        regressions.append(replace(found, new=new, acknowledged=why))
    state, reason = _state(nights, regressions)
    return Judgement(
        state=state, reason=reason, segments=segments, metrics=metrics, regressions=regressions
    )


def judge_metric(metric: Metric, nights: Sequence[Night]) -> Judged:
    """One metric over the nights of a segment, the last against those before."""
    told = [(at, night.values[metric.name]) for at, night in enumerate(nights) if night.measured]
    series = [(at, value) for at, value in told if value is not None]
    values = np.array([value for _, value in series], dtype=np.float64)
    sign = 1 if metric.more_is_worse else -1

    def change(at: int, before: float, after: float, p: float | None) -> Change:
        return Change(
            metric=metric.name, at=at, run_id=nights[at].run_id, before=before, after=after,
            change=after / before - 1 if before else None, worse=sign * (after - before) > 0, p=p,
        )  # fmt: skip

    points = change_points(values, max_p=_MAX_P, min_magnitude=LEAST_CHANGE)
    points = [point for point in points if abs(point.after - point.before) >= metric.least]
    changes = [change(series[p.index][0], p.before, p.after, p.p) for p in points]
    measured = bool(series) and series[-1][0] == len(nights) - 1
    past, tonight = (values[:-1], float(values[-1])) if measured else (values, None)
    limit = prediction_limit(
        past,
        [point.index for point in points],
        more_is_worse=metric.more_is_worse,
        least=metric.least,
        least_share=LEAST_CHANGE,
    )
    regressions = []
    for found in changes:
        now = change(found.at, found.before, changes[-1].after, found.p)
        matters = max(LEAST_CHANGE * abs(now.before), metric.least)
        # Of a level that came back there is nothing left to say.
        if found.worse and now.worse and abs(now.after - now.before) > matters:
            regressions.append(now)
    if limit is not None and tonight is not None and sign * (tonight - limit) > 0:
        level = changes[-1].after if changes else float(np.median(past))
        regressions.append(change(len(nights) - 1, level, tonight, None))
    return Judged(
        metric=metric, nights=len(past), tonight=tonight, limit=limit, changes=changes,
        regressions=regressions if metric.judged else [],
    )  # fmt: skip


def _state(nights: Sequence[Night], regressions: Sequence[Change]) -> tuple[State, str]:
    unknown = [found for found in regressions if found.acknowledged is None]
    before = sum(night.measured for night in nights[:-1])
    if unknown:
        since = nights[min(found.at for found in unknown)].run_id
        titles = {metric.name: metric.title for metric in METRICS}
        worse = ", ".join(dict.fromkeys(titles[found.metric] for found in unknown))
        return State.REGRESSION, f"worse since {since}: {worse}"
    if not nights[-1].measured:
        return State.NOT_MEASURED, f"tonight's run is {nights[-1].verdict}: {nights[-1].reason}"
    if before < LEAST_VALUES:
        return State.TOO_SHORT, f"{before} comparable nights before it, needs {LEAST_VALUES}"
    return State.NO_REGRESSION, f"tonight is as {before} comparable nights before let expect"
