"""A throw-away MariaDB that logs all it does, and a client that sends statements as they are.

The command line client cuts statements at semicolons and trims them, so a few lines speak the
protocol themselves: MariaDB manual, client/server protocol.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Self

import pytest

INIT_DB, STATISTICS, PING = 0x02, 0x09, 0x0E
_QUIT, _QUERY, _PREPARE, _EXECUTE, _CLOSE = 0x01, 0x03, 0x16, 0x17, 0x19
_PROTOCOL_41, _SECURE, _WITH_DB, _MULTI_RESULTS, _PLUGIN = 0x200, 0x8000, 0x8, 0x20000, 0x80000
_MORE_RESULTS = 0x8
_UTF8MB4 = 45
_EOF, _ERROR = 0xFE, 0xFF
_VAR_STRING = 0xFD
_START_S = 60


@dataclass(frozen=True)
class MariaDB:
    """A running server: where it listens and where it logs."""

    socket: Path
    slow_log: Path
    general_log: Path

    def connect(self, *, user: str = "root", database: str = "") -> Session:
        """A session; users have no passwords."""
        return Session(self.socket, user=user, database=database)


class Session:
    """One connection, for one statement at a time."""

    def __init__(self, path: Path, *, user: str, database: str) -> None:
        self.thread = ""
        with ExitStack() as undo:
            self._socket = undo.enter_context(socket.socket(socket.AF_UNIX))
            self._socket.connect(str(path))
            self._stream = self._socket.makefile("rb")
            self._log_in(user, database)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send(bytes([_QUIT]))
        while self._stream.read(1):  # the server has logged the end when it hangs up
            pass
        self._stream.close()
        self._socket.close()

    def query(self, sql: str) -> int:
        """Run a statement and read its rows; returns its error's number, or 0."""
        self._send(bytes([_QUERY]) + sql.encode())
        return self._finish()

    def command(self, code: int, argument: str = "") -> None:
        """Any other command that is answered in one packet."""
        self._send(bytes([code]) + argument.encode())
        self._receive()

    def execute(self, sql: str, params: Sequence[str | None]) -> None:
        """Prepare, execute with bound strings, and close: the binary protocol."""
        self._send(bytes([_PREPARE]) + sql.encode())
        answer = self._check(self._receive())
        statement, columns, count = struct.unpack_from("<IHH", answer, 1)
        for definitions in (count, columns):
            for _ in range(definitions + bool(definitions)):
                self._receive()
        nulls = sum(1 << place for place, value in enumerate(params) if value is None)
        given = [value.encode() for value in params if value is not None]
        bound = nulls.to_bytes((count + 7) // 8, "little") + b"\1"
        bound += bytes([_VAR_STRING, 0]) * count
        bound += b"".join(b"\xfc" + struct.pack("<H", len(value)) + value for value in given)
        self._send(struct.pack("<BIBI", _EXECUTE, statement, 0, 1) + (bound if count else b""))
        assert self._finish() == 0
        self._send(struct.pack("<BI", _CLOSE, statement))

    def _log_in(self, user: str, database: str) -> None:
        greeting = self._receive()
        version_end = greeting.index(b"\0", 1)
        self.thread = str(struct.unpack_from("<I", greeting, version_end + 1)[0])
        flags = _PROTOCOL_41 | _SECURE | _WITH_DB | _MULTI_RESULTS | _PLUGIN
        login = struct.pack("<IIB23x", flags, 1 << 24, _UTF8MB4) + user.encode() + b"\0\0"
        self._send(login + database.encode() + b"\0mysql_native_password\0", number=1)
        self._check(self._receive())

    def _finish(self) -> int:
        """Read all results; returns the error's number, or 0."""
        ends, status = 0, 0
        while True:
            packet = self._receive()
            if packet[0] == _ERROR:
                return int(struct.unpack_from("<H", packet, 1)[0])
            if packet[0] == 0 and not ends:
                return 0
            if packet[0] == _EOF and len(packet) < 9:
                ends, status = ends + 1, struct.unpack_from("<H", packet, 3)[0]
            if ends == 2 and not status & _MORE_RESULTS:
                return 0
            ends %= 2

    def _check(self, packet: bytes) -> bytes:
        assert packet[0] != _ERROR, packet[9:].decode(errors="replace")
        return packet

    def _send(self, payload: bytes, *, number: int = 0) -> None:
        self._socket.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    def _receive(self) -> bytes:
        header = self._stream.read(4)
        return self._stream.read(int.from_bytes(header[:3], "little"))


@contextmanager
def mariadb_server() -> Iterator[MariaDB]:
    """A server of its own with all of its logs on; skips the test where Debian's is missing."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("mariadbd is not installed (Debian's package mariadb-server)")
    # A socket's path must be short, which pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as directory:
        home = Path(directory)
        common = ["--no-defaults", f"--user={getuser()}", f"--datadir={home / 'data'}"]
        subprocess.run(
            ["mariadb-install-db", *common, "--auth-root-authentication-method=normal",
             "--skip-test-db", "--skip-name-resolve"],
            check=True, capture_output=True,
        )  # fmt: skip
        server = MariaDB(home / "s.sock", home / "slow.log", home / "general.log")
        command = [
            "mariadbd", *common, f"--socket={server.socket}", f"--pid-file={home / 'pid'}",
            "--skip-networking", "--skip-name-resolve", "--character-set-server=utf8mb4",
            "--slow-query-log=1", f"--slow-query-log-file={server.slow_log}",
            "--long-query-time=0", "--general-log=1", f"--general-log-file={server.general_log}",
            f"--log-error={home / 'error.log'}",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, env={**os.environ, "TZ": "UTC"}, stderr=subprocess.DEVNULL
        )
        try:
            _await(server, process)
            yield server
        finally:
            process.terminate()
            process.wait()


def _await(server: MariaDB, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError, ConnectionRefusedError), server.connect():
            return
        time.sleep(0.05)
    raise AssertionError("mariadbd does not answer")
