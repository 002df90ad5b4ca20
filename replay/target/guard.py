"""The guardian: sees to it that no embedded server outlives the process that started it.

A program of its own, started by path in a session of its own, so that Ctrl-C in a terminal does
not reach the server and a killed owner cannot take the guardian along. It starts the server and
then waits for the lock on the file `alive` in the server's directory. The owner holds that lock,
and the kernel frees it when the owner stops the server, ends, crashes or is killed: the server
and its directory go.

Should the guardian be killed as well, a lock that can be had marks a left-over for `sweep`.
Process ids would not do: they are used again, and mean nothing in another container on the same
disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

_STOP_BOUND_S = 10.0
"""For each of the ways to stop a server, from polite to rude."""


def become(uid: int, gid: int) -> dict[str, Any]:
    """Arguments of `subprocess` that change the user; only root has to, and can."""
    return {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}


def take_lock(path: Path, *, wait: bool = True) -> int | None:
    """Lock a file alone among all processes; None when another holds it and we do not wait.

    Returns the open file: the lock lasts until every process that shares it has closed it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(file)
        return None
    return file


def sweep(place: Path) -> None:
    """Stop and delete every server under `place` that nobody owns.

    The caller holds the lock under which directories are made, so none is seen half made.
    """
    for directory in place.glob("*/"):
        try:
            lock = take_lock(directory / "alive", wait=False)
        except FileNotFoundError:
            continue  # its guardian deleted it just now
        if lock is not None:
            clear(directory)
            os.close(lock)


def clear(directory: Path) -> None:
    """Stop the server in a directory, if one runs, and delete everything."""
    stop_server(directory / "data")
    for _ in range(50):  # a process that is just ending may still write into it
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)


def stop_server(data: Path) -> None:
    """Stop the server on a data directory, whoever its parent is; returns when it is gone."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_BOUND_S
        postmaster = _postmaster(data)
        if postmaster is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                postmaster.send_signal(number)
        while _postmaster(data) is not None and time.monotonic() < deadline:
            time.sleep(0.01)


def _postmaster(data: Path) -> psutil.Process | None:
    """The process that serves a data directory; a zombie does not.

    It is known by its command line, for another process may have got its id since, and root in
    a container may not ask for the working directory of another user's process.
    """
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        return process if process.cmdline()[1:3] == ["-D", os.fspath(data)] else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _guard(directory: Path, owner_lock: int, command: list[str]) -> None:
    """Start the server, print how that ended, wait for the owner's end, delete `directory`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        account = (directory / "data").stat()
        started = subprocess.run(
            command, stdout=sys.stderr, check=False, **become(account.st_uid, account.st_gid)
        )
        print(started.returncode, flush=True)
        # Shared up to here, so that no sweep meets a server that is only being started.
        os.close(owner_lock)
        take_lock(directory / "alive")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        clear(directory)


if __name__ == "__main__":
    # guard.py DIRECTORY LOCK COMMAND...; the lock is an open file that the owner shares.
    _guard(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
