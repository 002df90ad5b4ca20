"""The verbs of the replay side alone: capture, run, calibrate; and options that others share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from replay.errors import ExitCode
from replay.moment import moment_of
from replay.sequence import play
from replay.store import Prefix, fetch, is_remote, written

if TYPE_CHECKING:
    from replay.filter import Filter

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """`--json`: one document on standard output and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="print one JSON document")(command)


def print_json(document: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """The document of `--json`."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def filter_options(command: Command) -> Command:
    """Which statements to keep: window, users, databases, applications, patterns."""
    for option in reversed(
        (
            click.option("--from", "since", help="keep statements from this moment (ISO 8601) on"),
            click.option("--to", "until", help="keep statements before this moment"),
            click.option("--user", "users", multiple=True),
            click.option("--database", "databases", multiple=True),
            click.option("--application", "applications", multiple=True),
            click.option("--include", help="keep statements that match this regular expression"),
            click.option("--exclude", help="leave out statements that match this one"),
        )
    ):
        command = option(command)
    return command


def filter_of(
    *,
    since: str | None,
    until: str | None,
    users: tuple[str, ...],
    databases: tuple[str, ...],
    applications: tuple[str, ...],
    **others: Any,  # noqa: ANN401  of Filter
) -> Filter:
    """What those options keep; raises UsageError where a moment or a pattern is none."""
    from replay.filter import Filter

    return Filter(
        since=moment_of(since, option="--from") if since else None,
        until=moment_of(until, option="--to") if until else None,
        users=frozenset(users),
        databases=frozenset(databases),
        applications=frozenset(applications),
        **others,
    )


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("-o", "--output", "place", metavar="DIR|s3://…", required=True)
@click.option(
    "--format",
    "log_format",
    default="auto",
    show_default=True,
    metavar="FORMAT",
    help="postgres-csv|postgres-json|postgres-stderr|mysql-slow|mysql-general|redshift-audit|"
    "redshift-sys|csv|jsonl|parquet",
)
@click.option("--log-line-prefix", help="PostgreSQL's setting, where it is none of the usual ones")
@click.option(
    "--columns", type=click.Path(path_type=Path), help="what columns of csv, jsonl, parquet mean"
)
@click.option("--timezone", help="zone of the log's stamps, where they name an ambiguous one")
@filter_options
@click.option(
    "--redact",
    type=click.Choice(["none", "secrets", "literals"]),
    default="secrets",
    show_default=True,
    help="what never reaches the workload",
)
@json_option
def capture(
    sources: tuple[str, ...],
    place: str,
    log_format: str,
    log_line_prefix: str | None,
    columns: Path | None,
    timezone: str | None,
    redact: str,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401  of filter_options
) -> None:
    """Read the logs of 1.0 and write a workload.

    SOURCE is a file, a glob, a directory, - for standard input, s3://BUCKET/PREFIX,
    cloudwatch://GROUP or redshift://USER@HOST/DATABASE (the system views). The format is told
    by content, and so is compression.
    """
    from replay.capture.capture import capture as capture_logs
    from replay.inspect import as_text, inspect_workload
    from replay.progress import Progress

    progress = Progress()
    with written(place) as out:
        workload = capture_logs(
            sources,
            out,
            log_format=log_format,
            log_line_prefix=log_line_prefix,
            columns=columns,
            timezone=timezone,
            keep=filter_of(**wanted),
            redact=redact,
            progress=lambda records: progress(f"captured from {records:,} records"),
            tell=lambda line: click.echo(line, err=True),
        )
        progress.clear()
        document = inspect_workload(workload) | {"workload": place}
    print_json(document) if as_json else click.echo(as_text(document))


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    }
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@json_option
def run(options: tuple[str, ...], as_json: bool) -> None:
    """Replay: Locust with our locustfile, headless; takes every option of both.

    The run's directory is printed last.
    """
    played = play(options, captured=as_json)
    if played.place:
        document = fetch(played.place) / "run.json"
        click.echo(document.read_text(encoding="utf-8"), nl=False)
    if played.exit_code:
        raise SystemExit(played.exit_code)


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2, help="of each measurement")
@json_option
def calibrate(seconds: float, as_json: bool) -> None:
    """Measure for about a minute what one worker of this idle machine can do, and keep it."""
    from replay.calibrate import as_text
    from replay.calibrate import calibrate as calibrate_machine

    document = calibrate_machine(seconds=seconds, tell=lambda line: click.echo(line, err=True))
    print_json(document) if as_json else click.echo(as_text(document))


@click.command()
@click.argument("place", metavar="RUN")
@click.option("--host", required=True, metavar="URL", help="of the server that the run asked")
@click.option(
    "--system-views",
    type=click.Choice(["connection", "data-api"]),
    default="connection",
    show_default=True,
    help="how its views are read; data-api: where only HTTPS is open",
)
@json_option
def inside(place: str, host: str, system_views: str, as_json: bool) -> None:
    """Read what Redshift itself says of a run's statements into the run, perhaps again.

    A run does so at its end; what its views keep is gone after days.
    """
    from replay.inside.inside import in_words, look_inside, written_names
    from replay.inside.patience import Patience
    from replay.inside.views import open_views
    from replay.progress import Progress
    from replay.run import Run
    from replay.target.target import parse_target

    path, progress = fetch(place), Progress()
    target = parse_target(host, statement_timeout_s=300)
    facts = Run(path).document["target"]
    server = look_inside(
        path,
        views=lambda: open_views(target, facts, how=system_views),
        patience=Patience(progress),
    )
    progress.clear()
    if is_remote(place):
        Prefix(place).put(path, written_names(path))
    print_json(server) if as_json else click.echo("\n".join(in_words(server)))
    if server["source"] is None:
        raise SystemExit(int(ExitCode.UNREACHABLE))


VERBS = (capture, run, inside, calibrate)
