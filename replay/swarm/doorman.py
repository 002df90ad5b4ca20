"""Keeps Locust's master alive whoever talks to its port.

The port has no login. Locust's listener, and with it the run, ends at the first message that it
cannot read, or when whoever came alone says that he quits; and it counts what anybody reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from locust.exception import RPCError, RPCReceiveError
from locust.rpc import zmqrpc

logger = logging.getLogger(__name__)

_REPORTS = frozenset("stats exception spawning spawning_complete client_stopped quit".split())


class Door(zmqrpc.Server):
    """The master's socket."""

    def recv_from_client(self) -> Any:  # noqa: ANN401  Locust's message
        """The sender and its message; the error for any other is the one Locust survives."""
        try:
            client_id, message = super().recv_from_client()  # type: ignore[no-untyped-call]
            if message.node_id == client_id and isinstance(message.type, str):
                return client_id, message
        except RPCError:
            raise
        except Exception as error:
            # Without the address: Locust would handle the message before this one once more.
            raise RPCReceiveError(f"no message: {type(error).__name__}") from error
        raise RPCReceiveError("a message under another's name")


def watch_door(runner: Any, *, knows: Callable[[str], bool]) -> None:  # noqa: ANN401  Locust's
    """Have a master drop what its handlers fail at, and reports of clients it does not know."""
    handle = runner.handle_message

    def handle_known(client_id: str, message: Any) -> None:  # noqa: ANN401  Locust's message
        try:
            if message.type not in _REPORTS or knows(client_id):
                handle(client_id, message)
        except Exception as error:
            logger.error("a message that makes no sense was dropped: %s", type(error).__name__)

    runner.handle_message = handle_known
