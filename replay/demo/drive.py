"""Runs the demo's traffic against 1.0 and takes the log that the server wrote of it.

Traffic runs in a process of its own: Locust patches the standard library where it is imported.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from replay.demo.world import DEFAULT_SIZE, LOG_NAME
from replay.errors import UndecidedRun, Unreachable
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
    try:
        ended = subprocess.run(
            command,
            cwd=traffic.parent,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds + 90,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UndecidedRun(
            f"the demo's traffic did not end within {seconds + 90} s",
            hint="the machine may be overloaded; try again",
        ) from error
    if ended.returncode != 0:
        last_lines = "\n".join(ended.stdout.strip().splitlines()[-25:])
        raise UndecidedRun(f"the demo's traffic failed:\n{last_lines}")


def _environment() -> dict[str, str]:
    """Ours without the variables that Locust takes for options and libpq for parameters."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("LOCUST_", "PG"))
    }


def collect_log(server: EmbeddedServer, destination: Path) -> Path:
    """Copy the server's query log, complete up to now; returns `destination`.

    A session's records are in the collector's pipe before its process ends, and the collector
    writes in order. So: wait until no other session is left, log in under a name nobody else
    has, and copy what stands before the record of that login.

    Raises:
        Unreachable: a session is still open, or the record does not appear.
    """
    log = server.log_directory / LOG_NAME
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    with _log_in_unseen(server) as connection:
        while _other_sessions(connection):
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"the log of `{server.name}` cannot be taken: a session is still open",
                    hint="disconnect every client first",
                )
            time.sleep(0.05)
    mark = f"fourstep-mark-{secrets.token_hex(8)}"
    _log_in_unseen(server, application_name=mark).close()
    while time.monotonic() < deadline:
        written = log.read_bytes()
        found = written.find(mark.encode())
        if found >= 0:
            destination.write_bytes(written[: written.rfind(b"\n", 0, found) + 1])
            return destination
        time.sleep(0.05)
    raise Unreachable(f"the log of `{server.name}` is not being written")


def _log_in_unseen(
    server: EmbeddedServer, *, application_name: str = "fourstep"
) -> psycopg.Connection[tuple[object, ...]]:
    """A superuser's session whose statements are not logged; its login is."""
    return psycopg.connect(
        server.url(),
        application_name=application_name,
        options="-c log_min_duration_statement=-1",
        autocommit=True,
    )


def _other_sessions(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))
