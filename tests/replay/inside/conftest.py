"""A server that writes a history, and a run against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from replay.target.embedded import EmbeddedServer

HISTORY = Path(__file__).with_name("history.sql").read_text(encoding="utf-8")


@pytest.fixture
def history(embedded_empty: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database whose function `asked` writes down that it was asked."""
    name = f"history_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(embedded_empty.url(name), autocommit=True) as connection:
        connection.execute(HISTORY.encode())
    yield embedded_empty.url(name)
    with psycopg.connect(embedded_empty.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
