"""A real PostgreSQL 18 of our own, for the demo, the tests and runs without a configured target.

It listens on a Unix socket in a private directory only, starts from a copied template in about
a second, and is never left behind: see `replay.target.guard`. Durability is switched off, for
its data does not outlive it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from replay.errors import Unreachable, UsageError
from replay.target import cluster, guard

START_TIMEOUT_S = 60

_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
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
    }
)

_SOCKET_PATH_LIMIT = 100
"""Below the kernels' limits: 107 bytes on Linux, 103 on macOS."""

_owned: set[EmbeddedServer] = set()
"""Those this process has started and not stopped."""


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
        self._directory: Path | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

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
        return f"postgresql://{quote(user)}@/{quote(database or self.database)}?host={host}"

    def start(self) -> EmbeddedServer:
        """Start, and return when connections are accepted. Stops left-over servers first.

        Raises:
            Unreachable: it cannot start; with the end of its log.
            UsageError: there is no directory of our own, or its path is too long for a socket.
        """
        place = cluster.own_directory("embedded")
        prefix = f"{self.name}-"
        if len(os.fsencode(place / f"{prefix}xxxxxxxx" / ".s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
            raise UsageError(
                f"`{place}` is too long a path for a socket",
                hint="set FOURSTEP_HOME to a directory with a shorter path",
            )
        template = self._template or cluster.bare_cluster()
        with cluster.locked(place):
            guard.sweep(place)
            self._directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            self._lock = guard.take_lock(self._directory / "alive")
        try:
            self.log_directory.mkdir()
            for path in (self.log_directory, self.directory):
                cluster.give(path)
            cluster.run_program("cp", "-a", template, self.directory / "data")
            self._spawn()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop and delete everything; nothing when it is not running, or in a forked child."""
        if self._lock is None:
            return
        _owned.discard(self)
        self._let_go()
        if self._guardian is not None:
            with self._guardian:
                pass  # wait for its end
        guard.clear(self.directory)  # nothing is left to do unless the guardian was killed
        self._directory = self._guardian = None

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _let_go(self) -> None:
        """Close what tells the guardian that the owner lives."""
        assert self._lock is not None
        os.close(self._lock)
        self._lock = None

    def _spawn(self) -> None:
        binaries = cluster.binaries()
        settings = {
            **self._settings,
            "unix_socket_directories": f'"{self.directory}"',
            "log_directory": os.fspath(self.log_directory),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        assert self._lock is not None
        command: list[str | Path] = [
            # By path and without sys.path[0]: works from any directory, imports no more than it
            # needs.
            *(sys.executable, "-P", guard.__file__, self.directory, str(self._lock)),
            *(binaries / "pg_ctl", "start", "--silent", "--timeout", str(START_TIMEOUT_S)),
            *("-p", binaries / "postgres", "-D", self.directory / "data"),
            *("-o", shlex.join(options)),
        ]
        with (self.directory / "server.log").open("wb") as log:
            self._guardian = subprocess.Popen(
                command,
                cwd="/",
                env=cluster.server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(self._lock,),
                start_new_session=True,
            )
        # Not before: gevent's Popen is a fork of Python's, and the guardian's needs the lock.
        _owned.add(self)
        assert self._guardian.stdout is not None
        if self._guardian.stdout.readline() != b"0\n":
            raise Unreachable(
                f"the embedded server `{self.name}` did not start:\n{self._log_tail()}",
                hint="check the settings, the room on the disk and the memory",
            )

    def _log_tail(self) -> str:
        logs = [self.directory / "server.log", *sorted(self.log_directory.glob("*.log"))]
        text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return "\n".join(text.strip().splitlines()[-15:])


def _let_go_in_child() -> None:
    while _owned:
        _owned.pop()._let_go()


os.register_at_fork(after_in_child=_let_go_in_child)


def loaded_cluster(key: str, load: Callable[[EmbeddedServer], None]) -> Path:
    """The template data directory for `key`; `load` fills it once, on a running server.

    `key` must change whenever what `load` leaves behind would.
    """

    def make(data: Path) -> None:
        with EmbeddedServer("load", settings={"maintenance_work_mem": "256MB"}) as server:
            load(server)
            guard.stop_server(server.directory / "data")
            (server.directory / "data").replace(data)

    return cluster.cached("templates", key, make)


def open_embedded(url: str) -> EmbeddedServer | None:
    """The server an `embedded:` URL means, not started yet; None for any other URL.

    `embedded:` is the demo's 2.0, `embedded:1.0` and `embedded:2.0` choose, `embedded:empty`
    has no tables; `?size=small|medium|large` chooses how much the demo's places hold.

    Raises:
        UsageError: no such server, or an option it does not know; names the valid ones.
    """
    if not url.startswith("embedded:"):
        return None
    if url == "embedded:empty":
        return EmbeddedServer("empty")
    # The demo is built on this module; a target that is not the demo's needs none of it.
    from replay.demo.world import DEFAULT_SIZE, demo_server

    place, _, size = url.removeprefix("embedded:").partition("?size=")
    return demo_server(place or "2.0", size or DEFAULT_SIZE)
