"""A server that speaks PostgreSQL's wire protocol and does nothing else, in a process of its own.

It lets everybody in and answers each statement at once with one row. A statement's text may ask
for more, in comments: `-- rows N` rows, of `-- columns N` columns; `-- after MS` milliseconds of
thought; `-- error SQLSTATE` instead of an answer. It carries thousands of connections, and an
answer of any length streams in large writes: for what no real server on the same machine leaves
the room to see.

PostgreSQL manual: 54.2 message flow, 54.7 message formats.
"""

from __future__ import annotations

import asyncio
import re
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, cast

_STARTUP, _CANCEL, _TLS, _GSS = 196_608, 80_877_102, 80_877_103, 80_877_104
_ASKS = re.compile(rb"-- (rows|columns|after|error) (\w+)")
_CANCELLED = "57014"
_ROWS_A_WRITE = 5_000
_BACKLOG = 4_096
_STOP_WITHIN_S = 10


def _message(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return kind + struct.pack("!i", len(body) + 4) + body


def _texts(*texts: str) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)


_READY = _message(b"Z", b"I")
_SETTINGS = {
    "server_version": "18.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "integer_datetimes": "on",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
}


def _description(columns: int) -> bytes:
    column = _texts("answer") + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)
    return _message(b"T", struct.pack("!h", columns), column * columns)


def _row(columns: int) -> bytes:
    return _message(b"D", struct.pack("!h", columns), (struct.pack("!i", 2) + b"42") * columns)


def _done(rows: int) -> bytes:
    return _message(b"C", _texts(f"SELECT {rows}"))


_ONE_ROW = _description(1) + _row(1) + _done(1)


class Session(asyncio.Protocol):
    """One connection, from its first packet to its end."""

    by_number: ClassVar[dict[int, Session]] = {}
    begun: ClassVar[int] = 0

    def __init__(self) -> None:
        Session.begun += 1
        self._number = Session.begun
        self._buffer = bytearray()
        self._greeted = False
        self._sql = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._cancelled = asyncio.Event()
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        Session.by_number[self._number] = self

    def connection_lost(self, error: Exception | None) -> None:
        Session.by_number.pop(self._number, None)
        if self._answering is not None:
            self._answering.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take_all()

    def _take_all(self) -> None:
        """Take whole messages; those that come during a long answer wait for its end."""
        buffer = self._buffer
        while self._answering is None and not self._transport.is_closing():
            head = 1 if self._greeted else 0
            if len(buffer) < head + 4:
                return
            (length,) = struct.unpack_from("!i", buffer, head)
            if len(buffer) < head + length:
                return
            kind, body = bytes(buffer[:head]), bytes(buffer[head + 4 : head + length])
            del buffer[: head + length]
            if kind:
                self._take(kind, body)
            else:
                self._greet(body)

    def _greet(self, body: bytes) -> None:
        (code,) = struct.unpack_from("!i", body)
        if code in (_TLS, _GSS):
            self._transport.write(b"N")
        elif code == _STARTUP:
            self._greeted = True
            self._transport.write(
                _message(b"R", struct.pack("!i", 0))
                + b"".join(_message(b"S", _texts(*pair)) for pair in _SETTINGS.items())
                + _message(b"K", struct.pack("!ii", self._number, 0))
                + _READY
            )
        else:
            if code == _CANCEL:
                (number,) = struct.unpack_from("!i", body, 4)
                if number in Session.by_number:
                    Session.by_number[number]._cancelled.set()
            self._transport.close()

    def _take(self, kind: bytes, body: bytes) -> None:
        write = self._transport.write
        if kind == b"Q":
            self._answer(body.rstrip(b"\0"), end=_READY)
        elif kind == b"P":
            self._sql = body.split(b"\0")[1]
            write(_message(b"1"))
        elif kind == b"B":
            write(_message(b"2"))
        elif kind == b"E":
            self._answer(self._sql, end=b"")
        elif kind == b"S":
            write(_READY)
        elif kind == b"X":
            self._transport.close()
        # Describe is answered with the rows, and Flush needs nothing: every write is sent.

    def _answer(self, sql: bytes, *, end: bytes) -> None:
        asks = dict(_ASKS.findall(sql)) if b"--" in sql else {}
        if asks:
            self._answering = asyncio.create_task(self._answer_at_length(asks, end))
        else:
            self._transport.write(_answer_at_once(sql) + end)

    async def _answer_at_length(self, asks: dict[bytes, bytes], end: bytes) -> None:
        self._cancelled.clear()
        state = asks.get(b"error", b"").decode()
        if b"after" in asks:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._cancelled.wait(), int(asks[b"after"]) / 1e3)
                state = _CANCELLED
        rows = int(asks.get(b"rows", b"1"))
        state = state or await self._stream(rows, columns=int(asks.get(b"columns", b"1")))
        self._transport.write((_failure(state) if state else _done(rows)) + end)
        self._answering = None
        self._take_all()

    async def _stream(self, rows: int, *, columns: int) -> str:
        """Write so many rows as fast as they are read; an SQLSTATE if they are cancelled."""
        row = _row(columns)
        many = row * _ROWS_A_WRITE
        self._transport.write(_description(columns))
        for _ in range(rows // _ROWS_A_WRITE):
            self._transport.write(many)
            await self._writable.wait()
            await asyncio.sleep(0)
            if self._cancelled.is_set():
                return _CANCELLED
        self._transport.write(row * (rows % _ROWS_A_WRITE))
        return ""


def _answer_at_once(sql: bytes) -> bytes:
    word = sql.split(None, 1)[0].upper().decode(errors="replace") if sql.strip() else ""
    if word in ("SELECT", "WITH"):
        return _ONE_ROW
    return _message(b"C", _texts(word)) if word else _message(b"I")


def _failure(state: str) -> bytes:
    fields = _texts("SERROR", "VERROR", f"C{state}", "Mas asked for")
    return _message(b"E", fields, b"\0")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Session, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Until whoever started us is gone.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def wire_server() -> Iterator[str]:
    """The URL of a server on the loopback interface, stopped at the end."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield f"postgresql://anybody@127.0.0.1:{port}/any"
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    _, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))
    asyncio.run(_serve())
