"""The stand-in's cluster: what its sessions share, its listener, and its control.

Control is a line of standard input, answered by a line `ok` or `error: …` on standard output:
`version 1.0.1`, `slots N`, `kill PID`, `kill all`, `pause`, `resume`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from itertools import count
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from replay.errors import UsageError
from replay.redshift_like.behaviour import Behaviour
from replay.redshift_like.history import History
from replay.redshift_like.result_cache import ResultCache
from replay.redshift_like.session import Session
from replay.redshift_like.workload_management import WorkloadManagement

_FIRST_PID = 1_073_750_000
"""Far from every process's: who mistakes one for the other finds nothing."""
_BACKLOG = 1_024


class Server:
    """One cluster with one database behind it.

    Raises:
        UsageError: the backend is not on a Unix socket. Its catalog is changed, so that it must
            be one of our own.
    """

    def __init__(self, backend: str, behaviour: Behaviour) -> None:
        socket = str(conninfo_to_dict(backend).get("host") or "")
        if not socket.startswith("/"):
            raise UsageError(
                "the stand-in changes the catalog of the server behind it",
                hint="give it an embedded one",
            )
        self.behaviour = behaviour
        self.version = behaviour.version
        self.backend = f"{socket}/.s.PGSQL.5432"
        self.wlm = WorkloadManagement(slots=behaviour.slots, compile_ms=behaviour.compile_ms)
        self.results = ResultCache()
        self.history = History(backend, behaviour)
        self.sessions: dict[int, Session] = {}
        self.next_pid = count(_FIRST_PID).__next__
        self.tls: ssl.SSLContext | None = None
        self._paused = False

    async def open(self) -> int:
        """Make the views and listen; returns the port."""
        if self.behaviour.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(self.behaviour.certificate)
        await self.history.open()
        await self.control(f"version {self.version}")
        self._listener = await asyncio.start_server(
            self._serve, "127.0.0.1", self.behaviour.port, backlog=_BACKLOG
        )
        return int(self._listener.sockets[0].getsockname()[1])

    def may_enter(self, password: str) -> bool:
        """Whether a password is known and still valid; read anew at each login."""
        try:
            known = json.loads(Path(self.behaviour.passwords).read_text(encoding="utf-8"))
            return float(known.get(password, 0)) > time.time()
        except (OSError, ValueError):
            return False

    def cancel(self, pid: int, secret: int) -> None:
        """Obey a cancel request; one with a wrong secret is ignored."""
        session = self.sessions.get(pid)
        if session is not None and session.secret == secret:
            session.cancel()

    async def control(self, line: str) -> None:
        """Do what one line says; raises ValueError."""
        word, _, argument = line.strip().partition(" ")
        if word == "version":
            self.version = argument
            self.wlm.compiled.clear()
        elif word == "slots":
            self.wlm.resize(int(argument))
        elif word == "kill":
            self._kill(None if argument == "all" else int(argument))
        elif word in ("pause", "resume"):
            self._paused = word == "pause"
            self._kill(None) if self._paused else None
        else:
            raise ValueError(f"unknown: {word}")
        await self.history.show_cluster(version=self.version, slots=self.wlm.slots)

    def _kill(self, pid: int | None) -> None:
        for session in list(self.sessions.values()):
            if pid in (None, session.pid):
                session.kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._paused:
            writer.close()
            return
        await Session(self, reader, writer).run()
