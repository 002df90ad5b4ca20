"""Where Redshift's system views are: a URL, made into a source of the capture and a session.

    redshift://user@host:5439/database?sslmode=verify-full
    redshift+serverless://user@host:5439/database

The rest of the URL is libpq's; the password comes from PGPASSWORD or ~/.pgpass.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from replay.capture.source import Source
from replay.errors import Unreachable, UsageError

MAGIC = b"redshift-sys\n"
"""What such a source begins with, instead of the bytes of a log."""
_PORT = 5439
_UNKNOWN = 705
"""The type of a literal on servers as old as Redshift; psycopg has no name for it."""
_FORM = "redshift://user@host:5439/database"


@dataclass(kw_only=True)
class ViewSource(Source):
    """System views as a log; counted and hashed are the rows that were read."""

    conninfo: str = field(repr=False)


def find_views(url: str) -> Source:
    """The system views behind a URL of one of SCHEMES; nothing is connected to yet.

    Raises:
        UsageError: no such URL, or one with a password in it.
    """
    scheme, _, rest = url.partition("://")
    try:
        parameters = conninfo_to_dict(f"postgresql://{rest}")
        port = int(parameters.setdefault("port", _PORT) or _PORT)
    except (psycopg.Error, ValueError):
        # libpq's message would quote the URL, and with it a password.
        raise UsageError(f"`{scheme}://…` is not a connection URL", hint=f"use {_FORM}") from None
    if parameters.get("password") or urlsplit(url).password:
        raise UsageError(
            "the URL holds a password, and URLs are shown and recorded",
            hint="put it into PGPASSWORD or ~/.pgpass",
        )
    parameters.setdefault("sslmode", "verify-full")
    own_roots = (
        "PGSSLROOTCERT" in os.environ or Path("~/.postgresql/root.crt").expanduser().exists()
    )
    if parameters["sslmode"] == "verify-full" and not own_roots:
        parameters.setdefault("sslrootcert", "system")
    parameters.setdefault("connect_timeout", 15)
    parameters |= {"client_encoding": "UTF8", "gssencmode": "disable"}
    parameters.setdefault("application_name", "fourstep")
    uri = f"{scheme}://{parameters.get('host') or ''}:{port}/{parameters.get('dbname') or ''}"
    return ViewSource(
        uri=uri,
        name=scheme,
        open_raw=lambda: io.BytesIO(MAGIC),
        conninfo=make_conninfo("", **parameters),
    )


def log_in(conninfo: str, uri: str) -> psycopg.Connection:
    """A session that takes text as bytes, for a chunk may end within a character.

    Raises:
        Unreachable: the server does not let us in; the message holds no secret.
    """
    try:
        # Redshift has no DEALLOCATE ALL, which psycopg sends once it prepares.
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        connection.execute(b"SET datestyle TO ISO")
    except psycopg.Error as error:
        raise Unreachable(
            f"{uri} does not let us in",
            hint="check host, port, user and PGPASSWORD or ~/.pgpass; for a certificate that is "
            "not trusted add ?sslrootcert=FILE",
        ) from error
    for name in "bpchar varchar text name timestamp".split():
        connection.adapters.register_loader(name, _Raw)
    connection.adapters.register_loader(_UNKNOWN, _Raw)
    return connection


class _Raw(Loader):
    def load(self, data: Buffer) -> bytes:
        return bytes(data)
