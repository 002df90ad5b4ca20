"""Keeps Locust's master alive whoever talks to its port.

The port has no login. Locust's listener ends at the first message it cannot read, and with it the
run; and it counts statistics that anybody sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from locust.exception import RPCError, RPCReceiveError
from locust.rpc import zmqrpc

logger = logging.getLogger(__name__)

_OF_WORKERS = frozenset({"stats", "exception", "spawning", "spawning_complete"})


class Door(zmqrpc.Server):
    """The master's socket, which tells its listener of bad messages in the one way it survives."""

    def recv_from_client(self) -> Any:  # noqa: ANN401  Locust's message
        """The sender and its message.

        Raises:
            RPCReceiveError: it is none, or comes under another's name.
            RPCError: the socket is broken.
        """
        try:
            client_id, message = super().recv_from_client()  # type: ignore[no-untyped-call]
        except RPCError:
            raise
        except Exception as error:
            # Without the address: Locust would handle the message before this one once more.
            raise RPCReceiveError(f"no message: {type(error).__name__}") from error
        if not isinstance(message.type, str) or message.node_id != client_id:
            raise RPCReceiveError("a message under another's name")
        return client_id, message


def watch_door(runner: Any, *, knows: Callable[[str], bool]) -> None:  # noqa: ANN401  Locust's
    """Have a master drop what its handlers fail at, and reports of clients it does not know."""
    handle = runner.handle_message

    def handle_known(client_id: str, message: Any) -> None:  # noqa: ANN401  Locust's message
        if message.type in _OF_WORKERS and not knows(client_id):
            return
        try:
            handle(client_id, message)
        except Exception as error:
            logger.error("a message that makes no sense was dropped: %s", type(error).__name__)

    runner.handle_message = handle_known
