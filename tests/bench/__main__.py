"""`make bench`: capture and flat-out replay beside pgreplay, on one real trace.

    python -m tests.bench [STATEMENTS]

The trace is pgbench's SELECT, logged by an embedded server as csvlog. Each line is a ratio to the
peer in this run on this machine; a peer that is not installed is said to be missing.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg

from replay.demo.drive import collect_log
from replay.demo.world import LOG_SETTINGS
from replay.run import Run
from replay.target.cluster import binaries
from replay.target.embedded import EmbeddedServer

SESSIONS = 20


def main(statements: int) -> None:
    """Make the trace, measure, print."""
    # pgreplay reads statements as they start, not with their durations.
    settings = {**LOG_SETTINGS, "log_statement": "all", "log_min_duration_statement": "-1"}
    with (
        tempfile.TemporaryDirectory(prefix="fourstep-bench-") as name,
        EmbeddedServer("bench", settings=settings) as server,
    ):
        directory = Path(name)
        log = _trace(server, directory / "trace.csv", statements)
        size_mb = log.stat().st_size / 1e6
        print(f"trace: {statements:,} statements, {SESSIONS} sessions, {size_mb:.0f} MB of csvlog")
        peer = shutil.which("pgreplay")
        ours_s, peak_mb = _timed([*_fourstep(), "capture", str(log), "-o", str(directory / "w")])
        print(f"capture:  {size_mb / ours_s:6.1f} MB/s, {statements / ours_s:9,.0f} statements/s, "
              f"peak {peak_mb:.0f} MB")  # fmt: skip
        if peer:
            parsed = str(directory / "trace.replay")
            theirs_s, _ = _timed([peer, "-f", "-c", "-o", parsed, str(log)])
            _ratio("pgreplay -f, which only parses", size_mb / theirs_s, "MB/s", theirs_s / ours_s)
        rate = _replay(server, directory)
        print(f"replay:   {rate:9,.0f} statements/s flat out, one worker, every sample recorded")
        if peer:
            host = _host(server)
            replay = [peer, "-r", "-j", "-s", "1000000", "-h", host, parsed]
            theirs_s, _ = _timed(replay)
            theirs = statements / theirs_s
            _ratio("pgreplay", theirs, "statements/s", rate / theirs)
        else:
            print("pgreplay is not installed: no ratios")


def _trace(server: EmbeddedServer, log: Path, statements: int) -> Path:
    pgbench = [str(binaries() / "pgbench"), "-h", _host(server), "-U", "postgres"]
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("ALTER SYSTEM SET log_statement = 'none'")
        session.execute("SELECT pg_reload_conf()")
        _run([*pgbench, "-i", "-q", "-s", "10", "postgres"])
        session.execute("ALTER SYSTEM RESET log_statement")
        session.execute("SELECT pg_reload_conf()")
    each = str(statements // SESSIONS)
    asked = [*pgbench, "-S", "-n", "-c", str(SESSIONS), "-t", each, "postgres"]
    _run(asked)
    collect_log(server, log)
    # PostgreSQL 18 writes `Parameters:` where pgreplay knows `parameters:` only, and pgbench asks
    # one such question when it starts.
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if b',"execute ' not in line))
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("ALTER SYSTEM SET log_statement = 'none'")
        session.execute("SELECT pg_reload_conf()")
    return log


def _replay(server: EmbeddedServer, directory: Path) -> float:
    run = directory / "run"
    _run(
        [
            *[*_fourstep(), "run", "--workload", str(directory / "w"), "--host", server.url()],
            *["--speed", "1000000", "--run-dir", str(run), "--lag-budget-ms", "1000000"],
        ],
    )
    samples = Run(run).samples()
    sent_us, done_us = (samples[name].drop_null().to_numpy() for name in ("sent_us", "done_us"))
    return float(len(done_us) / (np.max(done_us) - np.min(sent_us)) * 1e6)


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Seconds of a whole process, and the largest child's peak memory so far in MB."""
    began_s = time.monotonic()
    _run(command)
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return time.monotonic() - began_s, peak_kb / 1024


def _run(command: Sequence[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{command[0]} failed:\n{ended.stderr[-2000:]}")


def _ratio(peer: str, figure: float, unit: str, ratio: float) -> None:
    print(f"          {figure:9,.1f} {unit} {peer}: ours is {ratio:.2f} of it")


def _host(server: EmbeddedServer) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(server.url())["host"])


def _fourstep() -> list[str]:
    return [sys.executable, "-m", "reports"]


main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
