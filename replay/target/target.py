"""Where statements are sent: a URL, made into what a connection needs and a run may record.

postgresql://user@host:port/database?option=value
embedded:NAME?size=SIZE     a PostgreSQL 18 of our own, see replay.target.embedded
null:                       answers at once
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from replay.errors import Unreachable, UsageError
from replay.target.null import NullConnection
from replay.target.wire import Connection, WaiterFactory, Wire

_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""A network that is cut in silence is noticed within a minute, and routers that forget quiet
connections do not forget ours while a long statement runs."""

SCHEMES = ("postgresql", "postgres", "embedded", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A database to replay on."""

    kind: str
    """`postgresql` or `null`."""
    conninfo: str = ""
    setup: tuple[str, ...] = ()
    """Statements every session begins with."""
    host: str | None = None
    database: str | None = None
    digest: bool = False
    """Whether answers are digested."""

    def connect(self, wait: WaiterFactory) -> Connection:
        """Open one session.

        Raises:
            LoginFailed: the target does not let us in.
        """
        if self.kind == "null":
            return NullConnection(wait)
        return Wire(self.conninfo, wait=wait, setup=self.setup, digest=self.digest)

    def as_json(self) -> dict[str, Any]:
        """The `target` object of run.json: no user, no secret."""
        return {"kind": self.kind, "host": self.host, "database": self.database}


def parse_target(
    url: str, *, statement_timeout_s: float, writes: bool = False, digest: bool = False
) -> Target:
    """Make a target of a URL; `embedded:` URLs must have been opened before.

    The host is resolved here, once: libpq would do it for every login and stop all sessions of
    a worker meanwhile.

    Raises:
        UsageError: not a URL of a known kind, or one with a password in it.
        Unreachable: the host's name cannot be resolved.
    """
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES:
        raise UsageError(
            f"`{scheme}:` is not a kind of target",
            hint="use postgresql://user@host:port/database, embedded: or null:",
        )
    if scheme == "null":
        return Target(kind="null", host="null", database="")
    try:
        parameters = conninfo_to_dict(url)
        int(parameters.get("port") or 0)
    except (psycopg.Error, ValueError):
        # libpq's own message would quote the URL, and with it a password; so would that about a
        # port, which is what a password with a slash in it is taken for.
        raise UsageError(
            f"`{scheme}://…` is not a connection URL",
            hint="use postgresql://user@host:port/database",
        ) from None
    if parameters.get("password") or urlsplit(url).password:
        raise UsageError(
            "the target's URL holds a password, and URLs are shown and recorded",
            hint="put it into PGPASSWORD or ~/.pgpass",
        )
    host = str(parameters.get("host") or "")
    if host and not host.startswith("/") and "hostaddr" not in parameters:
        parameters["hostaddr"] = _resolve(host)
    parameters.setdefault("application_name", "fourstep")
    for name, value in _KEEPALIVE.items():
        parameters.setdefault(name, value)
    parameters["client_encoding"] = "UTF8"
    return Target(
        kind="postgresql",
        conninfo=make_conninfo("", **parameters),
        setup=_setup(statement_timeout_s, writes=writes),
        host="local socket" if host.startswith("/") else host,
        database=str(parameters.get("dbname") or ""),
        digest=digest,
    )


def log_in(target: Target) -> psycopg.Connection:
    """Open a session in the ordinary blocking way, set up as every other.

    Raises:
        Unreachable: the target does not let us in; the message holds no secret.
    """
    try:
        connection = psycopg.connect(
            target.conninfo, autocommit=True, prepare_threshold=None, connect_timeout=15
        )
        for statement in target.setup:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        raise Unreachable(
            f"the target at `{target.host}` does not let us in",
            hint="check host, port, user and PGPASSWORD or ~/.pgpass, and that the server is up",
        ) from error
    return connection


def probe_target(target: Target) -> dict[str, Any]:
    """Log in once: what the server says it is.

    Raises:
        Unreachable: as `log_in`.
    """
    if target.kind == "null":
        return {"server_version": None}
    with log_in(target) as connection:
        return {"server_version": connection.info.server_version}


def _setup(statement_timeout_s: float, *, writes: bool) -> tuple[str, ...]:
    # The server's own limit is a second behind ours, so that ours is the one that is counted.
    limit_ms = round((statement_timeout_s + 1) * 1_000)
    read_only: Sequence[str] = () if writes else ("SET default_transaction_read_only = on",)
    return (f"SET statement_timeout = {limit_ms}", *read_only)


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"the target's host `{host}` cannot be found", hint="check the name in --host"
        ) from error
    return str(found[0][4][0])
