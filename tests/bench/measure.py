"""Whole processes, timed and watched; and how a figure is printed beside its bar."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from replay.offsets import Ints
from replay.run import Run
from tests.bench.traces import run

FOURSTEP = [sys.executable, "-m", "reports"]
_EVERY_S = 0.1
_BOUND_S = 900


def say(what: str, figure: str, bar: str = "", *, met: bool | None = None) -> None:
    """One line: what was measured, the figure, and whether it meets its bar."""
    verdict = "" if met is None else f"bar {bar}: {'met' if met else 'MISSED'}"
    print(f"  {what:<58}{figure:>20}  {verdict}".rstrip(), flush=True)


def timed(command: Sequence[str]) -> float:
    """Seconds of a whole process."""
    began_s = time.monotonic()
    run(command)
    return time.monotonic() - began_s


@dataclass(kw_only=True)
class Watched:
    """A process and its descendants, looked at ten times a second until their end. Linux only."""

    took_s: float = 0.0
    peak_mb: dict[int, float] = field(default_factory=dict)
    """By process, in the order of their beginning: the most memory it ever had, by its own word."""
    files: list[int] = field(default_factory=list)
    rss_kb: list[float] = field(default_factory=list)
    """Open files and memory of the process with the most files, over time."""
    text: str = ""

    def look(self, top: psutil.Process) -> None:
        """Note where each process is."""
        seen = []
        for process in [top, *top.children(recursive=True)]:
            with suppress(psutil.Error, OSError, StopIteration):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                self.peak_mb[process.pid] = int(peak.split()[1]) / 1024
                seen.append((process.num_fds(), process.memory_info().rss / 1024))
        if seen:
            files, rss_kb = max(seen)
            self.files.append(files)
            self.rss_kb.append(rss_kb)


def watched(command: Sequence[str], directory: Path, *, until: str | None = None) -> Watched:
    """Run a command to its end, or until its output has these words; says why if it fails.

    One that takes more than a quarter of an hour has failed.
    """
    found = Watched()
    log = directory / "log"
    began_s = time.monotonic()
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        ) as process,
    ):
        try:
            top = psutil.Process(process.pid)
            while process.poll() is None and time.monotonic() - began_s < _BOUND_S:
                found.look(top)
                if until is not None and until in log.read_text():
                    break
                time.sleep(_EVERY_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    found.took_s = time.monotonic() - began_s
    found.text = log.read_text()
    if process.returncode and (until is None or until not in found.text):
        sys.exit(f"{' '.join(command)} failed:\n{found.text[-2000:]}")
    return found


def replay(directory: Path, workload: Path, host: str, *options: str) -> tuple[pa.Table, Watched]:
    """Samples of `fourstep run` on this workload, and what its processes took."""
    command = [*FOURSTEP, "run", "--workload", str(workload), "--host", host]
    command += ["--run-dir", str(directory / "run"), "--lag-budget-ms", "1e9", *options]
    command += local_ports()
    directory.mkdir(parents=True, exist_ok=True)
    found = watched(command, directory)
    ended = Run(directory / "run")
    if not ended.finished:
        sys.exit(f"`{ended.path}` has no end:\n{found.text[-2000:]}")
    return ended.samples(), found


def rate_of(samples: pa.Table) -> float:
    """Statements a second, from the first sent to the last answered."""
    sent_us, done_us = (samples[name].drop_null().to_numpy() for name in ("sent_us", "done_us"))
    return float(len(done_us) / (np.max(done_us) - np.min(sent_us)) * 1e6)


def lag_ms(samples: pa.Table) -> Ints:
    """The tool's own lag of every statement that was sent, in milliseconds."""
    columns = (samples[name].to_numpy() for name in ("due_us", "ready_us", "sent_us"))
    due_us, ready_us, sent_us = columns
    return np.asarray((sent_us - np.maximum(due_us, ready_us)) / 1e3)


def local_ports() -> list[str]:
    """Options for a master that nobody else meets."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
