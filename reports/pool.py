"""Several runs of one side as one: their samples one after the other, under one list of templates.

What belongs to a run stays with it: `Evidence.runs` of the pool are views of its columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from replay.errors import UsageError
from replay.run import Run
from reports.callers import Callers
from reports.load import Evidence, load, other_workload

MOST_RUNS = 64
"""Of a side: with the most blocks there can be, a block of a run is then a 16-bit number."""

_ALIKE = ("mode", "pace", "scale", "speed")
"""Dials that runs of one side must share: with others they were asked something else."""

_T = TypeVar("_T", bound=Hashable)


def load_side(
    paths: Sequence[Path],
    *,
    baseline: Evidence | None = None,
    force: bool = False,
    tag: str | None = None,
) -> Evidence:
    """Read the runs of a side, see `runs_in`, and pool them; the rest is for `load`.

    Raises:
        UsageError: they are not replays of one workload with the same dials, one is named twice,
            or they are too many.
        Unreadable: one of them is no run, or damaged.
    """
    found = [run for path in paths for run in runs_in(path)]
    if len(found) > MOST_RUNS:
        raise UsageError(f"{len(found)} runs on one side; at most {MOST_RUNS} are taken")
    runs = [Run(path) for path in found]
    for run in runs[1:]:
        _refuse_stranger(run, runs[0])
    ids = [run.run_id for run in runs]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        hint = "a run says nothing new the second time: name each once"
        raise UsageError(f"run `{twice[0]}` is given twice on one side", hint=hint)
    return pool([load(path, baseline=baseline, force=force, tag=tag) for path in found])


def runs_in(path: Path) -> list[Path]:
    """`path` itself, or the runs it holds in the order in which they started."""
    inside = [] if (path / "run.json").exists() else sorted(path.glob("*/run.json"))
    runs = [Run(document.parent) for document in inside]
    runs.sort(key=lambda run: str(run.document["started_at"]))
    return [run.path for run in runs] or [path]


def _refuse_stranger(run: Run, first: Run) -> None:
    one_side = "runs of one side must be replays of the same workload with the same dials"
    difference = other_workload(run, first)
    if difference:
        raise UsageError(difference, hint=one_side)
    for dial in _ALIKE:
        ours, theirs = (each.document["dials"].get(dial) for each in (run, first))
        if ours != theirs:
            said = f"`{run.path}` was replayed with {dial} {ours}, `{first.path}` with {theirs}"
            raise UsageError(said, hint=one_side)


def pool(runs: Sequence[Evidence]) -> Evidence:
    """One `Evidence` of all samples of `runs`, of which there is at least one."""
    first = runs[0]
    if len(runs) == 1:
        return first
    templates, of_template = _unified([[t.template_id for t in run.templates] for run in runs])
    known = {t.template_id: t for run in reversed(runs) for t in run.templates}
    failures, of_failure = _unified([run.failures for run in runs])
    columns: dict[str, Any] = {
        "template": np.concatenate(
            [code[run.template] for code, run in zip(of_template, runs, strict=True)]
        ),
        # No failure is -1, the last of each code.
        "failure": np.concatenate(
            [np.append(code, -1)[run.failure] for code, run in zip(of_failure, runs, strict=True)]
        ),
    }
    for name in (field.name for field in fields(Evidence) if field.name not in columns):
        if name != "failing_statements" and isinstance(getattr(first, name), np.ndarray):
            columns[name] = np.concatenate([getattr(run, name) for run in runs])
    shared: dict[str, Any] = {
        "templates": tuple(known[name] for name in templates),
        "failures": tuple(failures),
    }
    ends = np.cumsum([0, *map(len, runs)]).tolist()
    parts = tuple(
        replace(run, **shared, **{name: column[a:b] for name, column in columns.items()})
        for run, (a, b) in zip(runs, pairwise(ends), strict=True)
    )
    return replace(
        first,
        **shared,
        **columns,
        failing_statements=np.unique(np.concatenate([run.failing_statements for run in runs])),
        callers=_callers([run.callers for run in runs]),
        parts=parts,
    )


def _callers(sides: Sequence[Callers | None]) -> Callers | None:
    told = [callers for callers in sides if callers is not None]
    if len(told) < len(sides):
        return None
    known, codes = _unified([callers.known for callers in told])
    code = [lookup[each.code] for lookup, each in zip(codes, told, strict=True)]
    return Callers(code=np.concatenate(code).astype(told[0].code.dtype), known=tuple(known))


def _unified(lists: Sequence[Sequence[_T]]) -> tuple[list[_T], list[npt.NDArray[np.int32]]]:
    """The distinct words of all lists, and for each list where its words are among them."""
    known: dict[_T, int] = {}
    codes = [
        np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int32)
        for words in lists
    ]
    return list(known), codes
