"""Everything a run needs before its first statement, checked.

Whatever can be wrong with options, workload, target or run directory shows here, before any
worker is told anything.
"""

from __future__ import annotations

import logging
import secrets
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replay.demo.bundle import bundled_workload
from replay.dials import Dials
from replay.errors import Unreadable, UsageError
from replay.ingest.background import NOTES, Background, captured_loads_s, refuse_unwritable
from replay.ingest.config import read_ingest
from replay.plan import Plan, build_plan, write_plan
from replay.run import Run
from replay.store import Prefix, fetch, is_remote, staged
from replay.swarm.abort import Watch, rules_of
from replay.swarm.board import Board
from replay.swarm.client import ClientNotes
from replay.swarm.labels import labels_of
from replay.swarm.legs import Legs, go_on, refuse_other
from replay.swarm.looking import Look
from replay.swarm.open_run import OpenRun
from replay.swarm.options import dials_of
from replay.target.embedded import open_embedded
from replay.target.target import parse_target, probe_target, target_of
from replay.timetable import Timetable, shard_of_sessions
from replay.waiter import in_thread
from replay.workload import Workload

logger = logging.getLogger(__name__)


def in_words(timetable: Timetable, dials: Dials, *, part: tuple[int, int] = (0, 1)) -> str:
    """What a user is told of a timetable, or of a worker's part of it, before a run."""
    if dials.mode == "open":
        return timetable.in_words
    often = "again and again" if dials.endless else "once"
    return (
        f"{timetable.statements:,} statements in {timetable.sessions:,} sessions, of which "
        f"{len(dials.users_of(*part)):,} connections draw {dials.draw} {often}"
    )


def dry_run(options: Namespace) -> str:
    """What a run with these options would replay; asks no target and writes nothing.

    Raises:
        UsageError: dials make no sense.
        Unreadable: the workload cannot be read.
    """
    dials = dials_of(options)
    workload, plan = _laid_out(options, dials)
    timetable = plan.timetable
    shards = max(options.processes or 0, options.expect_workers or 0, 1)
    lines = [f"`{workload.path}`: {in_words(timetable, dials)}"]
    if shards > 1:
        shard = shard_of_sessions(timetable, shards)
        for number in range(shards):
            part = timetable.shard(shard == number)
            words = in_words(part, dials, part=(number, shards))
            lines.append(f"worker {number + 1} of {shards}: {words}")
    return "\n".join(lines)


def _laid_out(options: Namespace, dials: Dials) -> tuple[Workload, Plan]:
    workload = Workload(fetch(options.workload) if options.workload else bundled_workload())
    if not len(workload):
        raise Unreadable(f"`{workload.path}` holds no statement", hint="capture a longer window")
    plan = build_plan(workload, dials)
    if not plan.timetable.statements:
        raise UsageError(
            "the dials leave no statement to replay", hint="raise --scale, widen --from and --to"
        )
    return workload, plan


def open_run(options: Namespace, *, host: str) -> OpenRun:
    """Check everything, start an embedded server if the host is one, and lay out the timetable.

    Raises:
        UsageError: dials, URL or run directory make no sense.
        Unreadable: the workload cannot be read.
        Unreachable: the target does not let us in.
    """
    dials, watch = dials_of(options), Watch(rules_of(options))
    before = Run(Path(options.resume)) if options.resume else None
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run_id = before.run_id if before else run_id
    place = options.resume or options.run_dir or str(Path("runs") / run_id)
    path = before.path if before else _free_directory(place, run_id)
    # In a thread of its own: heartbeats of workers and the web page go on.
    workload, plan = in_thread(lambda: _laid_out(options, dials))
    if before:
        refuse_other(before, workload, dials, ingest=bool(options.ingest))
    legs = in_thread(lambda: go_on(before, plan)) if before else Legs()
    groups = list(dict.fromkeys(in_thread(lambda: labels_of(workload)).values()))
    length_s = min(filter(None, (plan.timetable.length_us / 1e6, options.run_time)), default=0.0)
    url = host
    server = open_embedded(url)
    try:
        if server is not None:
            server.start()
            url = server.url()
        target = in_thread(lambda: target_of(url, dials, run_id=run_id))
        facts = in_thread(lambda: probe_target(target))
        look = Look(target, target.as_json() | facts, options.system_views)
        look.begin()
        writer = in_thread(lambda: _writer(options, plan, dials, url=url, notes=path / NOTES))
        files = in_thread(lambda: write_plan(plan, workload, path))
    except BaseException:
        if server is not None:
            server.stop()
        raise
    return OpenRun(
        run_id=run_id,
        path=path,
        place=place,
        workload_uri=(
            options.workload if is_remote(options.workload) else str(workload.path.resolve())
        ),
        workload=workload,
        dials=dials,
        url=url,
        target=target,
        target_facts=facts | ({"embedded": server.name} if server is not None else {}),
        server=server,
        plan=plan,
        plan_files=files,
        legs=legs,
        client=ClientNotes(path, length_s=length_s),
        watch=watch,
        writer=writer,
        board=Board(groups, length_s=length_s, lag_budget_ms=dials.lag_budget_ms),
        look=look,
    )


def _writer(options: Namespace, plan: Plan, dials: Dials, *, url: str, notes: Path) -> Background:
    """What shall be written meanwhile, checked; nothing where no one asked."""
    timeout_s = dials.statement_timeout_s
    order: dict[str, Any] = {"url": url, "statement_timeout_s": timeout_s, "notes": str(notes)}
    if not options.ingest:
        return Background(None, order)
    ingest = read_ingest(Path(options.ingest))
    order["captured_s"] = captured_loads_s(plan) if ingest.every_s is None else []
    if ingest.every_s is None and not order["captured_s"]:
        raise UsageError(
            f"`{options.ingest}` asks for captured loads, and the workload holds no COPY",
            hint="keep them with `fourstep prepare --writes`, or give `rows_per_s`",
        )
    refuse_unwritable(ingest, parse_target(url, statement_timeout_s=timeout_s, writes=True))
    return Background(ingest, order)


def _free_directory(place: str, run_id: str) -> Path:
    path = staged(place, run_id)
    if is_remote(place):
        in_thread(lambda: Prefix(place).refuse_taken())
    if (path / "run.json").exists() or (path.is_dir() and any(path.iterdir())):
        raise UsageError(
            f"`{path}` is not empty, and a run never overwrites another",
            hint="choose another --run-dir, or leave it out",
        )
    return path
