"""One session of the stand-in: its statements, run on a backend session of its own."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from replay.redshift_like import load, protocol, wording
from replay.redshift_like.history import Query, utc_now
from replay.redshift_like.login import Refused, log_in, reword_parameter, stop
from replay.redshift_like.protocol import Answer, Message, encode, texts
from replay.redshift_like.result_cache import Cached
from replay.redshift_like.wording import Statement, read, refusal

if TYPE_CHECKING:
    from replay.redshift_like.server import Server

_READ_BYTES = 65_536
_FAILED = b"E"
"""As a transaction's status."""
_NUMBERS = ("statement_timeout", "wlm_query_slot_count")


class Session:
    """From the first byte of a connection to its end."""

    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self.pid = server.next_pid()
        self.secret = secrets.randbits(31)
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._set: dict[str, str] = {}
        self._prepared: dict[bytes, str] = {}
        self._status = b"I"
        self._transaction = 0
        self._wrote = False
        self._superuser = False
        self._admission: asyncio.Task[None] | None = None
        self._running = False

    async def run(self) -> None:
        """Serve until the client or the server hangs up."""
        self._server.sessions[self.pid] = self
        self._task, pump = asyncio.current_task(), None
        try:
            self._login = await log_in(self._server, self._reader, self._writer, pid=self.pid)
            self.user, self.database = self._login.asked["user"], self._login.asked["database"]
            self._superuser = b"is_superuser\0on\0" in self._login.greeting
            key = struct.pack("!ii", self.pid, self.secret)
            self._writer.write(self._login.greeting + encode(b"K", key) + encode(b"Z", b"I"))
            pump = asyncio.create_task(self._pump())
            self._note_event("authenticated")
            await self._serve()
            self._note_event("disconnecting session")
        except Refused as refused:
            self._writer.write(refused.args[0])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, psycopg.Error):
            pass  # client or backend has gone, or the session was killed
        finally:
            del self._server.sessions[self.pid]
            if pump is not None:
                pump.cancel()
                self._login.backend.close()
            with suppress(OSError):
                self._writer.close()

    def cancel(self) -> None:
        """Stop the statement that waits or runs; nothing when there is none."""
        if self._admission is not None:
            self._admission.cancel()
        elif self._running:
            self._stopping = asyncio.create_task(stop(self._server, self._login))

    def kill(self) -> None:
        """End the session as an administrator does."""
        text = "terminating connection due to administrator command"
        self._writer.write(protocol.fatal("57P01", text))
        self.cancel()
        assert self._task is not None
        self._task.cancel()

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
                    if not await self._run(sql, [message], binds=b""):
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
        sql, executes = None, False
        for kind, body in batch:
            if kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                sql = self._prepared[name] = text.decode()
            elif kind == b"B":
                sql = self._prepared.get(body.split(b"\0")[1])
            executes |= kind == b"E"
        if sql is not None and executes:
            await self._run(sql, batch, binds=b"".join(kind + body for kind, body in batch))
        else:
            await self._relay(b"".join(_reworded(message) for message in batch), Answer())

    async def _run(self, sql: str, batch: list[Message], *, binds: bytes) -> bool:
        """Run one statement and relay its answer but for the end; False when it failed."""
        began_ns = time.perf_counter_ns()
        statement = read(sql)
        if self._status == b"I" or not self._transaction:
            self._transaction = self._server.history.next_transaction()
        query = Query(
            query_id=self._server.history.next_query(),
            transaction_id=self._transaction,
            session_id=self.pid,
            label=self._set.get("query_group", "default"),
            database=self.database,
            user=self.user,
            query_type=statement.query_type,
            text=sql,
            version=self._server.version,
        )
        if statement.system:
            await self._server.history.show()
        if statement.stops:
            self._stop(*statement.stops)
        query.planning_us = (time.perf_counter_ns() - began_ns) // 1_000
        key = (self.user, self.database, self._set.get("search_path"), sql, binds)
        try:
            await self._answer(statement, query, batch, key)
        except BaseException:
            query.status = "canceled"  # with its session
            raise
        finally:
            self._server.wlm.give_back(query.slots)
            query.end = utc_now()
            query.elapsed_us = (time.perf_counter_ns() - began_ns) // 1_000
            # What does not parse never gets as far as the views: from memory.
            if statement.query_type and not query.sqlstate.startswith("42"):
                await self._server.history.add(query)
        return query.status == "success"

    async def _answer(
        self, statement: Statement, query: Query, batch: list[Message], key: Hashable
    ) -> None:
        results, generation = self._server.results, self._server.results.generation
        wanted = self._set.get("enable_result_cache_for_session", "on") in ("on", "true", "1")
        cacheable = statement.cacheable and wanted and self._status != _FAILED and not self._wrote
        found = results.answers.get(key) if cacheable else None
        if found is not None:
            query.result_cache_query_id = found.query_id
            query.rows, query.row_bytes = found.rows, found.row_bytes
            self._writer.write(found.data)
            return
        files = load.find_files(self._server.behaviour.s3, statement.source)
        sql = statement.sql if files or not statement.source else load.refuse(statement.source)
        queues = statement.queues and self._status != _FAILED
        if queues and not await self._admitted(query, statement.shape):
            sql = refusal("57014", "canceled")
        if sql.startswith("CALL redshift_like.refuse("):
            batch = [Message(b"Q", b"")]
        self._wrote |= statement.writes
        answer = Answer()
        self._running = True
        try:
            request = b"".join(_reworded(message, sql) for message in batch)
            data = await self._relay(request, answer, query, load.encode_files(files))
        finally:
            self._running = False
            query.rows, query.row_bytes = answer.rows, answer.row_bytes
        if query.status == "success":
            if statement.parameter:
                self._note_parameter(statement.parameter, statement.sql)
            if cacheable:
                done = Cached(query.query_id, data, answer.rows, answer.row_bytes)
                results.keep(key, done, generation=generation)
        if self._wrote and self._status == b"I":
            results.forget()
            self._wrote = False

    async def _admitted(self, query: Query, shape: str) -> bool:
        """Queue and compile; False when cancelled or too late meanwhile."""
        slots = int(self._set.get("wlm_query_slot_count", "1"))
        self._admission = asyncio.create_task(self._server.wlm.admit(query, shape, slots=slots))
        limit_ms = int(self._set.get("statement_timeout", "0"))
        try:
            done, _ = await asyncio.wait({self._admission}, timeout=limit_ms / 1e3 or None)
            return bool(done) and not self._admission.cancelled()
        finally:
            self._admission.cancel()
            # Its own end says whether it holds slots.
            await asyncio.wait({self._admission})
            self._admission = None

    async def _relay(
        self, request: bytes, answer: Answer, query: Query | None = None, copied: bytes = b""
    ) -> bytes:
        """Ask the backend and pass its answer on, which is returned, but for the end."""
        sent_ns = time.perf_counter_ns()
        self._login.backend.write(request)
        parts: list[bytes] = []
        while True:
            chunk = await self._login.answers.read(_READ_BYTES)
            if not chunk:
                raise ConnectionResetError
            if query is not None and not query.execution_us:
                query.execution_us = (time.perf_counter_ns() - sent_ns) // 1_000
            begin = len(parts)
            for kind, body in answer.feed(chunk):
                if kind == b"Z":
                    self._status = body
                elif kind == b"G":
                    self._login.backend.write(copied)
                else:
                    parts.append(self._reworded(kind, body, query))
            self._writer.write(b"".join(parts[begin:]))
            await self._writer.drain()
            if answer.complete:
                return b"".join(parts)

    def _reworded(self, kind: bytes, body: bytes, query: Query | None) -> bytes:
        """A message of the backend's for the client."""
        if kind == b"E":
            fields = protocol.decode_error(body)
            if query is not None:
                fields = wording.reword_error(fields, query.query_id, query.query_type)
                query.status = "canceled" if fields["C"] == "57014" else "failed"
                query.sqlstate, query.error = fields["C"], fields["M"]
            return protocol.encode_error(fields)
        if kind == b"S":
            name, value = body.decode().split("\0")[:2]
            if name == "session_authorization":
                self.user = value
            elif name == "is_superuser":
                self._superuser = value == "on"
            return reword_parameter(body, self._login.asked)
        return encode(kind, body) if kind else body

    def _note_parameter(self, name: str, sql: str) -> None:
        """Remember what decides here; a ROLLBACK that takes it back goes unnoticed."""
        value = wording.value_of(sql)
        if name == "all":
            self._set.clear()
        elif value is None:
            self._set.pop(name, None)
        elif value.isdigit() or name not in _NUMBERS:
            self._set[name] = value

    def _note_event(self, event: str) -> None:
        tls = self._writer.get_extra_info("ssl_object")
        who = (self.database, self.user, self._login.asked["application_name"])
        row = (event, utc_now(), self.pid, *who, tls.version() if tls else "")
        self._server.history.note_event(row)

    def _stop(self, pid: int, ends_session: bool) -> None:
        other = self._server.sessions.get(pid)
        if other is not None and (self._superuser or other.user == self.user):
            other.kill() if ends_session else other.cancel()


def _reworded(message: Message, sql: str = "") -> bytes:
    """A message of the client's for the backend."""
    kind, body = message
    if kind == b"Q":
        body = texts(sql)
    elif kind == b"P":
        name, text, types = body.split(b"\0", 2)
        body = b"\0".join((name, read(text.decode()).sql.encode(), types))
    return encode(kind, body)
