"""What a run used of 2.0: by the server's own meters where they were read, else reckoned."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from replay.run import Run
from reports.cost.terms import serverless_seconds

NOT_READ = "not read from the server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Metered use; None where nobody knows. `basis` says where the RPU-seconds are from."""

    rpu_seconds: float | None = None
    scaling_seconds: float | None = None
    scanned_bytes: float | None = None
    basis: str = ""
    warning: str | None = None

    def times(self, factor: float) -> Usage:
        """The same use for that many times the statements."""
        meters = self.rpu_seconds, self.scaling_seconds, self.scanned_bytes
        rpu, scaling, scanned = (None if read is None else read * factor for read in meters)
        return Usage(
            rpu_seconds=rpu,
            scaling_seconds=scaling,
            scanned_bytes=scanned,
            basis=f"{self.basis}; × {factor:,.4g} for the month's statements",
        )


def read_usage(run: Run) -> Usage:
    """What RUN/server/usage.json says; where there is none, or no use in it, the warning does."""
    with suppress(OSError, ValueError, AttributeError):
        path = run.path / "server" / "usage.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        settled = bool(document.get("settled"))
        return Usage(
            rpu_seconds=document.get("charged_seconds"),
            scaling_seconds=document.get("scaling_seconds"),
            scanned_bytes=document.get("scanned_bytes"),
            basis="RPU-seconds as the server charged them",
            warning=None if settled else "the server's meters still rose when they were read",
        )
    return Usage(warning=f"use of 2.0 in the run: {NOT_READ}")


def busy_seconds(run: Run) -> float:
    """Seconds that serverless would charge for the run: while any statement was under way."""
    table = run.samples().select(["sent_us", "done_us"]).drop_null()
    sent, done = (table[name].to_numpy() / 1e6 for name in ("sent_us", "done_us"))
    return serverless_seconds(sent, done)
