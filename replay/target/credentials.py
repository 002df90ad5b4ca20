"""Who we are on Redshift where AWS says it: passwords for an hour, kept and renewed in time.

A password is looked at only at login, so sessions that are open do not mind its end.
Amazon Redshift API: GetClusterCredentials, GetClusterCredentialsWithIAM; Amazon Redshift
Serverless API: GetCredentials; AWS Secrets Manager API: GetSecretValue.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from psycopg import pq

from replay.errors import FourstepError, Unreachable
from replay.target.address import Address

logger = logging.getLogger(__name__)

RENEW_BEFORE_S = 120.0
_AGAIN_AFTER_S = 10.0
"""Between tries to renew what is still valid."""
_LASTS_S = 3_600
"""The most that AWS grants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A user and its password."""

    user: str
    password: str = field(repr=False)
    expires_s: float = math.inf
    """Seconds since 1970."""


class Credentials:
    """One process's grant for a user of a database, shared by its sessions.

    `renew` blocks and is for one thread at a time; the rest never waits.
    """

    def __init__(self, fetch: Callable[[], Grant]) -> None:
        """`fetch` asks AWS; it raises FourstepError."""
        self._fetch = fetch
        self._not_before_s = 0.0
        self._warned = False
        self.grant: Grant | None = None

    @property
    def valid(self) -> bool:
        """True when there is a grant whose end has not come."""
        return self.grant is not None and time.time() < self.grant.expires_s

    def wanting(self, refused: Grant | None = None) -> bool:
        """True when there is reason to `renew`: no grant but one that was refused, or one that
        ends soon.
        """
        now_s = time.time()
        return (
            self.grant is None
            or self.grant is refused
            or now_s > self.grant.expires_s
            or (now_s > self.grant.expires_s - RENEW_BEFORE_S and now_s > self._not_before_s)
        )

    def renew(self, refused: Grant | None = None) -> None:
        """Fetch a grant where one is wanting; one that is still valid serves if that fails.

        Raises:
            FourstepError: AWS gives none.
        """
        if not self.wanting(refused):
            return
        try:
            self.grant = self._fetch()
            self._warned = False
        except FourstepError as error:
            if not self.valid or self.grant is refused:
                raise
            self._not_before_s = time.time() + _AGAIN_AFTER_S
            if not self._warned:
                logger.warning("credentials end soon and cannot be renewed: %s", error)
                self._warned = True


def credentials_of(address: Address, conninfo: str) -> Credentials | None:
    """Where an address's password comes from; None: from libpq, or there is none."""
    if address.auth == "secret":
        return Credentials(partial(_from_secret, address))
    named = address.cluster is not None or address.workgroup is not None
    if address.auth == "iam" or (named and not _has_password(conninfo)):
        return Credentials(partial(_from_iam, address))
    return None


def _has_password(conninfo: str) -> bool:
    # libpq alone knows its files, patterns and permissions; it reads them before it connects.
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        return bool(connection.password)
    finally:
        connection.finish()


def _from_iam(address: Address) -> Grant:
    from replay.aws import ask

    user, database = address.parameters.get("user"), address.parameters["dbname"]
    cluster = {"ClusterIdentifier": address.cluster, "DbName": database}
    if address.workgroup is not None:
        service, call = "redshift-serverless", "get_credentials"
        asked: dict[str, Any] = {"workgroupName": address.workgroup, "dbName": database}
        asked["durationSeconds"] = _LASTS_S
    elif user:
        service, call = "redshift", "get_cluster_credentials"
        asked = cluster | {"DbUser": user, "AutoCreate": False, "DurationSeconds": _LASTS_S}
    else:
        service, call = "redshift", "get_cluster_credentials_with_iam"
        asked = cluster | {"DurationSeconds": _LASTS_S}
    subject = f"credentials for `{address.cluster or address.workgroup}`"
    told = ask(service, call, subject=subject, region=address.region, **asked)
    # The serverless API spells its names with a small letter.
    told = {name.lower(): value for name, value in told.items()}
    expires_s = told["expiration"].timestamp()
    return Grant(user=told["dbuser"], password=told["dbpassword"], expires_s=expires_s)


def _from_secret(address: Address) -> Grant:
    from replay.aws import ask

    told = ask(
        "secretsmanager",
        "get_secret_value",
        subject=f"secret `{address.secret}`",
        region=address.region,
        SecretId=address.secret,
    )
    try:
        secret = json.loads(told["SecretString"])
        return Grant(user=secret["username"], password=secret["password"])
    except (ValueError, LookupError, TypeError):
        # The cause's text would quote the secret.
        raise Unreachable(
            f"secret `{address.secret}` is not the login of a database",
            hint='it must be JSON: {"username": …, "password": …}',
        ) from None
