"""The worker's part: take an assignment, load it, play it, tell how it ended.

Also present in a process without workers, where Locust hands the same messages over directly.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gevent
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from gevent.event import Event

from replay.dials import Dials
from replay.engine import Engine
from replay.errors import ExitCode, FourstepError, Unreadable, describe
from replay.live import Feed
from replay.plan import find_plan
from replay.samples import Planned, SampleStream
from replay.store import Prefix, fetch, is_remote, staged
from replay.swarm import messages
from replay.swarm.greeting import VERSIONS
from replay.swarm.interrupts import Interrupts
from replay.swarm.labels import Label, labels_of
from replay.swarm.statistics import Statistics
from replay.target.target import Target, target_of
from replay.timetable import Timetable, shard_of_sessions
from replay.variation import Variation
from replay.waiter import in_thread
from replay.workload import Workload, coded

if TYPE_CHECKING:
    from locust.env import Environment

logger = logging.getLogger(__name__)

SILENCE_S = 10
"""A master that answers no heartbeat for this long is gone; Locust itself would wait a minute."""
_LAST_WORDS_S = 15
"""For who has to go, to say what was recorded."""


class Player:
    """One worker's engine, and its side of the handshake."""

    def __init__(self, environment: Environment, *, separate: bool) -> None:
        self._environment = environment
        self._runner = cast(Any, environment.runner)
        self._separate = separate
        self._interrupts: Interrupts | None = None
        self._run_id = ""
        self._shard = 0
        self.engine: Engine | None = None
        self._ended = Event()
        self._stage = Path()
        self._run_dir = ""
        self._silent_s = 0
        self._left = False
        if separate:
            environment.events.heartbeat_received.add_listener(self._on_heartbeat)
            # Heard before Locust's own listener, which tells the master that we are gone.
            environment.events.quitting.add_listener(self._on_quitting)
            gevent.spawn(self._watch_master)
        self._runner.register_message(messages.PING, self._on_ping)
        self._runner.register_message(messages.ASSIGN, self._on_assign)
        self._runner.register_message(messages.GO, self._on_go)
        self._runner.register_message(messages.DRAIN, self._on_drain)

    @property
    def playing(self) -> bool:
        """True while statements may be in flight or samples unwritten."""
        engine = self.engine
        return engine is not None and engine.started and not engine.finished.is_set()

    def stop(self, *, grace_s: float) -> None:
        """End and return when everything is on disk."""
        if self.engine is not None and self.playing:
            self.engine.drain(grace_s=grace_s)
            self.engine.finished.wait(timeout=grace_s + 15)

    def _on_ping(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.PING, msg.data)
        if data is not None:
            told = {"epoch_us": time.time_ns() // 1_000, "versions": VERSIONS}
            self._send(messages.PONG, data | told)

    def _on_assign(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.ASSIGN, msg.data)
        if data is None or self.playing:
            logger.warning("an assignment that makes no sense was ignored")
            return
        # Loading takes a while, and neither Locust's message loop nor, locally, who sends may wait.
        gevent.spawn(self._assign, data)

    def _assign(self, data: Mapping[str, Any]) -> None:
        self._run_id, self._shard = data["run_id"], data["shard"]
        self._ended.clear()
        self._run_dir, self._stage = data["run_dir"], staged(data["run_dir"], self._run_id)
        answer: dict[str, Any] = {"run_id": self._run_id, "shard": self._shard}
        try:
            # A thread of its own: heartbeats go on while a large workload is read.
            shard = in_thread(lambda: _load(data, self._stage))
            dials = Dials(**data["dials"])
            statistics = Statistics(self._environment, shard.feed.codes, shard.labels)
            self._feed = shard.feed
            self.engine = Engine(
                shard.timetable,
                shard.statements,
                connect=shard.target.connect,
                credentials=shard.target.credentials,
                dials=dials,
                unsupported=shard.unsupported,
                stream=shard.stream,
                part=(data["shard"], data["shards"]),
                begun=shard.begun,
                variation=shard.variation,
                on_rows=(shard.feed.count, statistics.add),
            )
            answer["statements"] = shard.timetable.statements
        except (FourstepError, OSError) as error:
            answer |= {
                "error": describe(error),
                "exit_code": int(getattr(error, "exit_code", Unreadable.exit_code)),
            }
        self._send(messages.READY, answer)

    def _on_go(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.GO, msg.data)
        if data is None or data["run_id"] != self._run_id or self.engine is None:
            return
        wait_s = data["zero_epoch_s"] - time.time()
        zero_ns = time.monotonic_ns() + round(wait_s * 1e9)
        self.engine.play(zero_ns=zero_ns)
        gevent.spawn(self._report, self.engine, zero_ns)
        if self._separate:
            # Ctrl-C reaches every process of a terminal: a worker drains, the master ends it.
            self._interrupts = Interrupts({signal.SIGINT: partial(self.engine.drain, grace_s=0)})

    def _on_drain(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        data = messages.checked(messages.DRAIN, msg.data)
        if data is not None and data["run_id"] == self._run_id and self.engine is not None:
            self.engine.drain(grace_s=data["grace_s"])

    def _on_quitting(self, **_: object) -> None:
        """SIGTERM: what was recorded is told before we go, or it would count as unknown."""
        if self.playing:
            self._left = True
            self.stop(grace_s=0)
            self._ended.wait(timeout=_LAST_WORDS_S)

    def _on_heartbeat(self, **_: object) -> None:
        self._silent_s = 0

    def _watch_master(self) -> None:
        # Seconds in which we could have heard: that we were busy ourselves does not count.
        while self._silent_s < SILENCE_S or self.engine is None or not self.engine.started:
            gevent.sleep(1)
            self._silent_s += 1
        logger.error("the master is silent: nothing more is sent, samples are kept, and we end")
        self.engine.drain(grace_s=0)
        self._ended.wait()
        self._environment.process_exit_code = int(ExitCode.UNDECIDED)
        self._runner.quit()

    def _report(self, engine: Engine, zero_ns: int) -> None:
        ended = False
        while not ended:
            ended = engine.finished.wait(timeout=1)
            live = {"run_id": self._run_id, "shard": self._shard, **engine.gauges}
            live |= self._feed.take(now_us=(time.monotonic_ns() - zero_ns) // 1_000)
            self._send(messages.LIVE, live)
        told, failure = engine.recorder.closing, engine.recorder.failure
        names = [f"samples/{each['file']}" for each in told["files"]]
        if is_remote(self._run_dir) and names:
            try:
                in_thread(lambda: Prefix(self._run_dir).put(self._stage, names))
            except (FourstepError, OSError) as error:
                failure = f"samples stay in `{self._stage / names[-1]}`: {error}"
                told["files"] = []
        if self._interrupts is not None:
            self._interrupts.release()
        strain = engine.strain
        self._send(
            messages.DONE,
            {
                "run_id": self._run_id,
                "shard": self._shard,
                "statements": engine.planned,
                "varied": engine.variation.varied,
                "max_lag_us": self._feed.max_lag_us,
                "cpu_p95": strain.cpu_p95,
                "starved_p99_us": strain.starved_p99_us,
                "starved_max_us": strain.starved_max_us,
                **told,
                "failure": failure,
                "left": self._left,
            },
        )
        self._ended.set()

    def _send(self, kind: str, data: dict[str, Any]) -> None:
        self._runner.send_message(kind, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shard:
    timetable: Timetable
    begun: npt.NDArray[np.bool_] | None
    statements: pa.Table
    stream: SampleStream
    variation: Variation
    unsupported: frozenset[str]
    feed: Feed
    labels: list[Label]
    target: Target


def _load(data: Mapping[str, Any], stage: Path) -> _Shard:
    workload = Workload(fetch(data["workload"]))
    if workload.sha256 != data["sha256"]:
        raise Unreadable(
            f"`{workload.path}` is not the workload that the master replays",
            hint="give every worker the same files",
        )
    dials = Dials(**data["dials"])
    plan = find_plan(stage / data["plan"], workload, dials)
    whole, statements = plan.timetable, plan.statements
    mine = whole.shard(shard_of_sessions(whole, data["shards"]) == data["shard"])
    timetable, begun = mine.rest(data["from_us"]) if data["from_us"] else (mine, None)
    templates = coded(statements["template_id"])
    labels = labels_of(workload)
    groups = list(dict.fromkeys(labels.values()))
    code = [groups.index(labels[each]) for each in templates.dictionary.to_pylist()]
    codes = np.array(code, np.int32)[templates.indices.to_numpy()[timetable.row]]
    return _Shard(
        timetable=timetable,
        begun=begun,
        statements=statements,
        stream=SampleStream(
            stage / "samples",
            worker=f"w{data['shard']}",
            planned=Planned(timetable, statements),
            roll_s=dials.roll_s,
        ),
        variation=Variation(
            statements, timetable, dials, dialect=str(workload.manifest["dialect"])
        ),
        unsupported=workload.unsupported(),
        feed=Feed(timetable, statements, codes, len(groups)),
        labels=groups,
        target=target_of(data["url"], dials, run_id=data["run_id"]),
    )
