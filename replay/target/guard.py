"""The guardian: sees to it that no embedded server outlives the process that started it.

A program of its own, started by path in a session of its own, so that Ctrl-C in a terminal does
not reach the server and a killed owner cannot take the guardian along. It runs postgres as its
child and reads from a pipe whose other end only the owner holds: the pipe closes when the owner
stops the server, ends, crashes or is killed, and then the server and its directory go.

Guardian and owner share one lock on the file `alive` in the server's directory. The kernel frees
it when both are gone, so a lock that can be had marks a left-over for `sweep`. Process ids would
not do: they are used again, and mean nothing in another container on the same disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_STOPPING = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, immediate shutdown, kill; with the seconds each may take."""

STOP_BOUND_S = sum(bound_s for _, bound_s in _STOPPING)


def claim(directory: Path) -> int | None:
    """Take the lock of a server's directory; None when its owner or guardian holds it.

    Returns the open file: the lock lasts until every process that shares it has closed it.
    """
    file = os.open(directory / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def sweep(place: Path) -> list[str]:
    """Stop and delete every server under `place` that nobody owns; returns their names.

    The caller holds the lock under which directories are made, so none is seen half made.
    """
    swept: list[str] = []
    for directory in sorted(place.iterdir()):
        if not directory.is_dir():
            continue
        try:
            lock = claim(directory)
        except FileNotFoundError:
            continue  # its guardian deleted it just now
        if lock is None:
            continue
        try:
            stop_postmaster(directory / "data")
            remove(directory)
        finally:
            os.close(lock)
        swept.append(directory.name)
    return swept


def stop_postmaster(data: Path) -> None:
    """Stop the server on a data directory, whoever its parent is; returns when it is gone."""
    try:
        first_line, *_ = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(first_line))
        # A postmaster works in its data directory; another process may have got its id since.
        if Path(process.cwd()) != data.resolve():
            return
    except (OSError, ValueError, psutil.Error):
        return
    _stop(process.send_signal, lambda timeout_s: _wait_for_stranger(process, timeout_s))


def remove(directory: Path) -> None:
    """Delete a directory; again when a process that is just ending still wrote into it."""
    for _ in range(50):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)


def _wait_for_stranger(process: psutil.Process, timeout_s: float) -> None:
    """Wait for the end of a process that may not be our child.

    A zombie has ended: in a container, who should collect it may do so late or never.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise psutil.TimeoutExpired(timeout_s, process.pid)


def _stop(send: Callable[[int], None], wait: Callable[[float], object]) -> None:
    for number, bound_s in _STOPPING:
        with contextlib.suppress(psutil.NoSuchProcess):
            send(number)
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            wait(bound_s)
            return


def _guard(pipe: int, directory: Path, command: list[str]) -> None:
    """Run the server until the pipe closes or SIGTERM comes, then delete `directory`."""
    wakes, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    data = directory / "data"
    account = data.stat()
    as_account = (
        {"user": account.st_uid, "group": account.st_gid, "extra_groups": []}
        if os.geteuid() == 0
        else {}
    )
    server = subprocess.Popen(command, cwd=data, stdin=subprocess.DEVNULL, **as_account)  # type: ignore[call-overload]
    try:
        _watch(pipe, wakes, server, directory / "ended")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if server.poll() is None:
            _stop(server.send_signal, lambda timeout_s: server.wait(timeout_s))
        remove(directory)


def _watch(pipe: int, wakes: int, server: subprocess.Popen[bytes], ended: Path) -> None:
    """Return when the server has to go; when it ends before that, say so in the file `ended`."""
    while True:
        ready, _, _ = select.select([pipe, wakes], [], [])
        if pipe in ready and not os.read(pipe, 64):
            return
        if wakes in ready and signal.SIGTERM in os.read(wakes, 64):
            return
        if server.poll() is not None and not ended.exists():
            ended.write_text(f"{server.returncode}\n")


if __name__ == "__main__":
    # guard.py PIPE DIRECTORY COMMAND...; the lock comes along as an open file.
    _guard(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
