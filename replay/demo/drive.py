"""Runs the demo's traffic against 1.0 and takes the log that the server wrote of it.

Traffic runs in a process of its own: Locust patches the standard library where it is imported.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg

from replay.demo.world import DEFAULT_SIZE, LOG_NAME
from replay.errors import UndecidedRun, Unreachable
from replay.target.cluster import server_environment
from replay.target.embedded import EmbeddedServer

_CUSTOMERS = 19
"""The sum of the fixed counts in traffic.py."""

_SETTLE_TIMEOUT_S = 30.0


def drive_traffic(
    server: EmbeddedServer, *, seconds: int, seed: int, size: str = DEFAULT_SIZE
) -> None:
    """Let the demo's customers ask 1.0 for `seconds`; returns when all have hung up.

    `size` is the server's. The same seed makes the same customers draw the same questions; how
    many they get to ask depends on how fast they are answered.

    Raises:
        UndecidedRun: Locust failed, or a question that should be answered was not.
    """
    traffic = Path(__file__).with_name("traffic.py")
    command = [
        *(sys.executable, "-m", "locust", "-f", str(traffic), "--headless", "--only-summary"),
        *("--users", str(_CUSTOMERS), "--spawn-rate", str(_CUSTOMERS), "--run-time", f"{seconds}s"),
        *("--stop-timeout", "20", "--loglevel", "WARNING", "--host", server.url()),
        *("--seed", str(seed), "--size", size),
    ]
    ended = subprocess.run(
        command,
        cwd=traffic.parent,  # where no locust.conf can be
        env={k: v for k, v in server_environment().items() if not k.startswith("LOCUST_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        last_lines = "\n".join(ended.stdout.strip().splitlines()[-25:])
        raise UndecidedRun(f"the demo's traffic failed:\n{last_lines}")


def collect_log(server: EmbeddedServer, destination: Path, *, name: str = LOG_NAME) -> Path:
    """Copy the server's log `name`, complete up to now; returns `destination`.

    A session's records are in the collector's pipe before its process ends, and the collector
    writes in order. So: wait until the process of every other session has ended, log in under a
    name nobody else has, and copy what stands before the record of that login.

    Raises:
        Unreachable: a session is still open, or the record does not appear.
    """
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    # A session leaves pg_stat_activity before it logs its end: its process tells.
    seen: set[int] = set()
    with _log_in_unseen(server, "fourstep") as connection:
        while others := _other_sessions(connection):
            seen |= others
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"the log of `{server.name}` cannot be taken: a session is still open",
                    hint="disconnect every client first",
                )
            time.sleep(0.05)
        seen.add(connection.info.backend_pid)
    while any(psutil.pid_exists(pid) for pid in seen) and time.monotonic() < deadline:
        time.sleep(0.01)
    mark = f"fourstep-mark-{secrets.token_hex(8)}"
    _log_in_unseen(server, mark).close()
    while time.monotonic() < deadline:
        before, found, _ = (server.log_directory / name).read_bytes().partition(mark.encode())
        if found:
            destination.write_bytes(before[: before.rfind(b"\n") + 1])
            return destination
        time.sleep(0.05)
    raise Unreachable(f"the log of `{server.name}` is not being written")


def _other_sessions(connection: psycopg.Connection[tuple[object, ...]]) -> set[int]:
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return {pid for (pid,) in rows if isinstance(pid, int)}


def _log_in_unseen(
    server: EmbeddedServer, application_name: str
) -> psycopg.Connection[tuple[object, ...]]:
    """A superuser's session whose statements are not logged; its login is."""
    return psycopg.connect(
        server.url(),
        application_name=application_name,
        options="-c log_min_duration_statement=-1",
        autocommit=True,
    )
