"""Runs side by side: the figures of each, and the ratio of each to the first, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replay.errors import UsageError
from replay.run import Run
from reports import format as fmt
from reports.arms import Arm, cut_blocks, timed_arm
from reports.compare import (
    QUANTILES,
    Decision,
    Line,
    Resampler,
    compare_each,
    compare_quantiles,
    compare_throughput,
)
from reports.cost.place import place_of_target
from reports.fidelity import measure_fidelity
from reports.load import FORCE, Evidence, Template, load, other_workload
from reports.stats.estimate import Estimate
from reports.table import Cell, Table

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STATEMENT_START = 40
"""Characters of a template's text by which a reader knows it."""

_UNITS = {"us": ("ms", 1e3), "per_s": ("per s", 1.0)}

Row = dict[str, str | Cell]


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One run with its latencies by measure, templates coded alike in all of them."""

    evidence: Evidence
    arms: Mapping[str, Arm]


def compare_runs(paths: Sequence[Path], *, by_template: bool = False, force: bool = False) -> Table:
    """The table of two runs or more: columns A, B, … of the runs and B / A, … of the ratios.

    Latencies are milliseconds. An interval is two-sided 90 %: of a percentile by order
    statistics, of a ratio by the paired bootstrap over time blocks. With `by_template` there are
    rows for each template too, those that took most time first.

    Raises:
        UsageError: too few or too many runs; or, without `force`, runs of different workloads.
        Unreadable: a run cannot be read.
    """
    if not 2 <= len(paths) <= len(LETTERS):
        raise UsageError(
            f"`compare` takes 2 to {len(LETTERS)} runs, not {len(paths)}",
            hint="`fourstep report` judges one run",
        )
    runs = [Run(path) for path in paths]
    others = [other_workload(run, runs[0]) for run in runs]
    for difference in others:
        if difference and not force:
            raise UsageError(difference, hint=FORCE)
    evidences = [load(path) for path in paths]
    blocks = cut_blocks(max(evidences, key=lambda run: run.length_us * run.dial("speed", 1)))
    templates: dict[str, Template] = {}
    for template in (each for run in evidences for each in run.templates):
        templates.setdefault(template.template_id, template)
    codes = {name: code for code, name in enumerate(templates)}
    sides = [
        _Side(
            evidence=run,
            arms={
                "response": timed_arm(run, run.response_us, blocks, codes=codes),
                "service": timed_arm(run, run.service_us, blocks, codes=codes),
            },
        )
        for run in evidences
    ]
    letters = LETTERS[: len(sides)]
    ratios = [f"{letter} / A" for letter in letters[1:]]
    measured = (*letters, *ratios)
    resampler = Resampler(Decision(), blocks)
    block = Cell(
        value=blocks.length_us / 1e6,
        note="short, intervals may be too narrow" if blocks.warning else "",
    )
    rows: list[Row] = [
        *_facts(sides, others),
        {"figure": "time block", "unit": "s", **dict.fromkeys(ratios, block)},
        {"figure": "confidence", **dict.fromkeys(measured, Cell(value=resampler.confidence))},
        *_overall(sides, resampler),
    ]
    if by_template:
        rows += _by_template(sides, list(templates.values()), resampler)
    heads = ("figure", "unit", *measured)
    if by_template:
        heads = ("template", *heads, "starts")
    empty: Row = {**dict.fromkeys(heads, ""), **dict.fromkeys(measured, Cell())}
    return Table(heads=heads, measured=frozenset(measured), rows=tuple(empty | r for r in rows))


def _facts(sides: Sequence[_Side], others: Sequence[str | None]) -> Iterator[Row]:
    """What was replayed, where and how well: a row a fact."""
    columns = [
        _facts_of(side, forced=other is not None) for side, other in zip(sides, others, strict=True)
    ]
    for figure in columns[0]:
        cells = dict(zip(LETTERS, (column[figure] for column in columns), strict=False))
        yield {"figure": figure, "unit": "ms" if figure.startswith("lag") else "", **cells}


def _facts_of(side: _Side, *, forced: bool) -> dict[str, Cell]:
    run, document = side.evidence, side.evidence.document
    ledger = run.ledger()
    fidelity = measure_fidelity(run, ledger)
    target, dials = document.get("target") or {}, document.get("dials") or {}
    size = place_of_target(target)
    lag_us = fidelity.lag_p99_us
    mode = dials.get("mode")
    return {
        "run": Cell(value=run.run.run_id, note="" if fidelity.finished else "not finished"),
        "workload": Cell(
            value=document["workload"]["sha256"][:12],
            note="not A's, compared by force" if forced else "",
        ),
        "target": Cell(value=_place(target), note=size.name if size.sized else ""),
        "mode": Cell(
            value=f"pool of {dials.get('users')}" if mode == "pool" else mode,
            note="after think time" if dials.get("pace") == "think" else "",
        ),
        **{dial: Cell(value=dials.get(dial)) for dial in ("scale", "speed")},
        "ended by": Cell(value=fidelity.ended_by),
        **{
            name: Cell(value=number if isinstance(number, int) else sum(number.values()))
            for name, number in ledger.as_json().items()
        },
        "lag p99": Cell(value=None if lag_us is None else lag_us / 1e3),
        "samples": Cell(value=len(side.arms["response"])),
    }


def _place(target: Mapping[str, Any]) -> str:
    kind = f"{'imitation of ' if target.get('imitation') else ''}{target.get('kind') or ''}"
    return f"{kind} {'/'.join(filter(None, (target.get('host'), target.get('database'))))}".strip()


def _overall(sides: Sequence[_Side], resampler: Resampler) -> Iterator[Row]:
    first, *others = sides
    yield _row(
        "throughput",
        [compare_throughput(side.evidence, first.evidence, resampler) for side in others],
    )
    for measure in first.arms:
        arms = [side.arms[measure] for side in sides]
        lines = [compare_quantiles(arms[0], arm, resampler, QUANTILES) for arm in arms[1:]]
        yield from _quantile_rows(measure, lines)


def _by_template(
    sides: Sequence[_Side], templates: Sequence[Template], resampler: Resampler
) -> Iterator[Row]:
    arms = [side.arms["response"] for side in sides]
    took_us = sum(
        np.bincount(arm.template, weights=arm.values_us, minlength=len(templates)) for arm in arms
    )
    codes = np.argsort(-took_us, kind="stable").tolist()
    compared = [compare_each(arms[0], arm, codes, resampler) for arm in arms[1:]]
    for code, *others in zip(codes, *compared, strict=True):
        ours = [others[0][0], *(theirs for _, theirs, _ in others)]
        if not any(map(len, ours)):
            continue
        template = templates[code]
        samples = dict(zip(LETTERS, (Cell(value=len(arm)) for arm in ours), strict=False))
        label = {"template": template.template_id}
        starts = fmt.excerpt(template.sql or "", STATEMENT_START)
        yield {**label, "figure": "samples", **samples, "starts": starts}
        for row in _quantile_rows("response", [lines for _, _, lines in others]):
            yield {**label, **row}


def _quantile_rows(measure: str, lines: Sequence[Mapping[str, Line]]) -> Iterator[Row]:
    for stat in lines[0]:
        yield _row(f"{measure} {stat}", [line[stat] for line in lines])


def _row(figure: str, lines: Sequence[Line]) -> Row:
    """One figure of all runs: each line has the first run's as its baseline."""
    unit, divisor = _UNITS[lines[0].unit]
    cells = {"A": _cell(lines[0].baseline, divisor)}
    for letter, line in zip(LETTERS[1:], lines, strict=False):
        cells[letter] = _cell(line.candidate, divisor)
        note = str(line.word)
        if line.ratio.value is not None and line.ratio.interval is None:
            note += "".join(f": {why}" for why in line.ratio.warnings[:1])
        elif not fmt.is_same(line.load):
            note += f", {fmt.ratio(line.load)} load"
        cells[f"{letter} / A"] = _cell(line.ratio, 1, note=note)
    return {"figure": figure, "unit": unit, **cells}


def _cell(estimate: Estimate, divisor: float, *, note: str = "") -> Cell:
    """In the unit that is shown; a percentile that too few samples back says how many it needs."""
    low, high = (
        None if end is None else end / divisor for end in estimate.interval or (None, None)
    )
    value = estimate.value
    if value is None:
        note = note or "".join(estimate.warnings[:1])
    return Cell(value=None if value is None else value / divisor, low=low, high=high, note=note)
