"""What Locust believes it runs: one user a worker, for as long as the run lasts."""

from __future__ import annotations

from gevent import sleep
from locust import LoadTestShape, User, task

from replay.swarm.register import conductor_of, player_of


class ReplayUser(User):
    """Stands for a worker. The sessions are the engine's; this one only waits for their end."""

    @task
    def replay(self) -> None:
        """Sleep while the engine of this process plays."""
        playing = player_of(self.environment)
        sleep(0.5)
        while playing is not None and playing.playing:
            sleep(0.2)


class ReplayShape(LoadTestShape):
    """Asks the conductor once a second; ends the test when the run has ended."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """One user for each worker until the run has ended."""
        runner = self.runner
        if runner is None:
            return None
        conducting = conductor_of(runner.environment)
        if conducting is None:
            return None
        if runner.shape_last_tick is None:
            conducting.rearm()
        try:
            going_on = conducting.tick()
        except Exception as error:
            # Locust would only log it, and the run would never end.
            conducting.abandon(error)
            return None
        if not going_on:
            return None
        # Locust calls `start`, and so begins a run, when this changes; it refuses without workers.
        workers = conducting.worker_count
        return (workers, float(max(workers, 1)))
