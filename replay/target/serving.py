"""A URL that can be connected to, for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from replay.target.embedded import open_embedded


@contextmanager
def serving(url: str) -> Iterator[str]:
    """The URL itself, or that of the server which an `embedded:` URL means, started and stopped.

    Raises:
        UsageError: the `embedded:` URL names no server.
        Unreachable: the server does not start.
    """
    server = open_embedded(url)
    if server is None:
        yield url
        return
    with server:
        yield server.url()
