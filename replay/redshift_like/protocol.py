"""PostgreSQL's wire protocol, version 3.0, as far as a proxy must understand it.

PostgreSQL manual: 54.2 message flow, 54.7 message formats, 54.8 error fields.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

STARTUP, CANCEL, TLS, GSS = 196_608, 80_877_102, 80_877_103, 80_877_104
_NOTED = frozenset(b"CEGSZ")
_DATA_ROW, _READY = b"DZ"
_ROW_HEAD = 7
"""Kind, length and number of columns: not what a row holds."""
_LONGEST_STARTUP = 10_000


class Message(NamedTuple):
    """One message of a session; no kind means the other side is gone."""

    kind: bytes
    body: bytes


def encode(kind: bytes, *parts: bytes) -> bytes:
    """A message; the first one of a connection has no kind."""
    body = b"".join(parts)
    return kind + struct.pack("!i", len(body) + 4) + body


def texts(*values: str) -> bytes:
    """Strings, each with its zero byte."""
    return b"".join(value.encode() + b"\0" for value in values)


def encode_error(fields: Mapping[str, str]) -> bytes:
    """An ErrorResponse of fields by their letter: S severity, C SQLSTATE, M message."""
    return encode(b"E", texts(*(letter + value for letter, value in fields.items())), b"\0")


def fatal(sqlstate: str, text: str) -> bytes:
    """The error a session ends with."""
    return encode_error({"S": "FATAL", "C": sqlstate, "M": text})


def decode_error(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse's body by their letter."""
    parts = body.decode("utf-8", "replace").split("\0")
    return {part[0]: part[1:] for part in parts if part}


def encode_startup(parameters: Mapping[str, str]) -> bytes:
    """The first message of a session."""
    pairs = (text for pair in parameters.items() for text in pair)
    return encode(b"", struct.pack("!i", STARTUP), texts(*pairs), b"\0")


def decode_startup(body: bytes) -> dict[str, str]:
    """The parameters of a first message's body."""
    words = body[4:].decode("utf-8", "replace").split("\0")
    return dict(zip(words[::2], words[1::2], strict=False))


async def read_first(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Code and body of what a connection begins with; raises asyncio.IncompleteReadError."""
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    if not 8 <= length <= _LONGEST_STARTUP:
        raise asyncio.IncompleteReadError(b"", length)
    body = await reader.readexactly(length - 4)
    return struct.unpack_from("!i", body)[0], body


async def read_message(reader: asyncio.StreamReader) -> Message:
    """The next message, without a kind when there is none to come."""
    try:
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
    except (asyncio.IncompleteReadError, OSError):
        return Message(b"", b"")
    return Message(head[:1], body)


class Answer:
    """Cuts a stream at the messages a proxy acts on; rows are counted and not looked into."""

    def __init__(self) -> None:
        self.rows = 0
        self.row_bytes = 0
        self.complete = False
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Messages of a kind in `_NOTED`, and between them runs of others: no kind, as they came.

        Bodies of the former come without their head.
        """
        data = self._rest + chunk
        begin = at = 0
        while len(data) - at >= 5:
            stop = at + 1 + int.from_bytes(data[at + 1 : at + 5])
            if stop > len(data):
                break
            kind = data[at]
            if kind == _DATA_ROW:
                self.rows += 1
                self.row_bytes += stop - at - _ROW_HEAD
            elif kind in _NOTED:
                if begin < at:
                    yield Message(b"", data[begin:at])
                self.complete = kind == _READY
                yield Message(data[at : at + 1], data[at + 5 : stop])
                begin = stop
            at = stop
        if begin < at:
            yield Message(b"", data[begin:at])
        self._rest = data[at:]
