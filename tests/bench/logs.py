"""Sections on the way in: capture beside pgreplay, prepare."""

from __future__ import annotations

from statistics import median

from tests.bench.ground import WIDE, Ground
from tests.bench.measure import FOURSTEP, timed, watched
from tests.bench.traces import activity_log, slow_log, written
from tests.bench.wide import TEMPLATES

RUNS = 3
"""Of each capture; the median counts."""


def capture(ground: Ground) -> None:
    """Every format, one beside pgreplay."""
    directory, statements = ground.directory, ground.statements
    logs = dict(ground.logs)
    logs["slow log"] = written(directory / "slow.log", slow_log(statements // 2))
    logs["user activity log"] = written(directory / "activity", activity_log(statements))
    parsed = str(directory / "timed.replay")
    print(f"  {statements:,} statements              MB   MB/s  statements/s  peak MB")
    for form, log in logs.items():
        size_mb = log.stat().st_size / 1e6
        ours = [*FOURSTEP, "capture", str(log), "-o", str(directory / form)]
        theirs: list[str] = []
        if ground.peer and form == "csvlog":
            theirs = [ground.peer, "-f", "-c", "-o", parsed, str(log)]
        # In turn, so that what else the machine does falls on both.
        runs = [(timed(ours), timed(theirs) if theirs else None) for _ in range(RUNS)]
        ours_s = median(mine for mine, _ in runs)
        peak_mb = max(watched(ours, directory).peak_mb.values())
        ratio = ""
        if theirs:
            theirs_s = median(other for _, other in runs if other)
            only_parsing = f"pgreplay -f, which only parses: {size_mb / theirs_s:.0f} MB/s"
            ratio = f"{theirs_s / ours_s:.2f} of {only_parsing}"
        captured = statements // 2 if form == "slow log" else statements
        print(f"  {form:<24}{size_mb:12.0f}{size_mb / ours_s:7.1f}{captured / ours_s:14,.0f}"
              f"{peak_mb:9.0f}  {ratio}", flush=True)  # fmt: skip


def prepare(ground: Ground) -> None:
    """A million statements of many templates for Redshift."""
    command = [*FOURSTEP, "prepare", str(ground.wide), "--write", "redshift"]
    found = watched([*command, "-o", str(ground.directory / "prepared")], ground.directory)
    print(
        f"  {WIDE:,} statements of {TEMPLATES} templates: {found.took_s:.1f} s, "
        f"{WIDE / found.took_s:,.0f} statements/s, {max(found.peak_mb.values()):.0f} MB",
        flush=True,
    )
