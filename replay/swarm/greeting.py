"""Before a run: who is there, is it the same program, and what does its clock say.

Every worker is asked ten times. The answer with the shortest round trip tells its clock best: the
true offset lies within half that trip of it. Who does not answer is no worker of ours.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
import numpy as np
from psycopg import pq

import replay
from replay.errors import FourstepError, UndecidedRun
from replay.swarm import messages

logger = logging.getLogger(__name__)

ROUNDS = 10
PATIENCE_S = 5.0
"""For who is connected and says nothing; no worker has work yet."""
EXPECTED_S = 60.0
"""For workers of `--expect-workers` or `--processes`, whose places strangers may have taken."""
LOCAL = "local"
"""The client id of the player in a process without workers; Locust's own word."""
VERSIONS = {
    "fourstep": replay.__version__,
    "python": ".".join(platform.python_version_tuple()[:2]),
    "libpq": str(pq.version()),
    # Draws the samples and shifts that every worker computes alike.
    "numpy": np.__version__,
}
"""What has to be the same on every machine."""
_SECOND_US = 1_000_000


@dataclass(slots=True, kw_only=True)
class Clock:
    """A worker's clock against ours: `offset_us` is how much it is ahead."""

    offset_us: int = 0
    round_trip_us: int = 2**62
    rounds: int = 0
    number: int = 0
    """Of the last question; answers to others come too late to tell anything."""
    asked_us: int = 0

    def hear(self, told_us: int, *, now_us: int) -> None:
        """It said `told_us` between `asked_us` and `now_us` of our clock."""
        self.rounds += 1
        if now_us - self.asked_us < self.round_trip_us:
            self.round_trip_us = now_us - self.asked_us
            self.offset_us = told_us - (self.asked_us + now_us) // 2

    @property
    def whole(self) -> bool:
        """True when it was asked often enough."""
        return self.rounds >= ROUNDS

    @property
    def odd(self) -> bool:
        """True when it is further off than a synchronised clock would be."""
        return abs(self.offset_us) > self.round_trip_us / 2 + _SECOND_US


class Greeting:
    """Asks the workers of one master; of a process without any, its own player needs no asking."""

    def __init__(self, runner: Any, *, expected: int) -> None:  # noqa: ANN401  Locust's
        self._runner = runner
        self._expected = expected
        self._run_id = ""
        self._clocks: dict[str, Clock] = {}
        self._refusal: FourstepError | None = None
        runner.register_message(messages.PONG, self._on_pong)

    @property
    def client_ids(self) -> list[str]:
        """Who could take part in a run."""
        clients = getattr(self._runner, "clients", None)
        return [LOCAL] if clients is None else [client.id for client in clients.ready]

    def knows(self, client_id: str) -> bool:
        """True of a client that has proved to be a worker of ours."""
        clock = self._clocks.get(client_id)
        return clock is not None and clock.rounds > 0

    def meet(self, run_id: str, goes_on: Callable[[], bool]) -> dict[str, Clock]:
        """The clocks of those who answered, by client id, once all have or patience ends.

        Raises:
            UndecidedRun: nobody answers, or a worker is another fourstep.
        """
        self._run_id, self._clocks, self._refusal = run_id, {}, None
        if not hasattr(self._runner, "clients"):
            return {LOCAL: Clock()}
        began_s = time.monotonic()
        answered: dict[str, Clock] = {}
        while goes_on():
            for client_id in set(self.client_ids) - self._clocks.keys():
                self._clocks[client_id] = Clock()
            for client_id, clock in self._clocks.items():
                # A worker drops what comes while it is still starting.
                if not clock.whole and time.time_ns() // 1_000 - clock.asked_us > _SECOND_US:
                    self._ask(client_id)
            gevent.sleep(0.01)
            if self._refusal is not None:
                raise self._refusal
            answered = {name: clock for name, clock in self._clocks.items() if clock.whole}
            waited_s = time.monotonic() - began_s
            if len(answered) >= self._expected:
                if len(answered) == len(self._clocks) or waited_s > PATIENCE_S:
                    break
            elif waited_s > EXPECTED_S:
                break
        for client_id, clock in self._clocks.items():
            if not clock.whole:
                logger.warning("`%s` does not answer as a worker, and takes no part", client_id)
            elif clock.odd:
                logger.warning("`%s` has a clock %.3f s ahead", client_id, clock.offset_us / 1e6)
        if not answered and goes_on():
            raise UndecidedRun("no worker answers", hint="start workers with this locustfile")
        return answered

    def _ask(self, client_id: str) -> None:
        clock = self._clocks[client_id]
        clock.number += 1
        clock.asked_us = time.time_ns() // 1_000
        question = {"run_id": self._run_id, "number": clock.number}
        self._runner.send_message(messages.PING, question, client_id)

    def _on_pong(self, *, msg: Any, **_: object) -> None:  # noqa: ANN401  Locust's message
        now_us = time.time_ns() // 1_000
        data, clock = messages.checked(messages.PONG, msg.data), self._clocks.get(msg.node_id)
        if data is None or clock is None or clock.whole:
            return
        if (data["run_id"], data["number"]) != (self._run_id, clock.number):
            return
        for name, ours in VERSIONS.items():
            if (theirs := data["versions"].get(name)) != ours:
                self._refusal = UndecidedRun(
                    f"worker `{msg.node_id}` runs {name} {theirs}, the master {ours}",
                    hint=f"install the same {name} on every machine",
                )
        clock.hear(data["epoch_us"], now_us=now_us)
        if not clock.whole:
            self._ask(msg.node_id)
