"""One embedded server behind the stand-ins of these tests, and logging in to one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql

from replay.redshift_like import Behaviour, RedshiftLike
from replay.target.embedded import EmbeddedServer

Row = tuple[Any, ...]
Session = psycopg.Connection[Row]
LogIn = Callable[..., Session]

QUICK = Behaviour(compile_ms=0, view_delay_s=0)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServer]:
    """Each database made on it has a table `sale`."""
    with EmbeddedServer("redshift-like") as server:
        with psycopg.connect(server.url("template1"), autocommit=True) as session:
            session.execute("CREATE ROLE analyst LOGIN; CREATE ROLE finance LOGIN")
            session.execute(
                "CREATE TABLE sale AS SELECT i AS id, i % 7 AS shop"
                " FROM generate_series(1, 1000) AS i; GRANT SELECT ON sale TO PUBLIC"
            )
        yield server


def new_database(embedded: EmbeddedServer) -> str:
    """Its URL: a stand-in wants one of its own."""
    name = f"d{secrets.token_hex(4)}"
    with psycopg.connect(embedded.url(), autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return embedded.url(name)


@pytest.fixture
def backend(embedded: EmbeddedServer) -> str:
    """For a stand-in that the test itself starts."""
    return new_database(embedded)


@pytest.fixture(scope="module")
def server(embedded: EmbeddedServer) -> Iterator[RedshiftLike]:
    """A stand-in that shows everything at once."""
    with RedshiftLike(new_database(embedded), QUICK) as running:
        yield running


@pytest.fixture
def log_in() -> Iterator[LogIn]:
    """Logs in to a stand-in; sessions are closed at the end."""
    sessions: list[Session] = []

    def connect(server: RedshiftLike, **options: Any) -> Session:
        url = server.url(user=options.pop("user", "postgres"), scheme="postgresql")
        options = {"client_encoding": "utf8"} | options
        sessions.append(psycopg.connect(url, autocommit=True, prepare_threshold=None, **options))
        return sessions[-1]

    yield connect
    for session in sessions:
        session.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and a certificate for 127.0.0.1 that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, form, plain) + signed.public_bytes(pem))
    return path
