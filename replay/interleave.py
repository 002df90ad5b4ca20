"""`fourstep interleave`: one workload on two targets in turns, A B B A.

What changes slowly, such as a cache that fills or a neighbour on the same hardware, then meets
both alike, and several runs a side show how much two replays of one system differ.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from replay import sequence
from replay.artefact import write_json
from replay.cli import json_option, print_json
from replay.errors import ExitCode

NOTES = "interleave.json"
_OURS = ("--run-dir", "--dry-run", "--master", "--worker")


def order_of(rounds: int) -> Iterator[tuple[str, int]]:
    """Side and number of each run: A B, B A, A B …, so that both are as often the first."""
    for number in range(1, rounds + 1):
        sides = ("baseline", "candidate")
        yield from ((side, number) for side in (sides if number % 2 else reversed(sides)))


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--baseline-host", required=True, metavar="URL", help="the one target, say 1.0")
@click.option("-H", "--host", required=True, metavar="URL", help="the other, say 2.0")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--cool-down", default="10s", show_default=True, help="rest between two runs")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True)
@json_option
def interleave(
    options: tuple[str, ...],
    baseline_host: str,
    host: str,
    rounds: int,
    cool_down: str,
    out: Path,
    as_json: bool,
) -> None:
    """Replay on two targets in turns, A B B A: every option of `run`, for all runs alike.

    Runs are OUT/baseline/1, 2 … and OUT/candidate/1, 2 …; a run that fails or is stopped ends it.
    The same words again go on from there.
    """
    hosts, rest_s = (baseline_host, host), sequence.duration_s("--cool-down", cool_down, zero=True)
    sequence.check_options(options, hosts, ours=_OURS)
    asked = {"options": list(options), "hosts": list(hosts), "rounds": rounds}
    runs = sequence.played_before(out / NOTES, asked, key="runs")
    places = (out / "candidate", "--baseline", out / "baseline", "-o", out / "report")
    document: dict[str, Any] = {
        "schema_version": 1,
        "asked": asked,
        "ended_by": "unknown",
        "runs": runs,
        "report": ["fourstep", "report", *map(str, places)],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / NOTES, document)
    exit_code = 0
    try:
        for side, number in list(order_of(rounds))[len(runs) :]:
            if runs:
                sequence.rest(rest_s, before=f"{side} {number} of {rounds}")
            run, url = out / side / str(number), hosts[side == "candidate"]
            sequence.set_aside(run, out)
            command = [*options, "--host", url, "--run-dir", str(run)]
            exit_code = sequence.play(command, captured=True).exit_code
            if exit_code:
                click.echo(f"stopped in {run}; the same words again go on from there", err=True)
                break
            runs.append({"side": side, "number": number, "run": str(run)})
            write_json(out / NOTES, document)
    except KeyboardInterrupt:
        exit_code = int(ExitCode.INTERRUPTED)
    document["ended_by"] = sequence.ended_by(exit_code)
    write_json(out / NOTES, document)
    if as_json:
        print_json(document)
    elif not exit_code:
        click.echo(shlex.join(document["report"]))
    if exit_code:
        raise SystemExit(exit_code)
