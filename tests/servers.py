"""Servers that tests share: started at the first use, stopped when the session ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replay.demo.world import demo_server
from replay.target.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def embedded_empty() -> Iterator[EmbeddedServer]:
    """A server without tables; a test that makes some makes a database of its own."""
    with EmbeddedServer("empty") as server:
        yield server


@pytest.fixture(scope="session")
def demo_one() -> Iterator[EmbeddedServer]:
    """The demo's 1.0, small, its query log on. Only read from it."""
    with demo_server("1.0", "small") as server:
        yield server


@pytest.fixture(scope="session")
def demo_two() -> Iterator[EmbeddedServer]:
    """The demo's 2.0, small. Only read from it."""
    with demo_server("2.0", "small") as server:
        yield server
