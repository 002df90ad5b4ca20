"""A target that answers at once: what is left is the tool itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from replay.target.wire import Answer


class NullConnection:
    """Every statement succeeds with one row the moment it is sent."""

    def execute(self, sql: bytes, params: Sequence[bytes | None] | None) -> Answer:
        """Answer without waiting."""
        now_ns = time.monotonic_ns()
        return Answer(now_ns, now_ns, 1)

    def cancel(self) -> None:
        """Nothing is ever in flight."""

    def sever(self) -> None:
        """Nothing is ever in flight."""

    def close(self) -> None:
        """Nothing is held."""
