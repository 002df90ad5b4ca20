"""Everything a run needs before its first statement, checked; and the run.json that says it.

Whatever can be wrong with options, workload, target or run directory shows here, before any
worker is told anything.
"""

from __future__ import annotations

import logging
import secrets
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import replay
from replay.artefact import sha256_of, write_json
from replay.calibration import compared
from replay.demo.bundle import bundled_workload
from replay.dials import Dials
from replay.errors import FourstepError, Unreadable, UsageError
from replay.ingest.background import NOTES, Background, captured_loads_s, refuse_unwritable
from replay.ingest.config import Ingest, read_ingest
from replay.inside.patience import Patience
from replay.plan import Plan, build_plan, find_plan, write_plan
from replay.run import SCHEMA_VERSION, Ledger, Run, versions
from replay.samples import RESERVES
from replay.store import Prefix, fetch, is_remote, staged
from replay.swarm.board import Board
from replay.swarm.labels import labels_of
from replay.swarm.looking import Look
from replay.swarm.options import dials_of
from replay.swarm.settle import Settlement, settle
from replay.swarm.warm_up import FILE as WARM_UP
from replay.swarm.warm_up import warm_up
from replay.target.embedded import EmbeddedServer, open_embedded
from replay.target.target import Target, parse_target, probe_target, target_of
from replay.timetable import Timetable, shard_of_sessions
from replay.waiter import in_thread
from replay.workload import Workload

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class OpenRun:
    """A run that may begin, and its directory."""

    run_id: str
    path: Path
    """On this machine; published to `place` where that is remote."""
    place: str
    workload_uri: str
    workload: Workload
    dials: Dials
    url: str
    target: Target
    target_facts: dict[str, Any]
    server: EmbeddedServer | None
    plan: Plan
    plan_files: TemporaryDirectory[str]
    board: Board
    look: Look
    ingest: Ingest | None = None
    writer: Background | None = None
    writer_failure: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    calibration: dict[str, Any] | None = None
    zero_at: datetime | None = None
    """When everything is counted from, by this machine's clock."""
    warm_up: dict[str, Any] | None = None

    def assignment(self, *, shard: int, shards: int) -> dict[str, Any]:
        """What one worker must know; the rest it computes."""
        return {
            "run_id": self.run_id,
            "shard": shard,
            "shards": shards,
            "workload": self.workload_uri,
            "sha256": self.workload.sha256,
            "run_dir": self.place if is_remote(self.place) else str(self.path.resolve()),
            "plan": Path(self.plan_files.name).name,
            "url": self.url,
            "dials": self.dials.as_json(),
        }

    def begin(self, *, workers: int) -> None:
        """Make the directory and say that everything planned is still unknown."""
        laid_out = _shape(self.plan.timetable, self.dials)
        self.calibration = compared(self.target.kind, laid_out, workers=max(1, workers))
        self.path.mkdir(parents=True, exist_ok=True)
        planned = 0 if self.dials.endless else self.plan.timetable.statements
        self._write(Ledger(planned=planned, unknown=planned), workers=[], ended_by=None)
        (self.path / "samples").mkdir(exist_ok=True)
        self._publish(["run.json"])

    def warm(self, *, goes_on: Callable[[], bool], progress: Callable[[str], None]) -> None:
        """Have the target see each template once where the dials want it; call before `begin`."""
        wanted = self.dials.warm_up
        if not (self.target.kind == "redshift" if wanted is None else wanted):
            return
        directory, session = Path(self.plan_files.name), dict(self.target.session)
        if "query_group" in session:
            # The server's own figures of the warm-up are not the run's either.
            session["query_group"] += "w"
        plan = in_thread(lambda: find_plan(directory, self.workload, self.dials))
        self.warm_up = warm_up(
            plan,
            self.path,
            target=replace(self.target, session=session),
            statement_timeout_s=self.dials.statement_timeout_s,
            unsupported=self.workload.unsupported(),
            goes_on=goes_on,
            progress=progress,
        )
        self._publish([WARM_UP])
        told = "warm-up: %(templates)d templates, %(ok)d ok, %(error)d not, %(duration_us)d us"
        logger.info(told, self.warm_up)
        # What it took is not the run's.
        self.started_at = datetime.now(UTC)

    def start_writer(self, zero_epoch_s: float) -> None:
        """Begin to load rows in the background, if this run shall."""
        if self.ingest is not None:
            self.writer = Background(
                {
                    "ingest": self.ingest.as_json(),
                    "captured_s": captured_loads_s(self.plan),
                    "zero_epoch_s": zero_epoch_s,
                    "url": self.url,
                    "statement_timeout_s": self.dials.statement_timeout_s,
                    "notes": str(self.path / NOTES),
                }
            )

    def stop_writer(self) -> None:
        """End the background writer; what it noted stays."""
        writer, self.writer = self.writer, None
        if writer is not None:
            self.writer_failure = in_thread(writer.end)
            if self.writer_failure:
                logger.error("%s", self.writer_failure)

    def end(self, *, workers: list[dict[str, Any]], ended_by: str) -> Settlement:
        """Complete the samples, count them, and write the final run.json."""
        self.stop_writer()
        for reserve in (self.path / "samples").glob(RESERVES):
            # A worker that was killed could not give it back.
            reserve.unlink(missing_ok=True)
        lost = sum(
            len(self.dials.users_of(worker["shard"], len(workers)))
            for worker in workers
            if worker["lost"] and self.dials.endless
        )
        arrived = in_thread(lambda: {each["file"] for each in workers if self._arrived(each)})
        settlement = in_thread(
            lambda: settle(Run(self.path), self.plan, endless=self.dials.endless, lost=lost)
        )
        self._write(settlement.ledger, workers=workers, ended_by=ended_by)
        left = {file.name for file in (self.path / "samples").iterdir()} - arrived
        others = [NOTES] if (self.path / NOTES).exists() else []
        self._publish(["run.json", *others, *(f"samples/{name}" for name in left)])
        return settlement

    def look_inside(self, patience: Patience) -> None:
        """Read what the server says of the run, where it is one that can be asked."""
        self._publish(self.look.end(self.path, patience))

    def _arrived(self, worker: dict[str, Any]) -> bool:
        """True when a worker's samples are here as it wrote them; else they are unknown."""
        if not worker["file"]:
            return False
        name = f"samples/{worker['file']}"
        path = self.path / name
        try:
            if is_remote(self.place) and not path.exists():
                Prefix(self.place).get(name, path)
            if sha256_of(path) == worker["sha256"]:
                return True
            path.rename(path.with_suffix(".damaged"))
            why = "they do not match their checksum"
        except (FourstepError, OSError) as error:
            why = f"{error}; machines that share no directory need --run-dir s3://…"
        worker["failure"] = f"its samples did not arrive: {why}"
        logger.error("worker %s: %s", worker["worker"], worker["failure"])
        return False

    def _publish(self, names: list[str]) -> None:
        if is_remote(self.place):
            in_thread(lambda: Prefix(self.place).put(self.path, names))

    def close(self) -> None:
        """Remove the plan's files, and stop the embedded server if this run started one."""
        self.stop_writer()
        self.plan_files.cleanup()
        if self.server is not None:
            self.server.stop()

    def _write(
        self, ledger: Ledger, *, workers: list[dict[str, Any]], ended_by: str | None
    ) -> None:
        ended_at = None if ended_by is None else _iso(datetime.now(UTC))
        copies = self.plan.timetable.copies
        varied = sum(worker["varied"] or 0 for worker in workers)
        write_json(
            self.path / "run.json",
            {
                "schema_version": SCHEMA_VERSION,
                "run_id": self.run_id,
                "tool_version": replay.__version__,
                "versions": versions(),
                "workload": {
                    "uri": self.workload_uri,
                    "sha256": self.workload.sha256,
                },
                "target": self.target.as_json() | self.target_facts,
                "dials": self.dials.as_json(),
                "seed": self.dials.seed,
                "started_at": _iso(self.started_at),
                "zero_at": self.zero_at and self.zero_at.isoformat(timespec="microseconds"),
                "ended_at": ended_at,
                "ended_by": ended_by,
                "timetable": _shape(self.plan.timetable, self.dials),
                "calibration": self.calibration,
                "warm_up": self.warm_up,
                "workers": workers,
                "variation": {
                    "mode": self.dials.vary,
                    "clones": copies,
                    "varied": varied,
                    "share": varied / copies if copies else None,
                },
                "ingest": None if self.ingest is None else self._ingest(),
                "ledger": ledger.as_json(),
            },
        )

    def _ingest(self) -> dict[str, Any]:
        assert self.ingest is not None
        rate = {"rows_per_s": self.ingest.rows_per_s, "failure": self.writer_failure}
        return self.ingest.as_json() | rate


def in_words(timetable: Timetable, dials: Dials, *, part: tuple[int, int] = (0, 1)) -> str:
    """What a user is told of a timetable, or of a worker's part of it, before a run."""
    if dials.mode == "open":
        return timetable.in_words
    often = "again and again" if dials.endless else "once"
    return (
        f"{timetable.statements:,} statements in {timetable.sessions:,} sessions, of which "
        f"{len(dials.users_of(*part)):,} connections draw {dials.draw} {often}"
    )


def _shape(timetable: Timetable, dials: Dials) -> Mapping[str, int | None]:
    """The `timetable` object of run.json."""
    if dials.mode == "open":
        return timetable.as_json()
    untimed = dict.fromkeys(("length_us", "peak_rate_per_s"), None)
    sizes = {"statements": timetable.statements, "sessions": timetable.sessions}
    return {**sizes, **untimed, "peak_sessions": dials.users}


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
    dials = dials_of(options)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    place = options.run_dir or str(Path("runs") / run_id)
    path = _free_directory(place, run_id)
    # In a thread of its own: heartbeats of workers and the web page go on.
    workload, plan = in_thread(lambda: _laid_out(options, dials))
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
        ingest = in_thread(lambda: _ingest(options, plan, dials, url))
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
        ingest=ingest,
        board=Board(groups, length_s=length_s, lag_budget_ms=dials.lag_budget_ms),
        look=look,
    )


def _ingest(options: Namespace, plan: Plan, dials: Dials, url: str) -> Ingest | None:
    """What shall be written meanwhile, checked."""
    if not options.ingest:
        return None
    ingest = read_ingest(Path(options.ingest))
    if ingest.every_s is None and not captured_loads_s(plan):
        raise UsageError(
            f"`{options.ingest}` asks for captured loads, and the workload holds no COPY",
            hint="keep them with `fourstep prepare --writes`, or give `rows_per_s`",
        )
    timeout_s = dials.statement_timeout_s
    refuse_unwritable(ingest, parse_target(url, statement_timeout_s=timeout_s, writes=True))
    return ingest


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


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
