"""One planned session while it is played: its connection, and what the next statement hangs on."""

from __future__ import annotations

from dataclasses import dataclass, field

from replay.divergence import Divergence
from replay.flights import Flight
from replay.samples import NONE


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """The state of a session; times are microseconds since the run's zero, or NONE."""

    clone: int = 0
    flight: Flight | None = None
    """Its connection, and the statement on it."""
    ready_us: int = NONE
    """When it could first have sent its next statement, as far as the target is concerned."""
    ended_us: int = NONE
    """When its last statement ended, however it did."""
    refused_us: int = NONE
    """Until when it was busy being refused a login."""
    refusal: tuple[str, str] = ("", "")
    """SQLSTATE and text of that."""
    state: Divergence = field(default_factory=Divergence)

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self.flight is not None:
            self.flight.connection.close()
            self.flight = None

    def lose(self) -> None:
        """The connection is gone, and the session's state on the server with it."""
        self.hang_up()
        self.state.lose()
