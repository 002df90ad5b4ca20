"""`fourstep interleave`: one workload on two targets in turns, A B B A.

What changes slowly, such as a cache that fills or a neighbour on the same hardware, then meets
both alike, and several runs a side show how much two replays of one system differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from replay.artefact import write_json
from replay.cli import json_option, print_json
from replay.errors import ExitCode
from replay.sequence import duration_s, notes_of, play, refuse_options, rest, set_aside
from replay.target.target import parse_target

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
    refuse_options(options, _OURS)
    rest_s, hosts = duration_s("--cool-down", cool_down), {"baseline": baseline_host}
    hosts["candidate"] = host
    for url in hosts.values():
        # Before they are noted: a URL with a password in it is refused.
        if not url.startswith("embedded:"):
            parse_target(url, statement_timeout_s=1)
    asked = {"options": list(options), "hosts": hosts, "rounds": rounds}
    known = notes_of(out / NOTES, asked)
    report = ["fourstep", "report", str(out / "candidate"), "--baseline", str(out / "baseline")]
    document: dict[str, Any] = {
        "schema_version": 1,
        "asked": asked,
        "ended_by": "done",
        "runs": known["runs"] if known else [],
        "report": [*report, "-o", str(out / "report")],
    }
    done = {(run["side"], run["number"]) for run in document["runs"]}
    exit_code, began = 0, False
    for side, number in order_of(rounds):
        if (side, number) in done:
            continue
        if began:
            rest(rest_s, before=f"{side} {number} of {rounds}")
        began, run = True, out / side / str(number)
        set_aside(run, out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / NOTES, document | {"ended_by": "unknown"})
        played = play([*options, "--host", hosts[side], "--run-dir", str(run)], captured=True)
        exit_code = int(ExitCode.INTERRUPTED) if played.stopped else played.exit_code
        if exit_code:
            document["ended_by"] = "interrupted" if played.stopped else "failed"
            break
        document["runs"].append({"side": side, "number": number, "run": str(run)})
        write_json(out / NOTES, document | {"ended_by": "unknown"})
    if out.is_dir():
        write_json(out / NOTES, document)
    if as_json:
        print_json(document)
    elif exit_code:
        click.echo(f"stopped in {run}; the same words again go on from there", err=True)
    else:
        click.echo(" ".join(document["report"]))
    if exit_code:
        raise SystemExit(exit_code)
