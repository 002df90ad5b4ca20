"""The command `fourstep`: the replay side's verbs and those over reports.

The one place that turns exceptions into words on standard error and an exit code.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click

import replay
from replay.cli import VERBS, filter_of, filter_options, json_option, print_json
from replay.errors import ExitCode, FourstepError, UsageError, describe
from replay.interleave import interleave
from replay.prepare import DIALECTS, MEASURES, TARGETS
from replay.sequence import duration_s
from replay.store import fetch, written
from reports.history.verb import history
from reports.ramp.verb import ramp
from reports.soak import soak


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    *("-v", "--verbose"), is_flag=True, expose_value=False, help="show where an error came from"
)
@click.version_option(
    replay.__version__,
    message=f"fourstep %(version)s, locust {version('locust')}, psycopg {version('psycopg')}, "
    f"python {sys.version.split()[0]}",
)
def fourstep() -> None:
    """Would the new reporting backend survive our users' queries?

    capture → prepare → run → report. `fourstep demo` shows all of it.
    """


@fourstep.command()
@click.argument("workload", type=fetch)
@click.option("-o", "--output", "place", metavar="DIR|s3://…", required=True)
@click.option("--read", type=click.Choice(DIALECTS), help="1.0's dialect [default: the workload's]")
@click.option("--write", type=click.Choice(TARGETS), default="postgres", show_default=True)
@click.option("--places", type=click.Path(path_type=Path), help="old place → new place, TOML")
@click.option("--catalog", metavar="FILE|URL", help="1.0's columns, where names alone do not tell")
@click.option("--check", "check_url", metavar="URL", help="EXPLAIN each template on this target")
@filter_options
@click.option("--kind", "kinds", multiple=True, help="select, set, …")
@click.option("--template", "templates", multiple=True, help="a template's id")
@click.option("--writes", is_flag=True, help="keep what may write; left out and counted without it")
@click.option("--busiest", metavar="TIME", help="keep the busiest window of this length, say 1h")
@click.option("--busiest-by", type=click.Choice(MEASURES), default="statements", show_default=True)
@json_option
def prepare(
    workload: Path,
    place: str,
    read: str | None,
    write: str,
    places: Path | None,
    catalog: str | None,
    check_url: str | None,
    kinds: tuple[str, ...],
    templates: tuple[str, ...],
    writes: bool,
    busiest: str | None,
    busiest_by: str,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401  of filter_options
) -> None:
    """Bring a workload into 2.0's dialect and places, and say how much of it 2.0 can be asked.

    Options that may be given several times keep what any of them names.
    """
    from replay.artefact import write_text
    from replay.prepare.busiest import busiest_window
    from replay.prepare.coverage import coverage_text
    from replay.prepare.prepare import prepare as prepare_workload
    from replay.progress import Progress
    from replay.target.serving import serving
    from replay.workload import Workload
    from reports.render.coverage import coverage_page

    source = Workload(workload)
    if busiest is not None:
        if wanted["since"] or wanted["until"]:
            raise UsageError("`--busiest` finds the window that `--from` and `--to` would give")
        length_s = duration_s("--busiest", busiest)
        window = busiest_window(source, length_s=length_s, by=busiest_by)
        wanted |= {"since": window.since.isoformat(), "until": window.until.isoformat()}
        click.echo(window.in_words, err=True)
    progress = Progress()
    served = serving(check_url) if check_url else nullcontext(None)
    with written(place) as out, served as url:
        coverage = prepare_workload(
            source,
            out,
            read=read or source.manifest["dialect"],
            write=write,
            places=places,
            catalog=catalog,
            check_url=url,
            keep=filter_of(kinds=frozenset(kinds), templates=frozenset(templates), **wanted),
            writes=writes,
            progress=progress,
        )
        progress.clear()
        document = coverage.as_json()
        write_text(out / "coverage.html", coverage_page(document))
    print_json(document) if as_json else click.echo(coverage_text(document))
    click.echo(f"page: {place}/coverage.html", err=True)


@fourstep.command()
@click.argument("url", required=False)
@click.option("--workload", type=fetch, help="whether its sessions fit into the connection limit")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0)
@json_option
def doctor(url: str | None, workload: Path | None, scale: float, as_json: bool) -> None:
    """Check this machine and, with a URL, a target before a run: ok, fail or unknown, and why.

    Exits 4 when the target cannot be reached; what else fails is for you to judge.
    """
    from replay.doctor import REACHABLE, as_text, examine
    from replay.target.serving import serving

    with serving(url) if url else nullcontext(None) as served:
        findings = list(examine(served, workload=workload, scale=scale))
    if as_json:
        print_json({"checks": [asdict(each) for each in findings]})
    else:
        click.echo(as_text(findings))
    if any(each.check == REACHABLE and each.state == "fail" for each in findings):
        raise SystemExit(int(ExitCode.UNREACHABLE))


@fourstep.command()
@click.argument("runs", nargs=-1, required=True, type=fetch, metavar="RUN...")
@click.option(
    *("--baseline", "baselines"), multiple=True, metavar="RUN|captured",
    help="runs on 1.0, or 1.0's own durations [default]; may be given several times",
)  # fmt: skip
@click.option("--gates", type=click.Path(path_type=Path), help="gates, TOML [default: shipped]")
@click.option("--config", type=click.Path(path_type=Path), help="[default: fourstep.toml, if any]")
@click.option("--force", is_flag=True, help="a baseline of another workload too; it is marked")
@click.option("-o", "--output", "place", metavar="DIR|s3://…", required=True)
@click.option("--explain", "gate", metavar="GATE", help="print how this gate was decided instead")
@click.option(
    "--charts",
    "forms",
    multiple=True,
    type=click.Choice(["svg", "png", "pdf"]),
    help="write charts as files of this form too, into DIR/charts",
)
@click.option("--exit-zero", is_flag=True, help="exit 0 whatever the verdict")
@json_option
def report(
    runs: tuple[Path, ...],
    baselines: tuple[str, ...],
    gates: Path | None,
    config: Path | None,
    force: bool,
    place: str,
    gate: str | None,
    forms: tuple[str, ...],
    exit_zero: bool,
    as_json: bool,
) -> None:
    """Decide about a run, or several of one system, and write the pages that say why.

    A directory of runs stands for all of them.
    """
    from reports.cost.section import configured
    from reports.explain import explain
    from reports.render.terminal import print_summary
    from reports.report import write_report

    captured = "captured" in baselines
    if captured and len(baselines) > 1:
        raise UsageError("`--baseline captured` is 1.0's log and stands alone")
    with written(place) as out:
        verdict = write_report(
            *runs,
            baseline=None if captured else [fetch(each) for each in baselines],
            gates=gates,
            config=config or configured(),
            force=force,
            out=out,
            forms=forms,
        )
    said = explain(verdict.document, gate) if gate else None
    if as_json:
        print_json(verdict.as_json() if said is None else {"gate": gate, "explanation": said})
    elif said is not None:
        click.echo(said)
    else:
        print_summary(verdict, page=f"{place}/report.html")
    if not exit_zero and verdict.exit_code:
        raise SystemExit(int(verdict.exit_code))


@fourstep.command()
@click.argument("runs", nargs=-1, type=fetch, metavar="RUN RUN...")
@click.option("--format", "form", type=click.Choice(["table", "json", "markdown", "csv"]))
@click.option("--by", type=click.Choice(["template"]), help="rows for each of them too")
@click.option("--force", is_flag=True, help="compare runs of different workloads; it is marked")
@json_option
def compare(
    runs: tuple[Path, ...], form: str | None, by: str | None, force: bool, as_json: bool
) -> None:
    """Show percentiles of runs side by side, with the ratio of each to the first.

    It judges nothing and exits 0.
    """
    from reports.render.table import FORMATS
    from reports.side_by_side import compare_runs

    if as_json and form not in (None, "json"):
        raise UsageError(f"`--json` and `--format {form}` ask for two forms")
    table = compare_runs(runs, by_template=by is not None, force=force)
    click.echo(FORMATS["json" if as_json else form or "table"](table), nl=False)


@fourstep.command()
@click.argument("runs", nargs=-1, type=fetch, metavar="[RUN]...")
@click.option("--config", type=click.Path(path_type=Path), help="[default: fourstep.toml, if any]")
@click.option("--gates", type=click.Path(path_type=Path), help="which of several runs passes")
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="first day of 1.0's bill")
@click.option("--to", "until", type=click.DateTime(["%Y-%m-%d"]), help="the day after its last")
@click.option("--refresh-prices", "refresh", is_flag=True, help="ask AWS; else what was kept")
@click.option("--svg", type=click.Path(path_type=Path), help="draw cost here")
@json_option
def cost(
    runs: tuple[Path, ...],
    config: Path | None,
    gates: Path | None,
    since: datetime | None,
    until: datetime | None,
    refresh: bool,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Price a run and a month like it; several runs against each other; or 1.0 by its bill.

    The bill is Cost Explorer's, by the tag or service of [cost.baseline]: USD 0.01 a request.
    """
    from reports.cost import verb
    from reports.cost.section import configured
    from reports.render.cost import cost_text

    known = config or configured()
    first, last = (day.date() if day else None for day in (since, until))
    if bool(runs) == bool(since or until):
        raise UsageError("`cost` takes runs, or the days of a bill by `--from` and `--to`")
    if len(runs) > 1:
        document = verb.of_runs(runs, known, gates, refresh=refresh)
    elif runs:
        document = verb.of_run(runs[0], known, refresh=refresh)
    else:
        document = verb.of_bill(first, last, known, refresh=refresh)
    for warning in document["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    if svg is not None:
        verb.draw(document, svg)
    print_json(document) if as_json else click.echo(cost_text(document))


@fourstep.command()
@click.argument("artefact", type=fetch)
@click.option("--svg", type=click.Path(path_type=Path), help="draw a workload's arrivals here")
@json_option
def inspect(artefact: Path, svg: Path | None, as_json: bool) -> None:
    """Say what is in a workload or a run."""
    from replay.inspect import as_text
    from replay.inspect import inspect as inspect_artefact

    document = inspect_artefact(artefact)
    if svg is not None:
        from reports.charts.arrivals import write_arrivals

        if "arrivals" not in document:
            raise UsageError(f"`--svg` draws a workload's arrivals; `{artefact}` is a run")
        write_arrivals(document, svg)
    print_json(document) if as_json else click.echo(as_text(document))


@fourstep.command()
@click.option(
    "-o", "--output", "out", type=click.Path(path_type=Path), default=Path("fourstep-demo")
)
@click.option("--size", type=click.Choice(["small", "medium", "large"]), default="medium")
@click.option("--seconds", type=click.IntRange(min=3), default=20, help="of traffic on 1.0")
@click.option("--redshift-like", is_flag=True, help="2.0 imitates Redshift, but for its speed")
@json_option
def demo(out: Path, size: str, seconds: int, redshift_like: bool, as_json: bool) -> None:
    """Show the whole way on an embedded 1.0 and 2.0: capture, prepare, run, report."""
    from reports.demo import run_demo

    results = sys.stderr if as_json else sys.stdout
    page = run_demo(out, size=size, seconds=seconds, redshift_like=redshift_like, results=results)
    if as_json:
        print_json({"report": str(page)})


for verb in (*VERBS, interleave, ramp, soak, history):
    fourstep.add_command(verb)


def main() -> NoReturn:
    """Run the command line; never shows a traceback without `-v`."""
    try:
        fourstep(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        context = getattr(error, "ctx", None)
        if context is not None:
            print(f"\nhint: `{context.command_path} --help` lists what it takes", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except (FourstepError, OSError) as error:
        _trace_if_asked()
        print(describe(error), file=sys.stderr)
        sys.exit(getattr(error, "exit_code", ExitCode.UNREADABLE))
    except Exception as error:
        # Python would exit 1, which means NO-GO here: a defect of ours decides nothing.
        _trace_if_asked()
        print(f"error: a defect in fourstep: {type(error).__name__}", file=sys.stderr)
        print("\nhint: `fourstep -v` and the same words show where", file=sys.stderr)
        sys.exit(ExitCode.UNDECIDED)
    sys.exit(ExitCode.DONE)


def _trace_if_asked() -> None:
    if {"-v", "--verbose"} & set(sys.argv[1:]):
        traceback.print_exc()
