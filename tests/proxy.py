"""A network between a worker and its target that a test can cut, in silence or with a bang."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

_POLL_S = 0.02


class Network(Enum):
    """How the network is."""

    WHOLE = auto()
    SILENT = auto()
    """Connections are made and kept, and nothing passes: a black hole."""
    BROKEN = auto()
    """Connections are reset, new ones too."""


class Proxy:
    """Listens on loopback and passes on to the socket of an embedded server; a context manager."""

    def __init__(self, server: Path) -> None:
        self.network = Network.WHOLE
        self._server = server / ".s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/postgres"

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        # Wakes accept; closing alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            with suppress(OSError):
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(str(self._server))
                self._pass_on({client: server, server: client})
                if self.network is Network.BROKEN:
                    # Closed with nothing to wait for: a reset.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            return  # one of the two has gone

    def _pass_on(self, other: dict[socket.socket, socket.socket]) -> None:
        while not self._closed and self.network is not Network.BROKEN:
            if self.network is Network.SILENT:
                time.sleep(_POLL_S)
                continue
            for line in select.select(list(other), [], [], _POLL_S)[0]:
                chunk = line.recv(65_536)
                if not chunk:
                    return
                other[line].sendall(chunk)
