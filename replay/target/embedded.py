"""A real PostgreSQL 18 of our own, for the demo, the tests and runs without a configured target.

It listens on a Unix socket in a private directory only, starts from a copied template in about
a second, and is never left behind: see `replay.target.guard`. Durability is switched off, for
its data does not outlive it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from urllib.parse import parse_qsl, quote, urlsplit

from replay.errors import Unreachable, UsageError
from replay.target import cluster, guard

START_TIMEOUT_S = 60.0

_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "min_wal_size": "8MB",
        "shared_buffers": "128MB",
        # Files in the data directory: /dev/shm is small in containers and survives a kill.
        "dynamic_shared_memory_type": "mmap",
        "max_connections": "200",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
    }
)

_SOCKET_PATH_LIMIT = 100
"""Below the kernels' limits: 107 bytes on Linux, 103 on macOS."""

_started: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


class EmbeddedServer:
    """One server with a directory of its own, from `start` to `stop`; a context manager.

    `template` is a data directory to begin with, by default an empty one; `settings` are
    configuration parameters on top of our own; `database` is where `url` points by default.
    A forked child may use the URL but cannot stop the server, on purpose or by ending.
    """

    def __init__(
        self,
        name: str,
        *,
        template: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        database: str = "postgres",
    ) -> None:
        self.name = name
        self.database = database
        self._template = template
        self._settings = {**_SETTINGS, **settings}
        self._owner = 0
        self._directory: Path | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._lock = -1

    @property
    def directory(self) -> Path:
        """The private directory: socket, data and logs. Gone after `stop`."""
        if self._directory is None:
            raise Unreachable(f"the embedded server `{self.name}` is not running")
        return self._directory

    @property
    def log_directory(self) -> Path:
        """Where the logging collector writes, when the settings switch it on."""
        return self.directory / "log"

    def url(self, database: str | None = None, *, user: str = "postgres") -> str:
        """A libpq URL; every role may connect without a password."""
        host = quote(os.fspath(self.directory), safe="/")
        port = self._settings.get("port", "5432")
        url = f"postgresql://{quote(user)}@/{quote(database or self.database)}?host={host}"
        return url if port == "5432" else f"{url}&port={port}"

    def start(self) -> EmbeddedServer:
        """Start, and return when connections are accepted. Stops left-over servers first.

        Raises:
            Unreachable: it cannot start; with the end of its log.
            UsageError: there is no directory of our own, or its path is too long for a socket.
        """
        place = cluster.own_directory("embedded")
        prefix = re.sub(r"[^a-z0-9.]+", "-", self.name.lower())[:12] + "-"
        self._check_length(place / f"{prefix}{'x' * 8}")
        template = self._template or cluster.bare_cluster()
        binaries = cluster.binaries()
        self._owner = os.getpid()
        with cluster.locked(place / ".lock"):
            guard.sweep(place)
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            lock = guard.claim(directory)
            assert lock is not None
        self._directory, self._lock = directory, lock
        try:
            self._fill(directory, template)
            self._spawn(directory, binaries)
            self._wait_until_ready(directory)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, keep: Path | None = None) -> None:
        """Stop and delete everything; `keep` is where to leave the data directory instead.

        Does nothing when it is not running, or in a forked child.
        """
        if self._directory is None or os.getpid() != self._owner:
            return
        directory = self._directory
        if keep is not None:
            guard.stop_postmaster(directory / "data")
            (directory / "data").replace(keep)
        self._close()
        if self._guardian is not None:
            try:
                self._guardian.wait(guard.STOP_BOUND_S + 10)
            except subprocess.TimeoutExpired:
                self._guardian.kill()
                self._guardian.wait()
        # Nothing to do here unless the guardian was killed before us.
        guard.stop_postmaster(directory / "data")
        guard.remove(directory)
        self._directory = self._guardian = None

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _check_length(self, directory: Path) -> None:
        socket_path = directory / f".s.PGSQL.{self._settings.get('port', '5432')}"
        if len(os.fsencode(socket_path)) > _SOCKET_PATH_LIMIT:
            raise UsageError(
                f"`{directory.parent}` is too long a path for a socket",
                hint="set FOURSTEP_HOME to a directory with a shorter path",
            )

    def _fill(self, directory: Path, template: Path) -> None:
        cluster.copy_cluster(template, directory / "data")
        (directory / "log").mkdir(mode=0o700)
        for path in (directory / "log", directory):
            cluster.give(path, cluster.server_account())

    def _spawn(self, directory: Path, binaries: Path) -> None:
        settings = {
            **self._settings,
            "unix_socket_directories": f'"{directory}"',
            "log_directory": os.fspath(self.log_directory),
        }
        command = [os.fspath(binaries / "postgres"), "-D", os.fspath(directory / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        read_end, self._pipe = os.pipe()
        try:
            with (directory / "server.log").open("wb") as log:
                self._guardian = subprocess.Popen(
                    # By path and without sys.path[0]: works from any directory, imports no more
                    # than it needs.
                    [sys.executable, "-P", guard.__file__, str(read_end), directory, *command],
                    cwd="/",
                    env=cluster.server_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(read_end, self._lock),
                    start_new_session=True,
                )
        finally:
            os.close(read_end)
        _started.add(self)

    def _wait_until_ready(self, directory: Path) -> None:
        assert self._guardian is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                # Line 8 is the postmaster's state; pg_ctl waits for the same word.
                state = (directory / "data" / "postmaster.pid").read_text().splitlines()[7]
            except (OSError, IndexError):
                state = ""
            if state.strip() == "ready":
                return
            if (directory / "ended").exists() or self._guardian.poll() is not None:
                raise Unreachable(
                    f"the embedded server `{self.name}` did not start:\n{self._log_tail()}",
                    hint="check the settings, the room on the disk and the memory",
                )
            time.sleep(0.01)
        raise Unreachable(
            f"the embedded server `{self.name}` was not ready within {START_TIMEOUT_S:.0f} s:\n"
            f"{self._log_tail()}",
            hint="the machine may be overloaded; try again",
        )

    def _log_tail(self) -> str:
        logs = [self.directory / "server.log", *sorted(self.log_directory.glob("*.log"))]
        lines = [
            line
            for log in logs
            if log.exists()
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        return "\n".join(lines[-15:]) or "its log is empty"

    def _close(self) -> None:
        """Close what tells the guardian that the owner lives."""
        for file in (self._pipe, self._lock):
            if file >= 0:
                os.close(file)
        self._pipe = self._lock = -1


def _forget_in_child() -> None:
    for server in list(_started):
        server._close()


os.register_at_fork(after_in_child=_forget_in_child)


def loaded_cluster(key: str, load: Callable[[EmbeddedServer], None]) -> Path:
    """The template data directory for `key`; `load` fills it once, on a running server.

    `key` must change whenever what `load` leaves behind would.
    """

    def make(data: Path) -> None:
        server = EmbeddedServer("load", settings={"maintenance_work_mem": "256MB"}).start()
        try:
            load(server)
            server.stop(keep=data)
        finally:
            server.stop()

    return cluster.cached_cluster(key, make)


def open_embedded(url: str) -> EmbeddedServer | None:
    """The server an `embedded:` URL means, not started yet; None for any other URL.

    `embedded:` is the demo's 2.0, `embedded:1.0` and `embedded:2.0` choose, `embedded:empty`
    has no tables; `?size=small|medium|large` chooses how much the demo's places hold.

    Raises:
        UsageError: no such server, or an option it does not know; names the valid ones.
    """
    parts = urlsplit(url)
    if parts.scheme != "embedded":
        return None
    # The demo is built on this module; a target that is not the demo's needs none of it.
    from replay.demo.data import SIZES
    from replay.demo.world import DEFAULT_SIZE, PLACES, demo_server

    name = parts.path or "2.0"
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = options.pop("size", DEFAULT_SIZE)
    if parts.netloc or name not in (*PLACES, "empty"):
        raise UsageError(
            f"`{url}` names no embedded server",
            hint="use " + ", ".join(f"`embedded:{place}`" for place in (*PLACES, "empty")),
        )
    if options or size not in SIZES:
        raise UsageError(
            f"`{url}` has an option an embedded server does not know",
            hint="use " + ", ".join(f"`?size={known}`" for known in SIZES),
        )
    if name == "empty":
        return EmbeddedServer("empty")
    return demo_server(name, size)
