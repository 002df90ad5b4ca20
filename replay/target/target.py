"""Where statements are sent: a URL, made into what a connection needs and a run may record.

postgresql://user@host:port/database?option=value
redshift://…, redshift+serverless://…     see replay.target.address
embedded:NAME?size=SIZE     a PostgreSQL 18 of our own, see replay.target.embedded
null:                       answers at once
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from replay.dials import Dials
from replay.errors import FourstepError, Unreachable, UsageError
from replay.target.address import REDSHIFT, Address, libpq_parameters, parse_address
from replay.target.credentials import Credentials, credentials_of
from replay.target.null import NullConnection
from replay.target.redshift import describe, refuse_unsteady, version_of
from replay.target.wire import Connection, WaiterFactory, Wire, login_state

logger = logging.getLogger(__name__)

_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""A network that is cut in silence is noticed within a minute, and routers that forget quiet
connections do not forget ours while a long statement runs."""

SCHEMES = ("postgresql", "postgres", *REDSHIFT, "embedded", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A database to replay on."""

    kind: str
    """`postgresql`, `redshift` or `null`."""
    conninfo: str = ""
    """libpq's, without what `credentials` add."""
    session: Mapping[str, str] = field(default_factory=dict)
    """Settings that every session begins with."""
    host: str | None = None
    database: str | None = None
    digest: bool = False
    """Whether answers are digested."""
    address: Address | None = None
    """Of Redshift."""
    credentials: Credentials | None = None
    """Where the password comes from, if not from libpq; renewed before a login."""

    @property
    def login(self) -> str:
        """`conninfo` as of now, perhaps with a password."""
        grant = self.credentials and self.credentials.grant
        if not grant:
            return self.conninfo
        return make_conninfo(self.conninfo, user=grant.user, password=grant.password)

    def setup(self, user: str | None = None) -> str:
        """The one message that makes a session ours, and then perhaps another user's."""
        settings = [
            f"SET {name} TO {value if _BARE.fullmatch(value) else _quoted(value)}"
            for name, value in self.session.items()
            # Sent with the login.
            if name != "application_name"
        ]
        if user is not None:
            # The last, for it may take the right to set the others.
            settings.append(f"SET SESSION AUTHORIZATION {_quoted(user)}")
        return "; ".join(settings)

    def connect(self, wait: WaiterFactory, *, user: str | None = None) -> Connection:
        """Open one session, as another user if one is given.

        Raises:
            LoginFailed: the target does not let us in.
        """
        if self.kind == "null":
            return NullConnection(wait)
        return Wire(self.login, wait=wait, setup=self.setup(user), digest=self.digest)

    def as_json(self) -> dict[str, Any]:
        """The `target` object of run.json: no user, no secret."""
        told = {"kind": self.kind, "host": self.host, "database": self.database}
        return told | {"session": dict(self.session)}


def target_of(url: str, dials: Dials, *, run_id: str) -> Target:
    """The target of a run; raises as `parse_target`."""
    return parse_target(
        url,
        statement_timeout_s=dials.statement_timeout_s,
        writes=dials.writes,
        digest=dials.digest,
        result_cache=dials.result_cache,
        search_path=dials.search_path,
        query_group=f"fourstep-{run_id}",
    )


def parse_target(
    url: str,
    *,
    statement_timeout_s: float,
    writes: bool = False,
    digest: bool = False,
    result_cache: str = "off",
    search_path: str | None = None,
    query_group: str | None = None,
) -> Target:
    """Make a target of a URL; `embedded:` URLs must have been opened before.

    The host is resolved here, once: libpq would do it for every login and stop all sessions of
    a worker meanwhile. An endpoint that only AWS knows is asked for.

    Raises:
        UsageError: not a URL of a known kind, or one with a password in it.
        Unreachable: the host's name cannot be resolved, or AWS does not tell it.
    """
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES:
        raise UsageError(
            f"`{scheme}:` is not a kind of target",
            hint="use postgresql:// or redshift://user@host:port/database, embedded: or null:",
        )
    if scheme == "null":
        return Target(kind="null", host="null", database="")
    address = parse_address(url) if scheme in REDSHIFT else None
    parameters = dict(address.parameters) if address else libpq_parameters(url, shown=scheme)
    if address and "host" not in parameters:
        described = describe(address)
        refuse_unsteady(described.facts)
        parameters["host"] = described.host
        parameters.setdefault("port", described.port)
    host = str(parameters.get("host") or "")
    if host and not host.startswith("/") and "hostaddr" not in parameters:
        parameters["hostaddr"] = _resolve(host)
    if address:
        parameters.setdefault("port", 5439)
    parameters.setdefault("application_name", "fourstep")
    for name, value in _KEEPALIVE.items():
        parameters.setdefault(name, value)
    parameters["client_encoding"] = "UTF8"
    conninfo = make_conninfo("", **parameters)
    session = {
        "application_name": parameters["application_name"],
        # The server's own limit is a second behind ours, so that ours is the one that is counted.
        "statement_timeout": str(round((statement_timeout_s + 1) * 1_000)),
        "search_path": search_path,
    }
    if address:
        session["enable_result_cache_for_session"] = result_cache
        session["query_group"] = query_group
    elif not writes:
        # Redshift knows no such setting.
        session["default_transaction_read_only"] = "on"
    return Target(
        kind="redshift" if address else "postgresql",
        conninfo=conninfo,
        session={name: value for name, value in session.items() if value is not None},
        host="local socket" if host.startswith("/") else host,
        database=str(parameters.get("dbname") or ""),
        digest=digest,
        address=address,
        credentials=credentials_of(address, conninfo) if address else None,
    )


def log_in(target: Target) -> psycopg.Connection:
    """Open a session in the ordinary blocking way, set up as every other.

    Raises:
        Unreachable: the target does not let us in; the message holds no secret.
    """
    credentials, refused = target.credentials, None
    while True:
        if credentials is not None:
            credentials.renew(refused)
        try:
            with ExitStack() as left_open:
                connection = psycopg.connect(
                    target.login, autocommit=True, prepare_threshold=None, connect_timeout=15
                )
                left_open.callback(connection.close)
                connection.execute(target.setup().encode())
                left_open.pop_all()
                return connection
        except psycopg.Error as error:
            if credentials and not refused and login_state(str(error)).startswith("28"):
                # They may have ended by the other's clock.
                refused = credentials.grant
                continue
            raise Unreachable(
                f"the target at `{target.host}` does not let us in",
                hint="check host, port, user and PGPASSWORD or ~/.pgpass, and that the server is "
                "up; on Redshift also security group, sslrootcert and auth=iam",
            ) from error


def probe_target(target: Target) -> dict[str, Any]:
    """Log in once: what the server says it is, and for Redshift what AWS does.

    Raises:
        Unreachable: as `log_in`, or a Redshift is paused or being resized.
    """
    if target.kind == "null":
        return {"server_version": None}
    facts = aws_facts(target)
    refuse_unsteady(facts)
    with log_in(target) as connection:
        facts["server_version"] = connection.info.server_version
        if target.address:
            facts["redshift_version"] = version_of(connection)
            # Which a server of ours says of itself, see replay.redshift_like.
            if connection.info.parameter_status("imitation"):
                facts["imitation"] = True
    return facts


def aws_facts(target: Target) -> dict[str, Any]:
    """What AWS says of a Redshift that it named, if it may be asked."""
    address = target.address
    if address is None or not (address.cluster or address.workgroup):
        return {}
    try:
        return describe(address).facts
    except FourstepError as error:
        # Login and load need none of it.
        logger.warning("size and state of the target stay unknown: %s", error)
        kind = "workgroup" if address.workgroup else "cluster"
        return {kind: address.workgroup or address.cluster, "region": address.region}


_BARE = re.compile(r'\w+|[\w$"]+(, ?[\w$"]+)*')


def _quoted(value: str) -> str:
    # Redshift takes a backslash for an escape, PostgreSQL does not: no name of either gets out.
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"the target's host `{host}` cannot be found", hint="check the name in --host"
        ) from error
    return str(found[0][4][0])
