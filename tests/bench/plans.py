"""Sections on what comes before the first statement: the timetable, the texts of copies."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import numpy as np

from replay.dials import Dials
from replay.marks import Marks
from replay.plan import build_plan, find_plan, write_plan
from replay.synthetic import write_synthetic
from replay.timetable import shard_of_sessions
from replay.variation import Variation
from replay.workload import Workload
from tests.bench.ground import Ground
from tests.bench.measure import FOURSTEP, local_ports, say, watched

READY = "is ready after"
REPORT = (
    "SELECT c.name, sum(d.impressions) AS shown FROM delivery d JOIN campaigns c USING (id) "
    "WHERE d.day BETWEEN '2026-01-01' AND '2026-01-28' AND c.customer = {} GROUP BY c.name LIMIT 20"
)


def plan(ground: Ground) -> None:
    """What a master and then each worker do before a run, with copies that vary."""
    workload, dials = Workload(ground.wide), Dials(scale=2)
    began_s = time.monotonic()
    laid_out = build_plan(workload, dials)
    with write_plan(laid_out, workload, ground.directory / "plan") as files:
        written_s = time.monotonic()
        mapped = find_plan(Path(files), workload, dials)
    timetable = mapped.timetable.shard(shard_of_sessions(mapped.timetable, 2) == 0)
    texts = Variation(mapped.statements, timetable, dials, "postgres")
    Marks(mapped.statements, timetable.row, writes=False, unsupported=())
    ready_s = time.monotonic()
    clone = timetable.clone_of(np.arange(timetable.statements))
    print(f"  {len(clone):,} statements on one of two workers")
    say("on the master", f"{written_s - began_s:.1f} s")
    say("then on a worker", f"{ready_s - written_s:.1f} s")
    for what, some in (("original", clone == 0), ("copy", clone > 0)):
        chosen = np.flatnonzero(some)[:200_000].tolist()
        began_s = time.monotonic()
        for index in chosen:
            texts.text(index, int(clone[index]))
        took_us = (time.monotonic() - began_s) / len(chosen) * 1e6
        say(f"for the text of each {what}", f"{took_us:.2f} µs")


def timetable(ground: Ground) -> None:
    """A timetable of millions of statements: laying it out, and being ready to play it."""
    count = ground.planned
    workload = Path(tempfile.gettempdir()) / f"fourstep-bench-{count}"
    if not (workload / "manifest.json").is_file():
        number = np.arange(count)
        write_synthetic(workload, due_us=number * 1_000, session=number % 5_000, question=REPORT)
    command = [*FOURSTEP, "run", "--workload", str(workload), "--dry-run"]
    found = watched(command, ground.directory)
    peak_mb = max(found.peak_mb.values())
    print(f"  {count:,} statements, in `{workload}` for the next time")
    say("laid out, process and all", f"{found.took_s:.1f} s", "60 s", met=found.took_s <= 60)
    say("peak memory", f"{peak_mb:,.0f} MB", "2,048 MB", met=peak_mb <= 2_048)
    options = ["--host", "null:", "--run-dir", str(ground.directory / "ready"), *local_ports()]
    # As a worker beside its master; what is planned need not be played.
    found = watched([*command[:-1], "--processes", "1", *options], ground.directory, until=READY)
    told = re.search(rf"{READY} ([\d.]+) s", found.text)
    ready_s = float(told[1]) if told else float("inf")
    say("a worker is ready after", f"{ready_s:.1f} s", "5 s", met=ready_s <= 5)
    peaks = ", ".join(f"{peak:,.0f}" for peak in sorted(found.peak_mb.values()))
    say("peak memory, by process", f"{peaks} MB")
