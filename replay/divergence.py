"""Whether a session is still in the state that its client on 1.0 was in."""

from __future__ import annotations

from replay.marks import BEGIN, FAILED, TRANSACTION
from replay.samples import DIVERGED


class Divergence:
    """A session's state against 1.0's.

    They part after a statement that failed in a transaction here and not there, or there and not
    here, until that transaction ends; and, once the connection was lost, for the rest of the
    session: settings and temporary tables are gone. We go on sending what 1.0's client sent.
    """

    __slots__ = ("_in_transaction", "_lost", "mark")

    def __init__(self) -> None:
        self.mark = 0
        """DIVERGED or nothing, for the status of the session's next statement."""
        self._in_transaction = False
        self._lost = False

    def follow(self, mark: int, *, failed: bool) -> None:
        """A statement of this mark ended."""
        if mark & TRANSACTION:
            self._in_transaction = mark & TRANSACTION == BEGIN
            self.mark = DIVERGED if self._lost else 0
        if self._in_transaction and failed != bool(mark & FAILED):
            self.mark = DIVERGED

    def lose(self) -> None:
        """The session's connection is gone, and its state on the server with it."""
        self._lost = True
        self._in_transaction = False
        self.mark = DIVERGED
