"""`fourstep ramp`: at what multiple of the captured load do gates break?

Apart from what it calls, which other verbs need not load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from replay import sequence
from replay.artefact import sha256_of, write_json, write_text
from replay.cli import json_option, print_json
from replay.errors import ExitCode, UsageError
from replay.store import fetch
from replay.workload import Workload

PAGE = "ramp.html"
_OURS = "--run-dir --dry-run --scale --speed --mode --loop --run-time -t --from --to".split()
_LIST = "1,1.5,2,3,4"


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
    import pyarrow.compute as pc

    from reports.cost.section import configured, read_section
    from reports.gates import load_gates, shipped
    from reports.ramp.climb import Ramp, climb

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
    judged_by = gates or shipped("ramp.toml")
    config = config or configured()
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
    from reports.ramp.climb import NOTES
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
        rising = found[0] > 0 and math.isfinite(found[-1]) and list(found) == sorted(set(found))
    except ValueError:
        rising = False
    if not rising or (between == ".." and len(found) != 2):
        hint = "write it as 1..8" if between == ".." else "write it as 1,1.5,2,3"
        raise UsageError(f"`{option} {text}` is not a list of rising scales", hint=hint)
    return found
