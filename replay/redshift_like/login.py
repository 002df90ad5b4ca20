"""How a session begins: TLS or not, password, limit, and the backend session behind it."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from replay.redshift_like import protocol
from replay.redshift_like.protocol import encode, read_first, read_message, texts
from replay.redshift_like.wording import OWN_PARAMETERS, PREFIX

if TYPE_CHECKING:
    from replay.redshift_like.server import Server

_REPORTED = frozenset(
    "server_version server_encoding client_encoding DateStyle TimeZone integer_datetimes"
    " is_superuser session_authorization".split()
)
"""Parameters that Redshift tells a client; PostgreSQL tells more by now."""
# A backslash escapes in every literal, as on Redshift.
_OPTIONS = {"standard_conforming_strings": "off", "escape_string_warning": "off"} | {
    PREFIX + name: default for name, default in OWN_PARAMETERS.items()
}
# The one parameter of our own: no run may pass for one on Redshift.
_IMITATION = encode(b"S", texts("imitation", "on"))


class Refused(Exception):
    """A login that fails; with the message to send, which may be empty."""


class Login(NamedTuple):
    """A session that has begun, but for the client's being told."""

    asked: dict[str, str]
    """What the client's first message says."""
    greeting: bytes
    """What the client is told, without the cancel key."""
    stop: bytes
    """Cancels what the backend session runs."""
    answers: asyncio.StreamReader
    backend: asyncio.StreamWriter


async def log_in(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pid: int
) -> Login:
    """Let a client in, or obey the cancel request that it turns out to be.

    Raises:
        Refused: it is not let in.
    """
    code, body = await read_first(reader)
    while code in (protocol.TLS, protocol.GSS):
        tls = server.tls if code == protocol.TLS else None
        writer.write(b"S" if tls else b"N")
        if tls:
            await writer.start_tls(tls)
        code, body = await read_first(reader)
    if code == protocol.CANCEL:
        server.cancel(*struct.unpack_from("!ii", body, 4))
        raise Refused(b"")
    asked = protocol.decode_startup(body)
    if server.behaviour.passwords:
        writer.write(encode(b"R", struct.pack("!i", 3)))  # in clear text
        kind, body = await read_message(reader)
        if kind != b"p" or not server.may_enter(body.rstrip(b"\0").decode()):
            text = f'password authentication failed for user "{asked.get("user")}"'
            raise Refused(protocol.fatal("28000", text))
    limit = server.behaviour.connections
    if len(server.sessions) > limit:
        text = f'connection limit "{limit}" exceeded for non-bootstrap users'
        raise Refused(protocol.fatal("53300", text))
    return await _open_backend(server, asked, pid)


async def _open_backend(server: Server, asked: dict[str, str], pid: int) -> Login:
    # Temporary credentials are for `IAM:user` or `IAMA:user`.
    user = asked.get("user", "").rpartition(":")[2]
    asked = {"database": user, "application_name": "", "options": ""} | asked | {"user": user}
    options = _OPTIONS | {f"{PREFIX}pid": str(pid)}
    words = [asked["options"], *(f"-c {name}={value}" for name, value in options.items())]
    sent = {name: asked[name] for name in ("user", "database", "application_name")}
    sent |= {"client_encoding": "UTF8", "options": " ".join(words)}
    answers, backend = await asyncio.open_unix_connection(server.backend)
    backend.write(protocol.encode_startup(sent))
    greeting, key = encode(b"R", struct.pack("!i", 0)) + _IMITATION, b""
    while True:
        kind, body = await read_message(answers)
        if kind == b"E" or not kind:
            backend.close()
            raise Refused(encode(kind, body) if kind else b"")
        if kind == b"S":
            greeting += reword_parameter(body, asked)
        elif kind == b"K":
            key = body
        elif kind == b"Z":
            stop = encode(b"", struct.pack("!i", protocol.CANCEL), key)
            return Login(asked, greeting, stop, answers, backend)


async def stop(server: Server, login: Login) -> None:
    """Cancel what a backend session runs."""
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(server.backend)
        writer.write(login.stop)
        await writer.drain()
        writer.close()


def reword_parameter(body: bytes, asked: dict[str, str]) -> bytes:
    """The message that tells the client a parameter; empty where Redshift does not."""
    name, value = body.decode().split("\0")[:2]
    if name == "server_version":
        value = "8.0.2"
    elif name == "server_encoding" or (name == "client_encoding" and name not in asked):
        value = "UNICODE"
    return encode(b"S", texts(name, value)) if name in _REPORTED else b""
