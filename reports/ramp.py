"""`fourstep ramp`: at what multiple of the captured load do gates break?

Each step is a run of the same stretch of the workload at another scale, judged like any run.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.compute as pc

from replay import sequence
from replay.artefact import read_json, sha256_of, write_json, write_text
from replay.cli import json_option, print_json
from replay.errors import ExitCode, UsageError
from replay.store import fetch
from replay.workload import Workload
from reports.cost.section import read_section
from reports.gates import Gates, load_gates
from reports.headroom import conclude
from reports.stats.knee import next_scale
from reports.step import floor_of_gates, level_of, step_of

NOTES, PAGE = "ramp.json", "ramp.html"
_OURS = "--run-dir --dry-run --scale --speed --mode --loop --run-time -t --from --to".split()
_LIST = "1,1.5,2,3,4"
_LEAST_S = 10.0
"""A shorter step holds too few blocks of time."""
_MOST_S = 600.0
_SPARE = 1.2


Step = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """What was asked for; `scales` is a list to climb, or with `bisect` the two ends of a search.

    The workload holds `statements` in `length_s` from `since` on; `step_s` None means what the
    gates need.
    """

    out: Path
    options: tuple[str, ...]
    scales: tuple[float, ...]
    bisect: bool
    since: datetime
    length_s: float
    statements: int
    step_s: float | None
    gates: Path
    rules: Gates
    baseline: Path | None
    config: Path | None

    @property
    def relative(self) -> bool:
        """Whether a gate compares with a baseline."""
        return any(gate.relative for gate in self.rules.gates)

    def next_scale(self, steps: Sequence[Step]) -> float | None:
        """The next step's; None where the ramp has ended."""
        if steps and (steps[-1]["near_ceiling"] or steps[-1]["outcome"] == "invalid"):
            return None
        if self.bisect:
            return next_scale(list(map(level_of, steps)), low=self.scales[0], high=self.scales[1])
        ended = len(steps) == len(self.scales) or any(s["outcome"] == "fail" for s in steps)
        return None if ended else self.scales[len(steps)]

    def seconds_of(self, steps: Sequence[Step], scale: float) -> float:
        """Of the next step: what gates need, by their floors and what the steps before found.

        Where a gate compares with the first step, all are as long as that: the same statements.
        """
        if steps and self.baseline is None and self.relative:
            return float(steps[0]["seconds"])
        wanted = max([floor_of_gates(self.rules.gates), *(step["needed"] for step in steps)])
        reckoned_s = _SPARE * wanted * self.length_s / (self.statements * scale)
        return min(self.step_s or min(max(reckoned_s, _LEAST_S), _MOST_S), self.length_s)

    def play_step(self, number: int, scale: float, seconds: float) -> Step | int:
        """One step played and judged, or the exit code of a run that tells nothing."""
        from reports.report import write_report

        place = self.out / "steps" / str(number)
        run = place / "run"
        sequence.set_aside(place, self.out)
        place.mkdir(parents=True)
        until = (self.since + timedelta(seconds=seconds)).isoformat()
        options = [*self.options, "--to", until, "--scale", f"{scale:g}", "--run-dir", str(run)]
        exit_code = sequence.play(options, captured=True).exit_code
        # A run that is INVALID by itself is judged, and then says why.
        judged = exit_code in (ExitCode.DONE, ExitCode.UNDECIDED)
        if not (judged and (run / "run.json").is_file()):
            return exit_code or int(ExitCode.UNDECIDED)
        first = self.out / "steps" / "1" / "run" if self.relative else None
        verdict = write_report(
            run,
            baseline=self.baseline or first,
            gates=self.gates,
            config=self.config,
            out=place / "report",
        )
        known = {"number": number, "scale": scale, "seconds": seconds, "run": str(run)}
        return known | step_of(verdict, read_json(run / "run.json", what="run"))


def climb(ramp: Ramp, asked: Mapping[str, Any], *, rest_s: float) -> tuple[dict[str, Any], int]:
    """Play step after step; the content of ramp.json and an exit code.

    What was played is kept whatever happens, and not played again.
    """
    exit_code = 0
    steps = sequence.played_before(ramp.out / NOTES, asked, key="steps")
    ramp.out.mkdir(parents=True, exist_ok=True)
    try:
        while (scale := ramp.next_scale(steps)) is not None:
            write_json(ramp.out / NOTES, conclude(steps, asked, ended_by="unknown"))
            number, seconds = len(steps) + 1, ramp.seconds_of(steps, scale)
            if steps:
                sequence.rest(rest_s, before=f"step {number}")
            print(f"step {number}: {scale:g}× for {seconds:.0f} s", file=sys.stderr, flush=True)
            step = ramp.play_step(number, scale, seconds)
            if isinstance(step, int):
                exit_code = step
                break
            steps.append(step)
    except KeyboardInterrupt:
        exit_code = int(ExitCode.INTERRUPTED)
    return conclude(steps, asked, ended_by=sequence.ended_by(exit_code)), exit_code


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--workload", required=True, envvar="FOURSTEP_WORKLOAD", metavar="DIR|s3://…")
@click.option("-H", "--host", required=True, envvar="LOCUST_HOST", metavar="URL")
@click.option("--scales", metavar="A,B,…", help="steps to climb [default: 1,1.5,2,3,4]")
@click.option("--bisect", metavar="A..B", help="double from A until a gate breaks, then halve")
@click.option("--step-time", metavar="TIME", help="length of a step [default: what gates need]")
@click.option("--cool-down", metavar="TIME", default="10s", show_default=True)
@click.option("--gates", type=click.Path(path_type=Path), help="TOML [default: a ramp's own]")
@click.option("--baseline", help="run for gates on a ratio [default: the first step]")
@click.option("--config", type=click.Path(path_type=Path), help="[default: fourstep.toml, if any]")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True)
@json_option
def ramp(
    options: tuple[str, ...],
    workload: str,
    host: str,
    scales: str | None,
    bisect: str | None,
    step_time: str | None,
    cool_down: str,
    gates: Path | None,
    baseline: str | None,
    config: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Find the multiple of the captured load at which gates break: the knee and the headroom.

    Takes every other option of `run`, for all steps alike. The same words again go on from there.
    """
    sequence.check_options(options, [host], ours=_OURS)
    if scales and bisect:
        raise UsageError("`--scales` and `--bisect` are two ways to climb", hint="leave one out")
    chosen = (
        scales_of("--bisect", bisect, "..") if bisect else scales_of("--scales", scales or _LIST)
    )
    source = Workload(fetch(workload))
    started = source.statements(["started_at"])["started_at"]
    since, last = pc.min(started).as_py(), pc.max(started).as_py()
    if since == last:
        raise UsageError(f"`{workload}` holds no stretch of time to replay more of")
    judged_by = gates or Path(str(importlib.resources.files("reports") / "ramp.toml"))
    config = config or next(Path().glob("fourstep.toml"), None)
    read_section(config)  # Rather now than after the first step.
    plan = Ramp(
        out=out,
        options=(*options, "--host", host, "--workload", str(source.path)),
        scales=chosen,
        bisect=bisect is not None,
        since=since,
        length_s=(last - since).total_seconds() + 1e-6,
        statements=len(started),
        step_s=sequence.duration_s("--step-time", step_time) if step_time else None,
        gates=judged_by,
        rules=load_gates(judged_by),
        baseline=fetch(baseline) if baseline else None,
        config=config,
    )
    asked = {
        "options": [*options, "--host", host],
        "workload": source.sha256,
        "window": [since.isoformat(), last.isoformat()],
        "scales": list(chosen),
        "bisect": plan.bisect,
        "step_time": step_time,
        "gates": "the ramp's own" if gates is None else str(gates),
        "gates_sha256": sha256_of(judged_by),
        "baseline": baseline,
    }
    document, exit_code = climb(
        plan, asked, rest_s=sequence.duration_s("--cool-down", cool_down, zero=True)
    )
    if document["steps"]:
        show(document, out, as_json=as_json)
    if document["verdict"] in ("INVALID", "INCONCLUSIVE"):
        exit_code = exit_code or int(ExitCode.UNDECIDED)
    if exit_code:
        raise SystemExit(exit_code)


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


def scales_of(option: str, text: str, between: str = ",") -> tuple[float, ...]:
    """Rising scales; raises UsageError where they are none, or not two for a search."""
    try:
        found = tuple(float(part) for part in text.split(between))
        rising = found[0] > 0 and np.isfinite(found[-1]) and bool((np.diff(found) > 0).all())
    except ValueError:
        rising = False
    if not rising or (between == ".." and len(found) != 2):
        hint = "write it as 1..8" if between == ".." else "write it as 1,1.5,2,3"
        raise UsageError(f"`{option} {text}` is not a list of rising scales", hint=hint)
    return found
