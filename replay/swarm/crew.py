"""The workers of one run: who has which shard, who is ready, done, or lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replay.swarm.greeting import Clock

LOST_AFTER_S = 10
"""A worker silent for this long is lost. Locust's own four would take one that is only blocked for
gone, and end the test when all of them are."""

_REPORTED = (
    "statements rows_written files varied max_lag_us cpu_p95 starved_p99_us starved_max_us failure"
).split()


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker and what it has told."""

    client_id: str
    shard: int
    clock: Clock
    ready: bool = False
    done: Mapping[str, Any] | None = None
    lost: bool = False

    def as_json(self) -> dict[str, Any]:
        """An entry of `workers` in run.json."""
        done = self.done or {}
        last = (done.get("files") or [{}])[-1]
        return {
            "worker": f"w{self.shard}",
            "shard": self.shard,
            **{name: done.get(name) for name in _REPORTED},
            **{name: last.get(name) for name in ("file", "sha256")},
            "clock_offset_us": self.clock.offset_us,
            "lost": self.lost,
        }


class Crew:
    """Workers by Locust's client id; shards go to them in order of id."""

    def __init__(self, clocks: Mapping[str, Clock] | None = None) -> None:
        self._workers = {
            client_id: Worker(client_id=client_id, shard=shard, clock=clock)
            for shard, (client_id, clock) in enumerate(sorted((clocks or {}).items()))
        }

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._workers

    @property
    def ready(self) -> bool:
        """True when there is a worker and each has loaded its shard."""
        return bool(self._workers) and all(worker.ready for worker in self)

    @property
    def ended(self) -> bool:
        """True when there is nobody left to wait for."""
        return all(worker.done or worker.lost for worker in self)

    @property
    def lost(self) -> bool:
        """True when any worker is."""
        return any(worker.lost for worker in self)

    @property
    def starved_us(self) -> int:
        """The worst worker's p99 of how late its event loop was."""
        return max(((worker.done or {}).get("starved_p99_us") or 0 for worker in self), default=0)

    def sender(self, client_id: str, shard: object) -> Worker | None:
        """The worker that says it is this client with this shard, if there is one."""
        worker = self._workers.get(client_id)
        return worker if worker is not None and worker.shard == shard else None

    def notice_lost(self, clients: Mapping[str, Any]) -> list[Worker]:
        """Workers that are lost as of now, by Locust's list of clients."""
        newly = []
        for worker in self:
            client = clients.get(worker.client_id)
            gone = client is None or client.state == "missing"
            if gone and not worker.done and not worker.lost:
                worker.lost = True
                newly.append(worker)
        return newly

    def give_up(self) -> None:
        """Wait for nobody any more."""
        for worker in self:
            worker.lost = worker.lost or worker.done is None
