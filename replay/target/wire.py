"""One session's connection, driven through libpq itself.

`psycopg.pq` gives libpq's non-blocking calls; what waiting means is the caller's, so this module
knows no event loop and does not depend on the standard library being patched. Rows arrive in
chunks, are counted and dropped: a result of any size takes the memory of one chunk.

libpq manual: 32.4 asynchronous command processing, 32.6 retrieving results in chunks,
32.7 cancelling.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import psycopg
from psycopg import pq
from psycopg.pq import abc as pq_abc

from replay.target.digest import Digest

CHUNK_ROWS = 1_000
DIGEST_ROWS = 100
"""Rows that are taken in before others get their turn: digesting one takes microseconds."""

# As plain integers: comparing with members of an enum costs more than the rest of the loop.
_TUPLES_CHUNK = int(pq.ExecStatus.TUPLES_CHUNK)
_TUPLES_OK = int(pq.ExecStatus.TUPLES_OK)
_COMMAND_OK = int(pq.ExecStatus.COMMAND_OK)
_FATAL_ERROR = int(pq.ExecStatus.FATAL_ERROR)
_CONNECTION_OK = int(pq.ConnStatus.OK)
_CHUNKS_BETWEEN_PAUSES = 4
ERROR_CHARACTERS = 160

QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
"""What a server quotes in its messages: users' values, and names."""
_LOST = "08006"
_LOGIN_STATES = (
    ("too many", "53300"),
    ("connection limit", "53300"),
    ("remaining connection slots", "53300"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("in recovery", "57P03"),
    ("not yet accepting", "57P03"),
    ("authentication failed", "28P01"),
    ("expired", "28P01"),
    ("no password supplied", "28P01"),
    ("pg_hba.conf", "28000"),
    ('role "', "28000"),
    ('database "', "3D000"),
)


class Waiter(Protocol):
    """How a connection waits for its socket without stopping the others."""

    def readable(self) -> None:
        """Return when there is something to read, or the other side is gone."""

    def writable(self) -> None:
        """Return when more can be written."""

    def pause(self) -> None:
        """Let others run; called now and then while a large answer streams in."""

    def close(self) -> None:
        """Forget the socket."""


WaiterFactory = Callable[[int], Waiter]


class Answer(NamedTuple):
    """How a statement ended. Times are of the clock `time.monotonic_ns`, in nanoseconds.

    A tuple because it is made for every statement, and costs a third of a frozen dataclass.
    """

    first_row_ns: int | None
    done_ns: int
    rows: int | None
    sqlstate: str | None = None
    error: str | None = None
    lost: bool = False
    """The connection is gone; a new one is needed for the next statement."""
    digest: str | None = None
    """Of the answer's rows, where asked for."""


class LoginFailed(Exception):
    """A connection that did not come about; its text holds no secret."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Connection(Protocol):
    """What the engine needs of a session's connection."""

    backend_pid: int
    """The server's process, or -1 where there is none."""

    def execute(self, sql: bytes, params: Sequence[bytes | None] | None) -> Answer:
        """Send one statement and read its answer to the last row."""

    def cancel(self) -> None:
        """Ask the target to stop the statement in flight; it then ends as an error."""

    def sever(self) -> None:
        """Cut the connection under a statement that does not end."""

    def close(self) -> None:
        """End the session."""


class Wire:
    """A PostgreSQL connection that waits as it is told.

    Raises:
        LoginFailed: from the constructor, when the target does not let us in.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        wait: WaiterFactory,
        setup: str = "",
        digest: bool = False,
    ) -> None:
        self._wait = wait
        self._digest = False
        self._conn = pq.PGconn.connect_start(conninfo.encode())
        try:
            _log_in(self._conn, wait)
            self._conn.nonblocking = 1
            self._waiter = wait(self._conn.socket)
            self.backend_pid = self._conn.backend_pid
        except BaseException:
            self._conn.finish()
            raise
        try:
            if setup and (answer := self.execute(setup.encode(), None)).sqlstate is not None:
                raise LoginFailed(f"set-up: {answer.error}", sqlstate=answer.sqlstate)
        except BaseException:
            self.close()
            raise
        self._digest = digest

    @property
    def server_version(self) -> int:
        """As libpq reports it, 180001 for 18.1; Redshift says 80002."""
        return self._conn.server_version

    def execute(self, sql: bytes, params: Sequence[bytes | None] | None) -> Answer:
        """Send by the simple protocol, or by the extended one when there are bind values."""
        conn, waiter = self._conn, self._waiter
        first_row_ns: int | None = None
        rows: int | None = None
        sqlstate = error = None
        digest = Digest() if self._digest else None
        chunks = 0
        if b"\0" in sql:
            # libpq takes C strings: it would send the part before the zero, a different statement.
            return Answer(None, time.monotonic_ns(), None, "22021", "zero byte in the statement")
        try:
            if params is None:
                conn.send_query(sql)
            else:
                conn.send_query_params(sql, params)
            conn.set_chunked_rows_mode(CHUNK_ROWS if digest is None else DIGEST_ROWS)
            while conn.flush():
                waiter.writable()
                conn.consume_input()
            while True:
                while conn.is_busy():
                    waiter.readable()
                    conn.consume_input()
                result = conn.get_result()
                if result is None:
                    break
                status = result.status
                if status in (_TUPLES_CHUNK, _TUPLES_OK):
                    count = result.ntuples
                    rows = (rows or 0) + count
                    if count and first_row_ns is None:
                        first_row_ns = time.monotonic_ns()
                    if digest is not None:
                        digest.add(result)
                    chunks += 1
                    if chunks % _CHUNKS_BETWEEN_PAUSES == 0:
                        waiter.pause()
                elif status == _FATAL_ERROR:
                    sqlstate, error = _failure(result)
                elif status == _COMMAND_OK:
                    rows = result.command_tuples if rows is None else rows
                else:
                    sqlstate, error = self._leave_copy(status)
        except psycopg.Error as failure:
            done_ns = time.monotonic_ns()
            if sqlstate is None:
                # Otherwise the server said why before it hung up.
                sqlstate, error = _LOST, _short(str(failure))
            return Answer(first_row_ns, done_ns, rows, sqlstate, error, lost=True)
        done_ns = time.monotonic_ns()
        lost = sqlstate is not None and conn.status != _CONNECTION_OK
        told = None if digest is None or sqlstate is not None or rows is None else digest.hex
        return Answer(first_row_ns, done_ns, rows, sqlstate, error, lost, told)

    def cancel(self) -> None:
        """Send a cancel request over a connection of its own, encrypted as this one is."""
        request = self._conn.cancel_conn()
        try:
            request.start()
            while True:
                status = request.poll()
                if status in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
                    return
                _await(request.socket, status, self._wait)
        except psycopg.Error:
            # The connection may have ended meanwhile; a statement that goes on is severed later.
            return
        finally:
            request.finish()

    def sever(self) -> None:
        """Shut the socket down, which wakes whoever waits for it with an error."""
        try:
            with socket.socket(fileno=os.dup(self._conn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (psycopg.Error, OSError):
            return

    def close(self) -> None:
        """Say goodbye and free the socket."""
        self._waiter.close()
        self._conn.finish()

    def _leave_copy(self, status: int) -> tuple[str, str]:
        """COPY over the wire is never replayed: refuse to send, and throw away what comes."""
        conn = self._conn
        if status == pq.ExecStatus.COPY_IN:
            conn.put_copy_end(b"not replayed")
            while conn.flush():
                self._waiter.writable()
        elif status == pq.ExecStatus.COPY_OUT:
            while (size := conn.get_copy_data(1)[0]) >= 0:
                if size == 0:
                    self._waiter.readable()
                    conn.consume_input()
        return "0A000", "COPY from or to the client is not replayed"


def _log_in(conn: pq_abc.PGconn, wait: WaiterFactory) -> None:
    while True:
        if conn.status == pq.ConnStatus.BAD:
            raise _login_failure(conn)
        status = conn.connect_poll()
        if status == pq.PollingStatus.OK:
            return
        if status == pq.PollingStatus.FAILED:
            raise _login_failure(conn)
        _await(conn.socket, status, wait)


def _await(fd: int, status: int, wait: WaiterFactory) -> None:
    # libpq may change sockets between polls, when it tries another address or gives up TLS.
    waiter = wait(fd)
    try:
        if status == pq.PollingStatus.READING:
            waiter.readable()
        else:
            waiter.writable()
    finally:
        waiter.close()


def _login_failure(conn: pq_abc.PGconn) -> LoginFailed:
    message = conn.get_error_message()
    return LoginFailed(_short(message), sqlstate=login_state(message))


def login_state(message: str) -> str:
    """The SQLSTATE of a refused login, which libpq tells in words only."""
    # Before it stand host or socket, whose names may hold any word.
    reason = message.rpartition("failed: ")[2]
    return next((state for words, state in _LOGIN_STATES if words in reason), "08001")


def _failure(result: pq_abc.PGresult) -> tuple[str, str]:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    sqlstate = state.decode() if state else _LOST
    text = primary.decode(errors="replace") if primary else result.get_error_message()
    # Class 42 quotes names of tables and columns; elsewhere quotes hold the user's values.
    if not sqlstate.startswith("42"):
        text = QUOTED.sub('"…"', text)
    return sqlstate, _short(text)


def _short(text: str) -> str:
    return " ".join(text.split())[:ERROR_CHARACTERS]
