"""`make bench`: capture and flat-out replay beside pgreplay, on one real trace.

    python -m tests.bench [STATEMENTS]

Each line is a figure of this run on this machine, with its ratio to the peer in the same run where
there is one; a peer that is not installed is said to be missing. Whole processes are timed, their
start included.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from replay.dials import Dials
from replay.marks import Marks
from replay.plan import build_plan, find_plan, write_plan
from replay.run import Run
from replay.target.embedded import EmbeddedServer
from replay.timetable import shard_of_sessions
from replay.variation import Variation
from replay.workload import Workload
from tests.bench.traces import (
    SETTINGS,
    activity_log,
    host_of,
    run,
    slow_log,
    trace,
    written,
)
from tests.bench.wide import TEMPLATES, write_wide

PEAK = """
import pathlib, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print(next(line for line in status.splitlines() if "VmHWM" in line), file=sys.stderr)
"""
PREPARED = 1_000_000
RUNS = 3
"""Of each capture; the median counts."""


def main(statements: int) -> None:
    """Make the logs, measure, print."""
    with (
        tempfile.TemporaryDirectory(prefix="fourstep-bench-") as name,
        EmbeddedServer("bench", settings=SETTINGS) as server,
    ):
        directory = Path(name)
        logs = trace(server, directory, statements)
        logs["slow log"] = written(directory / "slow.log", slow_log(statements // 2))
        logs["user activity log"] = written(directory / "activity", activity_log(statements))
        peer = shutil.which("pgreplay")
        parsed = str(directory / "trace.replay")
        print(f"capture of {statements:,} statements      MB   MB/s  statements/s  peak MB")
        for form, log in logs.items():
            size_mb = log.stat().st_size / 1e6
            ours = [*_fourstep(), "capture", str(log), "-o", str(directory / form)]
            theirs = [peer, "-f", "-c", "-o", parsed, str(log)] if peer and form == "csvlog" else []
            # In turn, so that what else the machine does falls on both.
            runs = [(_timed(ours), _timed(theirs) if theirs else None) for _ in range(RUNS)]
            ours_s = median(mine for mine, _ in runs)
            peak_mb = _peak_mb(ours)
            ratio = ""
            if theirs:
                theirs_s = median(other for _, other in runs if other)
                only_parsing = f"pgreplay -f, which only parses: {size_mb / theirs_s:.0f} MB/s"
                ratio = f"{theirs_s / ours_s:.2f} of {only_parsing}"
            captured = statements // 2 if form == "slow log" else statements
            print(f"  {form:<24}{size_mb:12.0f}{size_mb / ours_s:7.1f}{captured / ours_s:14,.0f}"
                  f"{peak_mb:9.0f}  {ratio}", flush=True)  # fmt: skip
        _prepare(directory, PREPARED)
        _plan(directory)
        rate = _replay(server, directory)
        print(f"replay of csvlog: {rate:,.0f} statements/s flat out, one worker, every sample kept")
        if not peer:
            sys.exit("pgreplay is not installed: no ratios")
        host = host_of(server)
        theirs_s = _timed([peer, "-r", "-j", "-s", "1000000", "-h", host, parsed])
        print(f"  {rate * theirs_s / statements:.2f} of pgreplay's {statements / theirs_s:,.0f}")


def _prepare(directory: Path, statements: int) -> None:
    write_wide(directory / "wide", statements)
    command = [*_fourstep(), "prepare", str(directory / "wide"), "--write", "redshift"]
    command += ["-o", str(directory / "prepared")]
    took_s = _timed(command)
    print(
        f"prepare of {statements:,} statements of {TEMPLATES} templates for Redshift: "
        f"{took_s:.1f} s, {statements / took_s:,.0f} statements/s, {_peak_mb(command):.0f} MB",
        flush=True,
    )


def _plan(directory: Path) -> None:
    """What a master and then each worker do before a run, with copies that vary."""
    workload, dials = Workload(directory / "wide"), Dials(scale=2)
    began_s = time.monotonic()
    plan = build_plan(workload, dials)
    with write_plan(plan, workload, directory / "plan") as files:
        written_s = time.monotonic()
        mapped = find_plan(Path(files), workload, dials)
    timetable = mapped.timetable.shard(shard_of_sessions(mapped.timetable, 2) == 0)
    texts = Variation(mapped.statements, timetable, dials, "postgres")
    Marks(mapped.statements, timetable.row, writes=False, unsupported=())
    ready_s = time.monotonic()
    clone = timetable.clone_of(np.arange(timetable.statements))
    print(
        f"plan of {len(clone):,} statements on one of two workers: "
        f"{written_s - began_s:.1f} s on the master, then {ready_s - written_s:.1f} s on a worker"
    )
    for what, some in (("original", clone == 0), ("copy", clone > 0)):
        chosen = np.flatnonzero(some)[:200_000].tolist()
        began_s = time.monotonic()
        for index in chosen:
            texts.text(index, int(clone[index]))
        took_us = (time.monotonic() - began_s) / len(chosen) * 1e6
        print(f"  {took_us:.2f} µs for the text of each {what}", flush=True)


def _replay(server: EmbeddedServer, directory: Path) -> float:
    out = directory / "run"
    run(
        [
            *[*_fourstep(), "run", "--workload", str(directory / "csvlog")],
            *["--host", server.url(), "--speed", "1000000", "--run-dir", str(out)],
            *["--lag-budget-ms", "1000000"],
        ],
    )
    samples = Run(out).samples()
    sent_us, done_us = (samples[name].drop_null().to_numpy() for name in ("sent_us", "done_us"))
    return float(len(done_us) / (np.max(done_us) - np.min(sent_us)) * 1e6)


def _timed(command: list[str]) -> float:
    """Seconds of a whole process."""
    began_s = time.monotonic()
    run(command)
    return time.monotonic() - began_s


def _peak_mb(command: list[str]) -> float:
    """Peak memory of `python -m MODULE …`, by its own word: what wait() tells counts its parent's.

    Linux only.
    """
    _, _, module, *arguments = command
    told = subprocess.run(
        [sys.executable, "-c", PEAK, module, *arguments], capture_output=True, text=True, check=True
    )
    return int(told.stderr.splitlines()[-1].split()[1]) / 1024


def _fourstep() -> list[str]:
    return [sys.executable, "-m", "reports"]


main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
