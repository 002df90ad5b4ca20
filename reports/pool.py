"""Several runs of one side as one: their samples one after the other, under one list of templates.

What belongs to a run stays with it: `Evidence.runs` of the pool are views of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import UsageError
from replay.run import Run
from reports.load import Evidence, load, other_workload
from reports.stats.slices import joined, looked_up

MOST_RUNS = 64
"""Of a side: with the most blocks there can be, a block of a run is then a 16-bit number."""


def load_side(paths: Sequence[Path], **how: Any) -> Evidence:  # noqa: ANN401  see `load`
    """Read the runs of a side, see `runs_in`, and pool them.

    Raises:
        UsageError: they are not replays of one workload with the same dials, one is named twice,
            or they are too many.
        Unreadable: one of them is no run, or damaged.
    """
    runs = [Run(run) for path in paths for run in runs_in(path)]
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} runs on one side; at most {MOST_RUNS} are taken")
    for at, run in enumerate(runs):
        if run.run_id in (other.run_id for other in runs[:at]):
            hint = "a run says nothing new the second time: name each once"
            raise UsageError(f"run `{run.run_id}` is given twice on one side", hint=hint)
        difference = other_workload(run, runs[0]) or _other_dial(run, runs[0])
        if difference:
            hint = "runs of one side must be replays of the same workload with the same dials"
            raise UsageError(difference, hint=hint)
    return pool([load(run.path, **how) for run in runs])


def runs_in(path: Path) -> list[Path]:
    """`path` itself, or the runs it holds in the order in which they started."""
    inside = [] if (path / "run.json").exists() else sorted(path.glob("*/run.json"))
    runs = [Run(document.parent) for document in inside]
    runs.sort(key=lambda run: str(run.document["started_at"]))
    return [run.path for run in runs] or [path]


def _other_dial(run: Run, first: Run) -> str | None:
    for dial in ("mode", "pace", "scale", "speed"):
        ours, theirs = (each.document["dials"].get(dial) for each in (run, first))
        if ours != theirs:
            return f"`{run.path}` was replayed with {dial} {ours}, `{first.path}` with {theirs}"
    return None


def pool(runs: Sequence[Evidence]) -> Evidence:
    """One `Evidence` of all samples of `runs`, of which there is at least one."""
    first = runs[0]
    if len(runs) == 1:
        return first
    templates, of_template = _unified([[t.template_id for t in run.templates] for run in runs])
    failures, of_failure = _unified([run.failures for run in runs])
    known = {t.template_id: t for run in runs for t in run.templates}
    named = tuple(known[name] for name in templates)
    shared: dict[str, Any] = {"templates": named, "failures": tuple(failures)}
    # No failure is -1, the last of each list of codes.
    coded = [
        replace(
            run,
            template=looked_up(codes, run.template),
            failure=looked_up(np.append(others, -1), run.failure),
        )
        for run, codes, others in zip(runs, of_template, of_failure, strict=True)
    ]
    columns: dict[str, Any] = {}
    for name in (field.name for field in fields(Evidence)):
        parts = [getattr(run, name) for run in coded]
        if isinstance(parts[0], np.ndarray):
            columns[name] = joined(parts)
    failing = np.unique(columns.pop("failing_statements"))
    ends = np.cumsum([0, *map(len, runs)]).tolist()
    views = tuple(
        replace(run, **shared, **{name: column[a:b] for name, column in columns.items()})
        for run, (a, b) in zip(runs, pairwise(ends), strict=True)
    )
    # Runs of one workload know the same callers, where they know any.
    told = [run.callers for run in runs if run.callers is not None]
    callers = replace(told[0], code=joined([c.code for c in told])) if told else None
    more: dict[str, Any] = {"failing_statements": failing, "parts": views}
    more["callers"] = callers if len(told) == len(runs) else None
    return replace(first, **shared, **columns, **more)


def _unified(lists: Sequence[Sequence[Any]]) -> tuple[list[Any], list[npt.NDArray[np.int32]]]:
    """The distinct words of all lists, and for each list where its words are among them."""
    known: dict[Any, int] = {}
    codes = [
        np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int32)
        for words in lists
    ]
    return list(known), codes
