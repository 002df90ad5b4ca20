"""One embedded server behind the stand-ins of these tests, and logging in to one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
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
