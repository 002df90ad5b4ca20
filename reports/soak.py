"""`fourstep soak`: a replay for hours with what a night needs, and then its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replay.artefact import read_json, write_json
from replay.cli import json_option, print_json
from replay.errors import ExitCode, UsageError
from replay.sequence import duration_s, play

NOTES = "soak.json"
"""What a soak was begun with, for who goes on with it."""

_NIGHT = ("--loop", "--roll", "10min")


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--for", "length", metavar="TIME", help="how long, say 8h; a shorter workload loops")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="DIR of run and pages")
@click.option("--resume", type=click.Path(path_type=Path), help="DIR of a soak to go on with")
@click.option(
    "--abort-cost",
    metavar="USD",
    type=click.FloatRange(min=0, min_open=True),
    help="end it when [cost.candidate] has cost this",
)
@click.option("--baseline", type=click.Path(path_type=Path), help="as of `report`")
@click.option("--gates", type=click.Path(path_type=Path), help="as of `report`")
@click.option("--config", type=click.Path(path_type=Path), help="as of `report`")
@json_option
def soak(
    options: tuple[str, ...],
    length: str | None,
    out: Path | None,
    resume: Path | None,
    abort_cost: float | None,
    as_json: bool,
    **judging: Any,  # noqa: ANN401  options of `report`
) -> None:
    """Replay for hours, then report: every option of `run`, and some of `report`.

    The run is DIR/run, its pages are in DIR. A soak that was stopped or killed is gone on with by
    --resume DIR alone.
    """
    if resume is not None:
        if options or length or out or abort_cost or any(judging.values()):
            raise UsageError("`--resume` goes on with the options of then", hint="leave out others")
        out, told = resume, read_json(resume / NOTES, what="soak")
        judging = {name: Path(path) for name, path in told["judging"].items()}
        begun = (out / "run" / "run.json").is_file()
        options = (*told["options"], "--resume" if begun else "--run-dir", str(out / "run"))
    else:
        if not (length and out):
            raise UsageError("a soak needs `--for` and `-o`", hint="--for 8h -o DIR")
        length_s = duration_s("--for", length)
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"`{out}` is not empty", hint="name another -o, or --resume it")
        from reports.cost.section import configured

        judging["config"] = judging["config"] or configured()
        if abort_cost is not None:
            options = (*options, "--abort-after", _affordable(abort_cost, judging["config"]))
        out.mkdir(parents=True, exist_ok=True)
        options = (*_NIGHT, *options, "-t", str(int(length_s)))
        named = {name: str(path) for name, path in judging.items() if path}
        write_json(out / NOTES, {"options": list(options), "judging": named})
        options = (*options, "--run-dir", str(out / "run"))
    _report(out, play(options, captured=as_json).exit_code, as_json=as_json, **judging)


def _report(out: Path, exit_code: int, *, as_json: bool, **judging: Any) -> None:  # noqa: ANN401
    """Judge what there is; what could not begin has nothing to judge, and its own exit code."""
    from reports.render.terminal import print_summary
    from reports.report import write_report

    run = out / "run"
    document = read_json(run / "run.json", what="run") if (run / "run.json").is_file() else {}
    refused = (ExitCode.USAGE, ExitCode.UNREACHABLE, ExitCode.UNREADABLE)
    if exit_code in refused or document.get("ended_by", "not-begun") == "not-begun":
        raise SystemExit(exit_code or int(ExitCode.UNDECIDED))
    verdict = write_report(run, out=out, **judging)
    print_json(verdict.as_json()) if as_json else print_summary(verdict, page=out / "report.html")
    if ExitCode.INTERRUPTED in (exit_code, verdict.exit_code):
        raise SystemExit(int(ExitCode.INTERRUPTED))
    if verdict.exit_code:
        raise SystemExit(int(verdict.exit_code))


def _affordable(usd: float, config: Path | None) -> str:
    """For how long the size that the configuration states costs so much, as an option's value."""
    from reports.cost.place import price_place
    from reports.cost.prices import Prices
    from reports.cost.section import read_section
    from reports.cost.usage import Usage

    section = read_section(config)
    if section is None or not section.candidate.sized:
        raise UsageError(
            "`--abort-cost` needs to know what an hour of 2.0 costs",
            hint="state [cost.candidate] in the --config, or give --abort-after",
        )
    # Serverless at its base: what it scales up to meanwhile nobody knows before its bill.
    hour = Usage(rpu_seconds=section.candidate.rpu * 3600)
    prices = Prices(region=section.region, own=section.prices)
    figures = price_place(section.candidate, prices, hour, run_hours=1)
    return f"{usd / (figures.usd or 1) * 3600:.0f}s"
