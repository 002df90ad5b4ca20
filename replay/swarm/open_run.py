"""A run from when it may begin to when it is settled: its directory, and the run.json in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import replay
from replay.artefact import sha256_of, write_json
from replay.calibration import compared
from replay.dials import Dials
from replay.errors import FourstepError
from replay.ingest.background import NOTES, Background
from replay.inside.patience import Patience
from replay.plan import Plan, find_plan
from replay.run import CLIENT, SCHEMA_VERSION, Ledger, Run, files_of, versions
from replay.samples import RESERVES
from replay.store import Prefix, is_remote
from replay.swarm.abort import Watch
from replay.swarm.board import Board
from replay.swarm.client import ClientNotes
from replay.swarm.legs import Legs, clear
from replay.swarm.looking import Look
from replay.swarm.settle import Settlement, settle
from replay.swarm.warm_up import FILE as WARM_UP
from replay.swarm.warm_up import warm_up
from replay.target.embedded import EmbeddedServer
from replay.target.target import Target
from replay.timetable import Timetable
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
    legs: Legs
    client: ClientNotes
    watch: Watch
    board: Board
    look: Look
    writer: Background
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    calibration: dict[str, Any] | None = None
    zero_at: datetime | None = None
    """When everything is counted from, by this machine's clock."""
    warm_up: dict[str, Any] | None = None
    aborted: str | None = None
    """Why a rule ended it, if one did."""

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
            "from_us": self.legs.from_us,
            "url": self.url,
            "dials": self.dials.as_json(),
        }

    def begin(self, *, workers: int) -> None:
        """Make the directory and say that everything planned is still unknown."""
        laid_out = _shape(self.plan.timetable, self.dials)
        self.calibration = compared(self.target.kind, laid_out, workers=max(1, workers))
        self.path.mkdir(parents=True, exist_ok=True)
        if self.legs.started_at:
            own = self.path.resolve() / Path(self.plan_files.name).name
            in_thread(lambda: clear(self.path.resolve(), self.legs, own_plan=own))
        self._write_begun()
        (self.path / "samples").mkdir(exist_ok=True)
        self._publish(["run.json"])

    def goes(self, zero_at: datetime) -> None:
        """Note when it begins: a run that is killed cannot say it later."""
        self.zero_at = zero_at
        self._write_begun()

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

    def end(self, *, workers: list[dict[str, Any]], ended_by: str) -> Settlement:
        """Complete the samples, count them, and write the final run.json."""
        in_thread(self.writer.end)
        for reserve in (self.path / "samples").glob(RESERVES):
            # A worker that was killed could not give it back.
            reserve.unlink(missing_ok=True)
        lost = sum(
            len(self.dials.users_of(worker["shard"], len(workers)))
            for worker in workers
            if worker["lost"] and self.dials.endless
        )
        arrived = in_thread(lambda: {name for each in workers for name in self._arrived(each)})
        settlement = in_thread(
            lambda: settle(Run(self.path), self.plan, endless=self.dials.endless, lost=lost)
        )
        self._write(settlement.ledger, workers=workers, ended_by=ended_by)
        left = {file.name for file in (self.path / "samples").iterdir()} - arrived
        others = [name for name in (NOTES, CLIENT) if (self.path / name).exists()]
        self._publish(["run.json", *others, *(f"samples/{name}" for name in left)])
        return settlement

    def look_inside(self, patience: Patience) -> None:
        """Read what the server says of the run, where it is one that can be asked."""
        self._publish(self.look.end(self.path, patience))

    def _arrived(self, worker: dict[str, Any]) -> Iterator[str]:
        """Sample files that are here as a worker wrote them; what is in others is unknown."""
        for file in files_of(worker):
            name = f"samples/{file['file']}"
            path = self.path / name
            try:
                if is_remote(self.place) and not path.exists():
                    Prefix(self.place).get(name, path)
                if sha256_of(path) == file["sha256"]:
                    yield file["file"]
                    continue
                path.rename(path.with_suffix(".damaged"))
                why = "they do not match their checksum"
            except (FourstepError, OSError) as error:
                why = f"{error}; machines that share no directory need --run-dir s3://…"
            worker["failure"] = f"its samples did not arrive: {why}"
            logger.error("worker %s: %s", worker["worker"], worker["failure"])

    def _publish(self, names: list[str]) -> None:
        if is_remote(self.place):
            in_thread(lambda: Prefix(self.place).put(self.path, names))

    def close(self) -> None:
        """Remove the plan's files, and stop the embedded server if this run started one."""
        in_thread(self.writer.end)
        self.plan_files.cleanup()
        if self.server is not None:
            self.server.stop()

    def _write_begun(self) -> None:
        planned = 0 if self.dials.endless else self.plan.timetable.statements
        self._write(Ledger(planned=planned, unknown=planned), workers=[], ended_by=None)

    def _write(
        self, ledger: Ledger, *, workers: list[dict[str, Any]], ended_by: str | None
    ) -> None:
        ended_at = None if ended_by is None else _iso(datetime.now(UTC))
        zero_at = self.zero_at and self.zero_at.isoformat(timespec="microseconds")
        workers = self.legs.workers + workers
        leg = {"from_us": self.legs.from_us, "started_at": _iso(self.started_at)}
        leg |= {"zero_at": zero_at, "ended_at": ended_at, "ended_by": ended_by}
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
                "command": ["locust", *sys.argv[1:]],
                "started_at": self.legs.started_at or leg["started_at"],
                "zero_at": zero_at,
                "ended_at": ended_at,
                "ended_by": ended_by,
                "aborted": self.aborted,
                "legs": [*self.legs.earlier, leg],
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
                "ingest": self.writer.as_json(),
                "ledger": ledger.as_json(),
            },
        )


def _shape(timetable: Timetable, dials: Dials) -> Mapping[str, int | None]:
    """The `timetable` object of run.json."""
    if dials.mode == "open":
        return timetable.as_json()
    untimed = dict.fromkeys(("length_us", "peak_rate_per_s", "period_us"), None)
    sizes = {"statements": timetable.statements, "sessions": timetable.sessions}
    return {**sizes, **untimed, "peak_sessions": dials.users}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
