"""Where a database is, as its URL says; nothing is asked of anybody here.

redshift://[user@]host[:5439]/database?option=value
redshift://CLUSTER-ID/database?region=REGION               AWS tells the endpoint
redshift+serverless://WORKGROUP/database?region=REGION     the same
    …&auth=iam, …&auth=secret&secret=NAME                  where the password comes from

All other options are libpq's. A host without a dot is a cluster's or a workgroup's name; a host
that AWS named tells cluster or workgroup and region, too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from replay.errors import UsageError

REDSHIFT = ("redshift", "redshift+serverless")
_ENDPOINT = re.compile(
    r"(?P<name>[\w-]+)\.\w+\.(?P<region>[\w-]+)\.redshift(?P<serverless>-serverless)?\.amazonaws\."
)
_OWN = ("region", "auth", "secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A Redshift and how to log in to it."""

    parameters: dict[str, Any]
    """libpq's; without a host where only AWS knows it."""
    cluster: str | None = None
    workgroup: str | None = None
    """At most one of them; neither for a host that AWS did not name."""
    region: str | None = None
    auth: str | None = None
    """`iam`, `secret`, or None: a password that libpq finds, else `iam`."""
    secret: str | None = None


def parse_address(url: str) -> Address:
    """Read a URL of one of the REDSHIFT schemes.

    Raises:
        UsageError: no such URL, one with a password in it, or options that contradict each other.
    """
    scheme, _, rest = url.partition("://")
    head, _, query = rest.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    own = {name: value or None for name, value in options if name in _OWN}
    others = urlencode([(name, value) for name, value in options if name not in _OWN])
    parameters = libpq_parameters(f"postgresql://{head}?{others}", shown=scheme)
    host = str(parameters.get("host") or "")
    auth, secret = own.get("auth"), own.get("secret")
    if not host or not parameters.get("dbname"):
        hint = f"use {scheme}://user@host/database or {scheme}://NAME/database?region=REGION"
        raise UsageError(f"`{scheme}://…` lacks a host or a database", hint=hint)
    if auth not in (None, "iam", "secret") or (auth == "secret") != bool(secret):
        hint = "leave it out for a password, or say auth=iam or auth=secret&secret=NAME-or-ARN"
        raise UsageError("`auth=` in the target's URL makes no sense", hint=hint)
    serverless, region, name = scheme.endswith("serverless"), own.get("region"), None
    if found := _ENDPOINT.match(host):
        name, region = found["name"], region or found["region"]
        serverless = bool(found["serverless"])
    elif not re.search(r"[.:/]", host) and host != "localhost":
        name = parameters.pop("host")
    if auth == "iam" and name is None:
        hint = "give the name of the cluster or workgroup as host, and &hostaddr= for a tunnel"
        raise UsageError(f"`auth=iam` needs to know whose host `{host}` is", hint=hint)
    tls: dict[str, Any] = {"sslmode": os.environ.get("PGSSLMODE", "verify-full")}
    if parameters.get("sslmode", tls["sslmode"]) == "verify-full":
        tls["sslrootcert"] = os.environ.get("PGSSLROOTCERT", "system")
    return Address(
        # Redshift has no GSSAPI, and a server that does not know the question may not answer it.
        parameters=tls | parameters | {"gssencmode": "disable"},
        cluster=None if serverless else name,
        workgroup=name if serverless else None,
        region=region,
        auth=auth,
        secret=secret,
    )


def libpq_parameters(url: str, *, shown: str) -> dict[str, Any]:
    """What libpq makes of a URL, which errors show by its scheme only.

    Raises:
        UsageError: it is none, or holds a password.
    """
    try:
        parameters: dict[str, Any] = dict(conninfo_to_dict(url))
        int(parameters.get("port") or 0)
    except (psycopg.Error, ValueError):
        # libpq's own message would quote the URL, and with it a password; so would that about a
        # port, which is what a password with a slash in it is taken for.
        raise UsageError(
            f"`{shown}://…` is not a connection URL",
            hint=f"use {shown}://user@host:port/database",
        ) from None
    if parameters.get("password") or urlsplit(url).password:
        raise UsageError(
            "the target's URL holds a password, and URLs are shown and recorded",
            hint="put it into PGPASSWORD or ~/.pgpass",
        )
    return parameters
