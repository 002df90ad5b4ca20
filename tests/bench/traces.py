"""Logs to measure with: of a real PostgreSQL in three forms at once, and of the forms of others."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from replay.demo.drive import collect_log
from replay.demo.world import LOG_SETTINGS
from replay.target.cluster import binaries
from replay.target.embedded import EmbeddedServer

SESSIONS = 20
# pgreplay reads statements as they start, not with their durations.
SETTINGS = {
    **LOG_SETTINGS,
    "log_destination": "csvlog,jsonlog,stderr",
    "log_line_prefix": "%m [%p] %q%u@%d/%a %c ",
    "log_statement": "all",
    "log_min_duration_statement": "-1",
}
QUESTION = (
    "SELECT c.name, sum(d.impressions) AS shown\n  FROM delivery d JOIN campaigns c USING (id)\n"
    " WHERE d.day BETWEEN '2026-0{month}-01' AND '2026-0{month}-28' AND c.customer = {customer}\n"
    " GROUP BY c.name ORDER BY shown DESC LIMIT 20"
)


def trace(server: EmbeddedServer, directory: Path, statements: int) -> dict[str, Path]:
    """pgbench's SELECT, logged in three forms; the server logs nothing more afterwards."""
    pgbench = [str(binaries() / "pgbench"), "-h", host_of(server), "-U", "postgres"]
    _log_statements(server, "none")
    run([*pgbench, "-i", "-q", "-s", "10", "postgres"])
    _log_statements(server, "all")
    each = str(statements // SESSIONS)
    run([*pgbench, "-S", "-n", "-c", str(SESSIONS), "-t", each, "postgres"])
    logs = {
        form: collect_log(server, directory / f"trace{suffix}", name=f"reports{suffix}")
        for form, suffix in (("csvlog", ".csv"), ("jsonlog", ".json"), ("stderr", ".log"))
    }
    # PostgreSQL 18 writes `Parameters:` where pgreplay knows `parameters:` only, and pgbench asks
    # one such question when it starts.
    lines = logs["csvlog"].read_bytes().splitlines(keepends=True)
    logs["csvlog"].write_bytes(b"".join(line for line in lines if b',"execute ' not in line))
    _log_statements(server, "none")
    return logs


def _log_statements(server: EmbeddedServer, which: str) -> None:
    """For sessions from now on; ALTER SYSTEM would lose against the server's command line."""
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute(f"ALTER DATABASE postgres SET log_statement = '{which}'".encode())


def written(path: Path, records: Iterator[str]) -> Path:
    """A log of these records."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(records)
    return path


def slow_log(statements: int) -> Iterator[str]:
    """MySQL 8's slow log."""
    chance, moment = random.Random(1), datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(statements):
        moment += timedelta(milliseconds=chance.expovariate(0.1))
        yield (
            f"# Time: {moment:%Y-%m-%dT%H:%M:%S.%f}Z\n"
            f"# User@Host: reports[reports] @ app [10.0.0.1]  Id: {number % 97}\n"
            f"# Query_time: {chance.random():.6f}  Lock_time: 0.000002 Rows_sent: 20  "
            f"Rows_examined: {chance.randrange(9**9)}\nSET timestamp={moment.timestamp():.0f};\n"
            f"{_question(chance)};\n"
        )


def activity_log(statements: int) -> Iterator[str]:
    """Redshift's user activity log."""
    chance, moment = random.Random(1), datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(statements):
        moment += timedelta(milliseconds=chance.expovariate(0.1))
        yield (
            f"'{moment:%Y-%m-%dT%H:%M:%SZ} UTC [ db=reports user=app pid={1000 + number % 97} "
            f"userid=101 xid={number} ]' LOG: {_question(chance)};\n"
        )


def _question(chance: random.Random) -> str:
    return QUESTION.format(month=chance.randrange(1, 10), customer=chance.randrange(100_000))


def host_of(server: EmbeddedServer) -> str:
    """The socket's directory."""
    return str(psycopg.conninfo.conninfo_to_dict(server.url())["host"])


def run(command: Sequence[str]) -> None:
    """Run to the end, or say why not."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{command[0]} failed:\n{ended.stderr[-2000:]}")
