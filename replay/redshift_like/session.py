"""One session of the stand-in: its login, and its statements on a backend session of its own."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING

from replay.redshift_like import protocol, wording
from replay.redshift_like.history import Login, Query, utc_now
from replay.redshift_like.protocol import Answer, Message, encode, texts
from replay.redshift_like.result_cache import Cached
from replay.redshift_like.wording import OWN_PARAMETERS, PREFIX, Statement, read, refusal

if TYPE_CHECKING:
    from replay.redshift_like.server import Server

_READ_BYTES = 65_536
_REPORTED = frozenset(
    "server_version server_encoding client_encoding DateStyle TimeZone integer_datetimes"
    " is_superuser session_authorization".split()
)
"""Parameters that Redshift tells a client; later PostgreSQL tells more."""
_BACKEND_OPTIONS = {
    # A backslash escapes in every literal, as on Redshift.
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    **{PREFIX + name: default for name, default in OWN_PARAMETERS.items()},
}


class Refused(Exception):
    """A login that fails, as the error to send."""


class Session:
    """From the first byte of a connection to its end."""

    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self.pid = server.next_pid()
        self.secret = secrets.randbits(31)
        self._asked: dict[str, str] = {}
        self._set: dict[str, str] = {}
        self._prepared: dict[bytes, str] = {}
        self._status = b"I"
        self._transaction = 0
        self._wrote = False
        self._admission: asyncio.Task[None] | None = None
        self._running = False
        self._held = 0

    async def run(self) -> None:
        """Serve until the client or the server hangs up."""
        self._task = asyncio.current_task()
        pump: asyncio.Task[None] | None = None
        try:
            if not await self._greet():
                return
            self._inbox: asyncio.Queue[Message] = asyncio.Queue()
            pump = asyncio.create_task(self._pump())
            await self._log("authenticated")
            await self._serve()
            await self._log("disconnecting session")
        except Refused as refused:
            self._writer.write(refused.args[0])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one of the two has gone, or the session was killed
        finally:
            self._server.sessions.pop(self.pid, None)
            if pump is not None:
                pump.cancel()
                self._backend.close()
            with suppress(OSError, asyncio.CancelledError):
                self._writer.close()

    def cancel(self) -> None:
        """Stop the statement that runs or waits; nothing when there is none."""
        if self._admission is not None:
            self._admission.cancel()
        elif self._running:
            self._stopping = asyncio.create_task(self._cancel_backend())

    def kill(self) -> None:
        """End the session as an administrator does."""
        text = "terminating connection due to administrator command"
        self._writer.write(protocol.fatal("57P01", text))
        self.cancel()
        assert self._task is not None
        self._task.cancel()

    # -- login

    async def _greet(self) -> bool:
        code, body = await protocol.read_first(self._reader)
        while code in (protocol.TLS, protocol.GSS):
            takes_tls = code == protocol.TLS and self._server.tls is not None
            self._writer.write(b"S" if takes_tls else b"N")
            if takes_tls:
                assert self._server.tls is not None
                await self._writer.start_tls(self._server.tls)
            code, body = await protocol.read_first(self._reader)
        if code == protocol.CANCEL:
            self._server.cancel(body)
            return False
        self._asked = protocol.decode_startup(body)
        # Names of temporary credentials: `IAM:user`, `IAMA:user`.
        self.user = self._asked.get("user", "").rpartition(":")[2]
        await self._check_password()
        if len(self._server.sessions) >= self._server.behaviour.connections:
            limit = self._server.behaviour.connections
            text = f'connection limit "{limit}" exceeded for non-bootstrap users'
            raise Refused(protocol.fatal("53300", text))
        self._server.sessions[self.pid] = self
        await self._open_backend()
        return True

    async def _check_password(self) -> None:
        if not self._server.behaviour.passwords:
            return
        self._writer.write(encode(b"R", struct.pack("!i", 3)))  # in clear text
        kind, body = await protocol.read_message(self._reader)
        if kind != b"p" or not self._server.may_enter(body.rstrip(b"\0").decode()):
            text = f'password authentication failed for user "{self._asked.get("user")}"'
            raise Refused(protocol.fatal("28000", text))

    async def _open_backend(self) -> None:
        options = _BACKEND_OPTIONS | {f"{PREFIX}pid": str(self.pid)}
        words = " ".join(f"-c {name}={value}" for name, value in options.items())
        kept = {k: v for k, v in self._asked.items() if k in ("database", "application_name")}
        kept["options"] = f"{self._asked.get('options', '')} {words}".strip()
        kept["client_encoding"] = "UTF8"
        self._answers, self._backend = await asyncio.open_unix_connection(self._server.backend)
        self._backend.write(protocol.encode_startup({"user": self.user, **kept}))
        answer, key = encode(b"R", struct.pack("!i", 0)), b""
        while True:
            kind, body = await protocol.read_message(self._answers)
            if kind == b"E" or not kind:
                raise Refused(encode(kind, body) if kind else b"")
            if kind == b"S":
                answer += self._reworded_parameter(body)
            elif kind == b"K":
                key = body
            elif kind == b"Z":
                break
        self._stop = encode(b"", struct.pack("!i", protocol.CANCEL), key)
        key = struct.pack("!ii", self.pid, self.secret)
        self._writer.write(answer + encode(b"K", key) + encode(b"Z", b"I"))

    def _reworded_parameter(self, body: bytes) -> bytes:
        name, value = body.decode().split("\0")[:2]
        if name == "session_authorization":
            self.user = value
        if name == "server_version":
            value = "8.0.2"
        elif name == "server_encoding" or (
            name == "client_encoding" and "client_encoding" not in self._asked
        ):
            value = "UNICODE"
        return encode(b"S", texts(name, value)) if name in _REPORTED else b""

    async def _log(self, event: str) -> None:
        tls = self._writer.get_extra_info("ssl_object")
        await self._server.history.add(
            Login(
                event=event,
                session_id=self.pid,
                database=self._database,
                user=self.user,
                application=self._asked.get("application_name", ""),
                tls=tls.version() if tls else "",
            )
        )

    @property
    def _database(self) -> str:
        return self._asked.get("database") or self.user

    # -- messages

    async def _pump(self) -> None:
        """Take messages while a statement runs: a client that goes away stops it."""
        message = Message(b"?", b"")
        while message.kind:
            message = await protocol.read_message(self._reader)
            self._inbox.put_nowait(message)
        self.cancel()

    async def _serve(self) -> None:
        batch: list[Message] = []
        while True:
            message = await self._inbox.get()
            if message.kind in (b"", b"X"):
                return
            if message.kind == b"Q":
                for sql in wording.split(message.body[:-1].decode()):
                    if not await self._run(sql, [Message(b"Q", b"")], binds=b""):
                        break
            else:
                batch.append(message)
                if message.kind != b"S":
                    continue
                await self._run_batch(batch)
                batch = []
            self._writer.write(encode(b"Z", self._status))
            await self._writer.drain()

    async def _run_batch(self, batch: list[Message]) -> None:
        """What stands before a Sync: perhaps a Parse, a Bind, an Execute."""
        sql = None
        for kind, body in batch:
            if kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                sql = self._prepared[name] = text.decode()
            elif kind == b"B":
                sql = self._prepared.get(body.split(b"\0")[1])
        executes = any(kind == b"E" for kind, _ in batch)
        if sql is None or not executes:
            request = b"".join(encode(*self._reworded(message)) for message in batch)
            await self._relay(request, Answer(), None, [])
        else:
            binds = b"".join(kind + body for kind, body in batch)
            await self._run(sql, batch, binds=binds)

    def _reworded(self, message: Message, sql: str = "") -> Message:
        if message.kind == b"Q":
            return Message(b"Q", texts(sql))
        if message.kind == b"P":
            name, text, types = message.body.split(b"\0", 2)
            return Message(b"P", b"\0".join((name, read(text.decode()).sql.encode(), types)))
        return message

    # -- statements

    async def _run(self, sql: str, batch: list[Message], *, binds: bytes) -> bool:
        """Run one statement and relay its answer without the end; False when it failed."""
        began_ns = time.perf_counter_ns()
        statement = read(sql)
        if self._status == b"I" or not self._transaction:
            self._transaction = self._server.history.next_transaction()
        query = Query(
            query_id=self._server.history.next_query(),
            transaction_id=self._transaction,
            session_id=self.pid,
            label=self._set.get("query_group", "default"),
            database=self._database,
            user=self.user,
            query_type=statement.query_type,
            text=sql,
            version=self._server.version,
        )
        if statement.system:
            await self._server.history.show()
        if statement.stops is not None:
            self._stop_other(statement.stops)
        query.planning_us = (time.perf_counter_ns() - began_ns) // 1_000
        key = (self.user, self._database, self._set.get("search_path"), sql, binds)
        try:
            await self._answer(statement, query, batch, key)
        finally:
            self._server.slots.give(self._held)
            self._held = 0
            query.end = utc_now()
            query.elapsed_us = (time.perf_counter_ns() - began_ns) // 1_000
            # What does not parse never gets as far as the views: from memory.
            if statement.query_type and not (query.error or "").startswith("42"):
                query.error = (query.error or "")[5:] or None
                await self._server.history.add(query)
        return query.status == "success"

    async def _answer(
        self, statement: Statement, query: Query, batch: list[Message], key: Hashable
    ) -> None:
        results, generation = self._server.results, self._server.results.generation
        cacheable = (
            statement.cacheable
            and self._status != b"E"
            and not self._wrote
            and self._set.get("enable_result_cache_for_session", "on") in ("on", "true", "1")
        )
        found = results.find(key) if cacheable else None
        if found is not None:
            query.result_cache_query_id = found.query_id
            query.rows, query.row_bytes = found.rows, found.row_bytes
            self._writer.write(found.data)
            return
        if statement.queues and self._status != b"E" and not await self._admitted(statement, query):
            sql = refusal("57014", "canceled")
            batch = [Message(b"Q", b"")]
        else:
            sql = statement.sql
        self._wrote |= statement.writes
        request = b"".join(encode(*self._reworded(message, sql)) for message in batch)
        answer, kept = Answer(), list[bytes]()
        self._running = True
        try:
            await self._relay(request, answer, query, kept)
        finally:
            self._running = False
            query.rows, query.row_bytes = answer.rows, answer.row_bytes
        if query.status == "success":
            self._note_parameter(statement)
            if cacheable:
                done = Cached(query.query_id, b"".join(kept), answer.rows, answer.row_bytes)
                results.keep(key, done, generation=generation)
        if self._wrote and self._status == b"I":
            results.forget()
            self._wrote = False

    async def _admitted(self, statement: Statement, query: Query) -> bool:
        """Queue for WLM's slots and compile; False when cancelled or too late meanwhile."""
        self._admission = asyncio.create_task(self._admit(statement, query))
        limit_ms = int(self._set.get("statement_timeout", "0"))
        try:
            await asyncio.wait({self._admission}, timeout=limit_ms / 1e3 or None)
            return self._admission.done() and not self._admission.cancelled()
        finally:
            self._admission.cancel()
            self._admission = None

    async def _admit(self, statement: Statement, query: Query) -> None:
        began_ns = admitted_ns = time.perf_counter_ns()
        try:
            query.slots = int(self._set.get("wlm_query_slot_count", "1"))
            self._held = await self._server.slots.take(query.slots)
        finally:
            admitted_ns = time.perf_counter_ns()
            query.queue_us = (admitted_ns - began_ns) // 1_000
        if statement.shape not in self._server.compiled:
            self._server.compiled.add(statement.shape)
            await asyncio.sleep(self._server.behaviour.compile_ms / 1e3)
            query.compile_us = (time.perf_counter_ns() - admitted_ns) // 1_000

    async def _relay(
        self, request: bytes, answer: Answer, query: Query | None, kept: list[bytes]
    ) -> None:
        """Ask the backend and pass its answer on, all but the end; `kept` gets a copy."""
        sent_ns = time.perf_counter_ns()
        self._backend.write(request)
        waited = False
        while True:
            chunk = await self._answers.read(_READ_BYTES)
            if not chunk:
                raise ConnectionResetError
            if query is not None and not waited:
                query.execution_us = (time.perf_counter_ns() - sent_ns) // 1_000
                waited = True
            for kind, body in answer.feed(chunk):
                if kind == b"Z":
                    self._status = body
                    await self._writer.drain()
                    return
                data = encode(kind, body) if kind else body
                if kind == b"E" and query is not None:
                    data = self._reworded_error(body, query)
                elif kind == b"S":
                    data = self._reworded_parameter(body)
                kept.append(data)
                self._writer.write(data)
            await self._writer.drain()

    def _reworded_error(self, body: bytes, query: Query) -> bytes:
        fields = wording.reword_error(protocol.decode_error(body), query.query_id)
        query.status = "canceled" if fields["C"] == "57014" else "failed"
        query.error = f"{fields['C']}{fields['M']}"
        return protocol.encode_error(fields)

    def _note_parameter(self, statement: Statement) -> None:
        """Remember what decides here; a ROLLBACK that takes it back goes unnoticed."""
        if statement.parameter is None:
            return
        value = statement.sql.partition("=")[2] or statement.sql.lower().partition(" to ")[2]
        value = value.strip(" ;'\"")
        if not value or value.lower() == "default":
            self._set.pop(statement.parameter, None)
        elif statement.parameter != "statement_timeout" or value.isdigit():
            self._set[statement.parameter] = value

    def _stop_other(self, pid: int) -> None:
        other = self._server.sessions.get(pid)
        if other is not None and other.user == self.user:
            other.cancel()

    async def _cancel_backend(self) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(self._server.backend)
            writer.write(self._stop)
            await writer.drain()
            writer.close()
