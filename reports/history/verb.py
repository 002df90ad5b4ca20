"""`fourstep history`: a night added, all of them judged, and a page of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from replay.artefact import read_json, write_text
from replay.cli import json_option, print_json
from replay.errors import ExitCode, Unreadable, UsageError

_CODES = {"regression": ExitCode.NO_GO, "no regression": ExitCode.DONE}


@click.command()
@click.argument("history", metavar="DIR|s3://…")
@click.option("--add", "reports", multiple=True, type=click.Path(path_type=Path), metavar="REPORT")
@click.option("--ack", metavar="RUN_ID", help="what is worse by this night is known")
@click.option("--why", help="the reason, with --ack")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="write pages here")
@click.option("--fail-on", type=click.Choice(["regression"]), help="exit 1 on it, 3 if too short")
@json_option
def history(
    history: str,
    reports: tuple[Path, ...],
    ack: str | None,
    why: str | None,
    out: Path | None,
    fail_on: str | None,
    as_json: bool,
) -> None:
    """Keep each night's summary, and judge the latest by the nights before.

    --add takes the directory that `report` wrote; a run that is there already is not added again.
    Without --fail-on it exits 0 whatever it finds.
    """
    from reports.history.judgement import judge_nights
    from reports.history.night import Night
    from reports.history.nights import acknowledge, add_night, read_nights
    from reports.history.place import Place
    from reports.render.history import history_text

    if bool(ack) != bool(why):
        raise UsageError("`--ack` and `--why` belong together", hint='--ack RUN_ID --why "…"')
    place = Place(history)
    for report in reports:
        night = Night.from_verdict(read_json(report / "verdict.json", what="report"))
        if not add_night(place, night):
            click.echo(f"run {night.run_id} is in the history already", err=True)
    if ack and why:
        acknowledge(place, ack, why=why)
    found = read_nights(place)
    if not found.nights:
        damaged = f", and {len(found.damaged)} files are damaged" if found.damaged else ""
        raise Unreadable(f"`{history}` holds no nights{damaged}", hint="add one: --add REPORT")
    judgement = judge_nights(found)
    document = {"history": history, **judgement.as_json(), "damaged": found.damaged}
    if out is not None:
        _write_pages(out, document)
    print_json(document) if as_json else click.echo(history_text(document))
    if fail_on and (code := _CODES.get(judgement.state, ExitCode.UNDECIDED)):
        raise SystemExit(int(code))


def _write_pages(out: Path, document: Mapping[str, Any]) -> None:
    from reports.charts.nights import draw_nights
    from reports.charts.style import figure_to_svg
    from reports.render.history import history_junit, history_markdown, history_page

    title = f"{document['state']}: {document['reason']}"
    chart = figure_to_svg(draw_nights(document, title=title), name="nights", description=title)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "history.html", history_page(document, chart))
    write_text(out / "history.md", history_markdown(document))
    write_text(out / "history.xml", history_junit(document))
