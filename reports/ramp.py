"""`fourstep ramp`: at what multiple of the captured load do gates break?

Each step is a run of the same stretch of the workload at another scale, judged like any run.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from replay.artefact import read_json, write_json, write_text
from replay.cli import json_option, print_json
from replay.errors import ExitCode, UsageError
from replay.moment import moment_of
from replay.sequence import duration_s, notes_of, play, refuse_options, rest, set_aside
from replay.store import fetch
from replay.workload import Workload
from reports.gates import Gates, load_gates
from reports.headroom import conclude
from reports.stats.knee import next_scale
from reports.step import floor_of_gates, level_of, step_of

NOTES, PAGE = "ramp.json", "ramp.html"
_OURS = "--run-dir --dry-run --scale --speed --mode --loop --run-time -t".split()
_LEAST_S = 10.0
"""A shorter step holds too few blocks of time."""
_SPARE = 1.2


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What every step plays a part of: statements of 1.0 from `since` on, before `until`."""

    since: datetime
    until: datetime
    statements: int

    @property
    def length_s(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()

    def options(self, length_s: float) -> list[str]:
        """The replay's options for its first `length_s`."""
        until = min(self.until, self.since + timedelta(seconds=length_s))
        return ["--from", self.since.isoformat(), "--to", until.isoformat()]

    def seconds_for(self, statements: float, scale: float) -> float:
        """How long it takes to ask for so many at a scale, by its mean rate."""
        return statements * self.length_s / max(self.statements * scale, 1e-9)


def stretch_of(workload: Workload, since: str | None, until: str | None) -> Stretch:
    """The workload's statements in a window.

    Raises:
        UsageError: a moment is none, or nothing was asked within.
    """
    started = workload.statements(["started_at"])["started_at"].cast(pa.int64()).to_numpy()
    low, high = (
        None if text is None else round(moment_of(text, option=option).timestamp() * 1e6)
        for option, text in (("--from", since), ("--to", until))
    )
    kept = started[(started >= (low or 0)) & (started < (high or np.iinfo(np.int64).max))]
    if len(kept) < 2:
        raise UsageError(f"`{workload.path}` holds nothing to ramp up between `--from` and `--to`")
    first, last = (low or int(kept.min())), (high or int(kept.max()) + 1)
    zero = datetime(1970, 1, 1, tzinfo=UTC)
    ends = [zero + timedelta(microseconds=at) for at in (first, last)]
    return Stretch(since=ends[0], until=ends[1], statements=len(kept))


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """What was asked for; `scales` is a list to climb, or with `bisect` the two ends of a search.

    Lengths are seconds; `step_s` None means what the gates need, at most `most_s`.
    """

    out: Path
    options: tuple[str, ...]
    scales: tuple[float, ...]
    bisect: bool
    stretch: Stretch
    step_s: float | None
    most_s: float
    rest_s: float
    gates: Path
    baseline: Path | None
    config: Path | None

    def next_scale(self, steps: list[dict[str, Any]]) -> float | None:
        """The next step's; None where the ramp has ended."""
        levels = [level_of(step) for step in steps]
        if steps and steps[-1]["near_ceiling"]:
            return None
        if self.bisect:
            return next_scale(levels, low=self.scales[0], high=self.scales[1])
        ended = any(level.outcome in ("fail", "invalid") for level in levels)
        return None if ended or len(steps) == len(self.scales) else self.scales[len(steps)]

    def length_s(self, steps: list[dict[str, Any]], scale: float, rules: Gates) -> float:
        """Of the next step: what gates need, by their floors and what the steps before found.

        Where a gate compares with the first step, all are as long as that: the same statements.
        """
        relative = self.baseline is None and any(gate.relative for gate in rules.gates)
        if self.step_s is None and relative and steps:
            return float(steps[0]["seconds"])
        wanted = [floor_of_gates(rules.gates), *(step["needed"] for step in steps)]
        reckoned = self.stretch.seconds_for(_SPARE * max(wanted), scale)
        length_s = self.step_s or min(max(reckoned, _LEAST_S), self.most_s)
        return min(length_s, self.stretch.length_s)

    def play_step(self, number: int, scale: float, length_s: float) -> dict[str, Any] | int:
        """One step played and judged, or the exit code of a run that tells nothing."""
        from reports.report import write_report

        place = self.out / "steps" / str(number)
        run = place / "run"
        set_aside(place, self.out)
        place.mkdir(parents=True)
        window = self.stretch.options(length_s)
        options = [*self.options, *window, "--scale", f"{scale:g}", "--run-dir", str(run)]
        played = play(options, captured=True)
        if played.stopped:
            return int(ExitCode.INTERRUPTED)
        if played.exit_code not in (ExitCode.DONE, ExitCode.UNDECIDED):
            return played.exit_code
        if not (run / "run.json").is_file():
            return int(ExitCode.UNDECIDED)
        first = self.out / "steps" / "1" / "run"
        relative = any(gate.relative for gate in load_gates(self.gates).gates)
        verdict = write_report(
            run,
            baseline=self.baseline or (first if relative else None),
            gates=self.gates,
            config=self.config,
            out=place / "report",
        )
        document = read_json(run / "run.json", what="run")
        known = {"number": number, "scale": scale, "seconds": length_s, "run": str(run)}
        return known | step_of(verdict, document)


def climb(ramp: Ramp, asked: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Play step after step; the content of ramp.json and an exit code.

    What was played is kept whatever happens, and not played again.
    """
    known = notes_of(ramp.out / NOTES, asked)
    steps: list[dict[str, Any]] = known["steps"] if known else []
    rules = load_gates(ramp.gates)
    ended_by, exit_code, began = "done", 0, False
    try:
        while (scale := ramp.next_scale(steps)) is not None:
            number, length_s = len(steps) + 1, ramp.length_s(steps, scale, rules)
            if began:
                rest(ramp.rest_s, before=f"step {number}")
            began = True
            print(f"step {number}: {scale:g}× for {length_s:.0f} s", file=sys.stderr, flush=True)
            step = ramp.play_step(number, scale, length_s)
            if isinstance(step, int):
                ended_by, exit_code = "failed", step
                break
            steps.append(step)
            write_json(ramp.out / NOTES, conclude(steps, asked, ended_by="unknown"))
    except KeyboardInterrupt:
        exit_code = int(ExitCode.INTERRUPTED)
    if exit_code == ExitCode.INTERRUPTED:
        ended_by = "interrupted"
    return conclude(steps, asked, ended_by=ended_by), exit_code


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--workload", required=True, envvar="FOURSTEP_WORKLOAD", metavar="DIR|s3://…")
@click.option("--scales", metavar="A,B,…", help="steps to climb [default: 1,1.5,2,3,4]")
@click.option("--bisect", metavar="A..B", help="double from A until a gate breaks, then halve")
@click.option("--step-time", metavar="TIME", help="length of a step [default: what gates need]")
@click.option("--most-step-time", metavar="TIME", default="10min", show_default=True)
@click.option("--cool-down", metavar="TIME", default="10s", show_default=True)
@click.option("--from", "since", help="climb on what 1.0 was asked from this moment on")
@click.option("--to", "until", help="and before this one")
@click.option("--gates", type=click.Path(path_type=Path), help="TOML [default: shipped, absolute]")
@click.option("--baseline", help="run for gates on a ratio [default: the first step]")
@click.option("--config", type=click.Path(path_type=Path), help="[default: fourstep.toml, if any]")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True)
@json_option
def ramp(
    options: tuple[str, ...],
    workload: str,
    scales: str | None,
    bisect: str | None,
    out: Path,
    as_json: bool,
    since: str | None,
    until: str | None,
    **said: Any,  # noqa: ANN401  the options above
) -> None:
    """Find the multiple of the captured load at which gates break: the knee and the headroom.

    Takes every other option of `run`, for all steps alike. The same words again go on from there.
    """
    refuse_options(options, _OURS)
    if scales and bisect:
        raise UsageError("`--scales` and `--bisect` say two ways to climb", hint="leave one out")
    chosen = (
        _scales(bisect, "..", "--bisect") if bisect else _scales(scales or _LIST, ",", "--scales")
    )
    source = Workload(fetch(workload))
    shipped = Path(str(importlib.resources.files("reports") / "ramp.toml"))
    stretch = stretch_of(source, since, until)
    configured = Path("fourstep.toml")
    asked = {
        "options": list(options),
        "workload": source.sha256,
        "scales": list(chosen),
        "bisect": bisect is not None,
        "window": [stretch.since.isoformat(), stretch.until.isoformat()],
        "step_time": said["step_time"],
        "gates": "shipped for ramps" if said["gates"] is None else str(said["gates"]),
        "baseline": said["baseline"],
    }
    plan = Ramp(
        out=out,
        options=(*options, "--workload", str(source.path)),
        scales=chosen,
        bisect=bisect is not None,
        stretch=stretch,
        step_s=duration_s("--step-time", said["step_time"]) if said["step_time"] else None,
        most_s=duration_s("--most-step-time", said["most_step_time"]),
        rest_s=duration_s("--cool-down", said["cool_down"]),
        gates=said["gates"] or shipped,
        baseline=fetch(said["baseline"]) if said["baseline"] else None,
        config=said["config"] or (configured if configured.is_file() else None),
    )
    document, exit_code = climb(plan, asked)
    if not document["steps"]:
        raise SystemExit(exit_code or int(ExitCode.UNDECIDED))
    show(document, out, as_json=as_json)
    undecided = document["verdict"] in ("INVALID", "INCONCLUSIVE")
    if exit_code or undecided:
        raise SystemExit(exit_code or int(ExitCode.UNDECIDED))


def show(document: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """Write page and document, and print one of them."""
    from reports.charts.knee import draw_knee
    from reports.charts.style import figure_to_svg
    from reports.render.ramp import ramp_page, ramp_text

    title = document["headroom"]
    svg = figure_to_svg(draw_knee(document, title=title), name="knee", description=title)
    write_text(out / PAGE, ramp_page(document, svg))
    write_json(out / NOTES, document)
    print_json(document) if as_json else click.echo(ramp_text(document, page=out / PAGE), nl=False)


_LIST = "1,1.5,2,3,4"


def _scales(text: str, between: str, option: str) -> tuple[float, ...]:
    """Rising scales; two for a search."""
    try:
        found = tuple(float(part) for part in text.split(between))
    except ValueError:
        found = ()
    rising = len(found) > 0 and found[0] > 0 and all(np.diff(found) > 0) and np.isfinite(found[-1])
    if not rising or (between == ".." and len(found) != 2):
        hint = "write it as 1..8" if between == ".." else "write it as 1,1.5,2,3"
        raise UsageError(f"`{option} {text}` is not a list of rising scales", hint=hint)
    return found
