"""What a run used of 2.0: by the server's own meters where they were read, else reckoned."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

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
    reckoned: bool = False
    warning: str | None = None

    def times(self, factor: float) -> Usage:
        """The same use for that many times the statements."""
        meters = ("rpu_seconds", "scaling_seconds", "scanned_bytes")
        read = {name: getattr(self, name) for name in meters if getattr(self, name) is not None}
        scaled: dict[str, Any] = {name: value * factor for name, value in read.items()}
        basis = f"{self.basis}; × {factor:,.4g} for the month's statements"
        return replace(self, **scaled, basis=basis)


def read_usage(*runs: Run) -> Usage:
    """What RUN/server/usage.json says, the mean of `runs`; without one of them a warning does."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        paths = [run.path / "server" / "usage.json" for run in runs]
        told = [json.loads(path.read_text(encoding="utf-8")) for path in paths]

        def mean(meter: str) -> float | None:
            known = [document.get(meter) for document in told]
            return None if None in known else sum(known) / len(known)

        rising = "the server's meters still rose when they were read"
        return Usage(
            rpu_seconds=mean("charged_seconds"),
            scaling_seconds=mean("scaling_seconds"),
            scanned_bytes=mean("scanned_bytes"),
            basis="RPU-seconds as the server charged them",
            warning=None if all(document.get("settled") for document in told) else rising,
        )
    return Usage(warning=f"use of 2.0 in the run: {NOT_READ}")


def busy_seconds(run: Run) -> float:
    """Seconds that serverless would charge for the run: while any statement was under way."""
    names = ("sent_us", "done_us")
    known = run.sample_reader(names).read_all().drop_null()
    sent, done = (known[name].to_numpy() / 1e6 for name in names)
    return serverless_seconds(sent, done)
