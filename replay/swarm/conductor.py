"""The master's part: open the run, assign shards, say go, notice who is lost, settle, close.

Also present in a process without workers, where it conducts the player of the same process.
The state moves with Locust's shape: its tick, once a second, asks what to do next.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import gevent
from gevent.event import Event

from replay.errors import ExitCode, FourstepError, describe
from replay.inside.patience import Patience
from replay.progress import Progress
from replay.swarm import messages
from replay.swarm.crew import Crew, Worker
from replay.swarm.greeting import Clock, Greeting
from replay.swarm.interrupts import Interrupts
from replay.swarm.open_run import OpenRun
from replay.swarm.opening import in_words, open_run
from replay.swarm.statistics import forget_past

if TYPE_CHECKING:
    from locust.env import Environment

logger = logging.getLogger(__name__)

LEAD_S = 1.5
"""From `go` to the run's zero: time for the message to arrive and the first logins to be made."""
LOAD_TIMEOUT_S = 300.0


class State(StrEnum):
    """Where a run is."""

    IDLE = "idle"
    OPENING = "opening"
    WARMING = "warming"
    COOLING = "cooling"
    """Interrupted while warming: statements in flight are being cancelled."""
    LOADING = "loading"
    PLAYING = "playing"
    DRAINING = "draining"
    CLOSING = "closing"
    ENDED = "ended"


class Conductor:
    """Conducts the runs of one master or of one process without workers."""

    def __init__(self, environment: Environment) -> None:
        self._environment = cast(Any, environment)
        self._options = cast(Namespace, environment.parsed_options)
        self._runner = cast(Any, environment.runner)
        self._crew = Crew()
        self.greeting = Greeting(self._runner, expected=self._options.expect_workers or 1)
        self._since_s = 0.0
        self._progress = Progress()
        self._patience = Patience(self._progress)
        self._ended_by = "done"
        self._ended = Event()
        self._exit_code = ExitCode.DONE
        self._interrupts: Interrupts | None = None
        self.run: OpenRun | None = None
        self.state = State.IDLE
        self._runner.register_message(messages.READY, self._on_ready)
        self._runner.register_message(messages.DONE, self._on_done)
        environment.events.worker_connect.add_listener(self._on_connect)
        self._runner.register_message(messages.LIVE, self._on_live)

    @property
    def worker_count(self) -> int:
        """Workers of this run, or those that could take part in one."""
        return len(self._crew) or len(self.greeting.client_ids)

    def rearm(self) -> None:
        """Forget the last run: Locust starts another."""
        if self.state is State.ENDED:
            self.run = None
            self._crew = Crew()
            self._enter(State.IDLE)

    def begin(self) -> None:
        """Open a run and assign it; a failure is told once and ends the test."""
        self._crew = Crew()
        self._patience = Patience(self._progress)
        self._ended_by = "done"
        self._ended.clear()
        self._enter(State.OPENING)
        # While a shape runs headless, Locust's own handler of SIGTERM is not there yet.
        asked = {signal.SIGINT: self._interrupt}
        if self._options.headless:
            asked[signal.SIGTERM] = self._terminate
        self._interrupts = Interrupts(asked)
        try:
            opened = open_run(self._options, host=self._environment.host)
            if self.state is not State.OPENING:
                opened.close()
                return
            self.run = opened
            if not self._warm(opened):
                self._fail("interrupted before the run began", ExitCode.INTERRUPTED)
                return
            clocks = self.greeting.meet(opened.run_id, lambda: self.state is State.OPENING)
        except (FourstepError, OSError) as error:
            self._fail(describe(error), getattr(error, "exit_code", ExitCode.UNREADABLE))
            return
        except Exception as error:
            # Locust would only log it, and the run would never end.
            self.abandon(error)
            return
        if self.state is State.OPENING:
            self._assign(opened, clocks)

    def _warm(self, run: OpenRun) -> bool:
        """Warm the target up and begin; False when that was interrupted."""
        self._enter(State.WARMING)
        run.warm(goes_on=lambda: self.state is State.WARMING, progress=self._progress)
        self._progress.clear()
        run.begin(workers=len(self.greeting.client_ids))
        if self.state is not State.WARMING:
            return False
        self._enter(State.OPENING)
        return True

    def _on_connect(self, *, client_id: str, **_: object) -> None:
        if len(self._crew) and self.state is not State.ENDED and client_id not in self._crew:
            logger.warning("worker `%s` came too late for this run, and idles", client_id)

    def _assign(self, run: OpenRun, clocks: Mapping[str, Clock]) -> None:
        self._crew = Crew(clocks)
        workers = len(self._crew)
        words = in_words(run.plan.timetable, run.dials)
        logger.info("run %s: %s, %d worker(s)", run.run_id, words, workers)
        for warning in (run.calibration or {}).get("warnings", []):
            logger.warning("near what `fourstep calibrate` measured: %s", warning)
        for worker in self._crew:
            assignment = run.assignment(shard=worker.shard, shards=workers)
            self._send(messages.ASSIGN, assignment, worker)
        self._enter(State.LOADING)

    def tick(self) -> bool:
        """Move on; False when there is nothing more to wait for."""
        if self.state is State.LOADING:
            self._go_when_ready()
        elif self.state is State.PLAYING:
            self._look()
        if self.state in (State.PLAYING, State.DRAINING):
            self._show_progress()
            self._notice_lost()
            if self._crew.ended:
                self._close()
        return self.state is not State.ENDED

    def _look(self) -> None:
        """Once a second while it plays: whether the run's time is over, or a rule is broken."""
        assert self.run is not None
        board, run_time_s = self.run.board, self._options.run_time
        if run_time_s and time.monotonic() - board.zero_s >= run_time_s:
            self.drain("run-time")
        elif why := self.run.watch.reason(board.counts(), zero_s=board.zero_s):
            logger.error("the run is aborted by %s", why)
            self.run.aborted = why
            self.drain("aborted")
        separate = hasattr(self._runner, "clients")
        if self.run.client.add(board.gauges(), zero_s=board.zero_s, master=separate):
            forget_past(self._environment.stats)

    def drain(self, ended_by: str) -> None:
        """Have every worker send nothing more; the tick closes the run when all have ended."""
        if self.state is not State.PLAYING or self.run is None:
            return
        self._ended_by = ended_by
        self._enter(State.DRAINING)
        grace_s = float(self._environment.stop_timeout or 0)
        for worker in self._crew:
            if not worker.lost:
                drain = {"run_id": self.run.run_id, "grace_s": grace_s}
                self._send(messages.DRAIN, drain, worker)

    def stop(self, ended_by: str) -> None:
        """Drain and wait for the end, for callers that Locust will not call again."""
        if self.state is State.WARMING:
            self._enter(State.COOLING)
            self._ended.wait()
        if self.state in (State.OPENING, State.LOADING):
            self._fail("stopped before the run began", ExitCode.INTERRUPTED)
        if self.state is State.PLAYING:
            # Locust stops a test whose workers are all gone before our tick sees it.
            self._notice_lost()
        self.drain("worker-lost" if self._crew.lost and self._crew.ended else ended_by)
        wait_until_s = time.monotonic() + float(self._environment.stop_timeout or 0) + 60
        while self.state in (State.DRAINING, State.CLOSING):
            if time.monotonic() > wait_until_s:
                self._crew.give_up()
            self.tick()
            gevent.sleep(0.05)

    def abandon(self, error: Exception) -> None:
        """A defect of ours: end the run as one that decides nothing."""
        logger.error("the run was abandoned", exc_info=error)
        text = f"error: the run was abandoned: {error}"
        self._fail(text, ExitCode.UNDECIDED, ended_by="abandoned")

    def _terminate(self) -> None:
        """SIGTERM: end cleanly, however often it comes: from a service's manager and from `soak`.

        Who cannot wait has SIGKILL.
        """
        if self.state not in (State.DRAINING, State.COOLING, State.CLOSING):
            self._interrupt()

    def _interrupt(self) -> None:
        """Ctrl-C during a run: end cleanly the first time, at once the second."""
        if self.state in (State.DRAINING, State.COOLING):
            logger.error("interrupted again: ending at once, samples up to now are kept")
            os._exit(ExitCode.INTERRUPTED)
        if self.state is State.CLOSING:
            self._patience.skip()
        logger.info("interrupted: nothing more is sent, statements in flight are cancelled")
        if self.state is State.WARMING:
            self._enter(State.COOLING)
        if self.state in (State.OPENING, State.LOADING):
            self._fail("interrupted before the run began", ExitCode.INTERRUPTED)
        self.drain("interrupted")
        if not self._options.headless:
            # Locust would leave its web page up.
            self._ended.wait()
            self._runner.quit()
            self._environment.web_ui.stop()

    def _go_when_ready(self) -> None:
        assert self.run is not None
        if self._crew.ready:
            # Of a run that is gone on with, what is due next is due now.
            lead_s = LEAD_S - self.run.legs.from_us / 1e6
            zero_epoch_s = time.time() + lead_s
            self._enter(State.PLAYING)
            self.run.goes(datetime.fromtimestamp(zero_epoch_s, UTC))
            self.run.board.zero_s = time.monotonic() + lead_s
            self.run.writer.begin(zero_epoch_s)
            for worker in self._crew:
                by_its_clock = zero_epoch_s + worker.clock.offset_us / 1e6
                go = {"run_id": self.run.run_id, "zero_epoch_s": by_its_clock}
                self._send(messages.GO, go, worker)
        elif time.monotonic() - self._since_s > LOAD_TIMEOUT_S:
            self._fail("error: not every worker became ready in time", ExitCode.UNDECIDED)
        else:
            self._notice_lost()
            if self._crew.lost:
                self._fail("error: a worker was lost while loading", ExitCode.UNDECIDED)

    def _on_ready(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.READY, msg.data)
        worker = self._sender(msg, data)
        if data is None or worker is None or self.state is not State.LOADING:
            return
        if data["error"]:
            self._fail(data["error"], ExitCode(data["exit_code"] or ExitCode.UNREADABLE))
            return
        worker.ready = True
        loaded_s = time.monotonic() - self._since_s
        logger.info("worker w%d is ready after %.1f s", worker.shard, loaded_s)

    def _on_done(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.DONE, msg.data)
        worker = self._sender(msg, data)
        if data is None or worker is None:
            return
        worker.done = data
        if data["left"] and self.state is State.PLAYING:
            # It is lost, say on SIGTERM, though its samples are not.
            worker.lost = True
            self._lose(worker)
        if data["failure"]:
            self.drain("disk-full")

    def _on_live(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.LIVE, msg.data)
        worker = self._sender(msg, data)
        if data is not None and worker is not None and self.run is not None:
            self.run.board.take(worker.shard, data)

    def _sender(self, msg: Any, data: Mapping[str, Any] | None) -> Worker | None:  # noqa: ANN401
        if data is None or self.run is None or data["run_id"] != self.run.run_id:
            return None
        return self._crew.sender(str(msg.node_id), data["shard"])

    def _show_progress(self) -> None:
        options = self._options
        tables = (options.headless or options.print_stats) and not options.only_summary
        if self.run is not None and (options.no_tables or not tables):
            self._progress(self.run.board.line())

    def _notice_lost(self) -> None:
        clients = getattr(self._runner, "clients", None)
        if clients is None:
            return
        for worker in self._crew.notice_lost(clients):
            self._lose(worker)

    def _lose(self, worker: Worker) -> None:
        logger.error("worker w%d is lost", worker.shard)
        if self._options.on_worker_loss == "fail":
            self.drain("worker-lost")

    def _close(self) -> None:
        assert self.run is not None
        # Counting samples takes a while, and others may ask for the next step meanwhile.
        self._enter(State.CLOSING)
        self._progress.clear()
        if self._ended_by == "done" and all(worker.lost for worker in self._crew):
            self._ended_by = "worker-lost"
        try:
            settlement = self.run.end(
                workers=[worker.as_json() for worker in self._crew],
                ended_by=self._ended_by,
            )
            for line in settlement.in_words:
                logger.info("%s", line)
            self._exit_code, undecided = settlement.judge(
                self._ended_by,
                lag_budget_us=self.run.dials.lag_budget_ms * 1_000,
                starved_us=self._crew.starved_us,
                worker_lost=self._crew.lost,
                aborted=self.run.aborted,
                resumed=bool(self.run.legs.earlier),
            )
            if undecided:
                logger.error("%s", undecided)
            self.run.look_inside(self._patience)
            self._progress.clear()
        except (FourstepError, OSError) as error:
            logger.error("%s", describe(error))
            self._exit_code = ExitCode.UNDECIDED
        self._end()

    def _fail(self, text: str, exit_code: ExitCode, *, ended_by: str = "not-begun") -> None:
        """End a run that never began; what was planned stays unknown."""
        print(text, file=sys.stderr, flush=True)
        self._exit_code = exit_code
        if self.run is not None:
            # Perhaps its directory is what failed.
            with suppress(FourstepError, OSError):
                self.run.end(workers=[], ended_by=ended_by)
        self._end()

    def _end(self) -> None:
        if self._interrupts is not None:
            self._interrupts.release()
        if self.run is not None:
            self.run.close()
        self._environment.process_exit_code = int(self._exit_code)
        self._enter(State.ENDED)
        self._ended.set()

    def _enter(self, state: State) -> None:
        self.state = state
        self._since_s = time.monotonic()

    def _send(self, kind: str, data: dict[str, Any], worker: Worker) -> None:
        self._runner.send_message(kind, data, worker.client_id)
