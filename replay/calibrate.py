"""The verb `calibrate`: what one worker of this machine can do at most.

Two runs for each target, as `fourstep run` does them: flat out, which tells the ceiling, and one
that climbs through shares of it and then opens more and more sessions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import replay
from replay.artefact import write_json
from replay.calibration import calibration_path, this_machine
from replay.errors import UndecidedRun
from replay.offsets import Ints
from replay.run import Run, versions
from replay.sequence import locustfile
from replay.synthetic import write_synthetic
from replay.target.embedded import EmbeddedServer

_TARGETS = {"null": (60_000, 8_000), "postgresql": (12_000, 800)}
"""Statements sent flat out for each second that a measurement shall last, and sessions tried."""
_SHARES = (0.1, 0.25, 0.5, 0.7, 0.9)
_SESSIONS = 20
_STEPS = 8
_HELD_US = 50_000
"""Sessions are held while p99 of our own lag is at most this; what failed never came."""
_BOUND_S = 120


def calibrate(*, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure for some ten times `seconds` at each target, keep the result and return it.

    Raises:
        UndecidedRun: a run failed.
        Unreachable: the embedded PostgreSQL does not start.
    """
    most = {"max_connections": str(_TARGETS["postgresql"][1] + 50)}
    with EmbeddedServer("calibrate", settings=most) as server:
        found = {
            # What is written goes with the server.
            kind: _measure(kind, url, server.directory / kind, seconds, tell)
            for kind, url in (("null", "null:"), ("postgresql", server.url()))
        }
    document = this_machine() | {
        "versions": versions() | {"fourstep": replay.__version__},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "targets": found,
    }
    calibration_path().parent.mkdir(parents=True, exist_ok=True)
    write_json(calibration_path(), document)
    return document


def as_text(document: Mapping[str, Any]) -> str:
    """The table for people."""
    shares = "".join(f"{share:>9.0%}" for share in _SHARES)
    lines = [f"one worker  statements/s  p99 late at{shares}  sessions held"]
    for kind, found in document["targets"].items():
        late = "".join(f"{at['p99_us'] / 1e3:>6.1f} ms" for at in found["late"])
        held = f"{found['held']:>8,} of {found['tried']:,}"
        lines.append(f"{kind:<12}{found['statements_per_s']:>12,}{'':>13}{late}  {held}")
    return "\n".join(lines)


def _measure(
    kind: str, url: str, directory: Path, seconds: float, tell: Callable[[str], None]
) -> dict[str, Any]:
    rate, sessions = _TARGETS[kind]
    tell(f"{kind}: one worker, flat out")
    number = np.arange(round(rate * seconds))
    flat = _replay(directory / "flat", url, due_us=number * 0, session=number % _SESSIONS)
    span_us = pc.max(flat["done_us"]).as_py() - pc.min(flat["sent_us"]).as_py()
    ceiling = round(len(flat) / max(span_us, 1) * 1e6)
    tell(f"{kind}: shares of {ceiling:,} statements/s, then up to {sessions:,} sessions")
    step_us = round(seconds * 1e6)
    parts = [np.arange(0, step_us, 1e6 / (ceiling * share)).astype(np.int64) for share in _SHARES]
    climb_us = np.concatenate([step * step_us + part for step, part in enumerate(parts)])
    # A second's rest: what the steepest step left behind is not the sessions'.
    ramp_us, length_us = len(_SHARES) * step_us + 1_000_000, _STEPS // 2 * step_us
    # Sessions open one by one, and each asks once a second to the end.
    opened_us = np.arange(sessions)[:, None] * length_us // sessions
    asked_us = opened_us + np.arange(0, length_us, 1_000_000)
    which, _ = np.nonzero(asked_us < length_us)
    samples = _replay(
        directory / "climb",
        url,
        due_us=np.concatenate([climb_us, ramp_us + asked_us[asked_us < length_us]]),
        session=np.concatenate([np.arange(len(climb_us)) % _SESSIONS, _SESSIONS + which]),
    )
    due_us, ready_us, sent_us = (
        samples[name].fill_null(0).to_numpy() for name in ("due_us", "ready_us", "sent_us")
    )
    late = []
    for step, share in enumerate(_SHARES):
        # The target answers at once: that a session waits for itself is this machine's doing.
        late_us = (sent_us - due_us)[due_us // step_us == step]
        p50_us, p99_us, max_us = (int(each) for each in np.quantile(late_us, (0.5, 0.99, 1)))
        late.append({"share": share, "p50_us": p50_us, "p99_us": p99_us, "max_us": max_us})
    lag_us = sent_us - np.maximum(due_us, ready_us)
    lag_us[pc.not_equal(samples["status"], "ok").to_numpy()] = _BOUND_S * 1_000_000
    ramp = (due_us - ramp_us) * _STEPS // length_us
    gave_way = [np.quantile(lag_us[ramp == step], 0.99) > _HELD_US for step in range(_STEPS)]
    held = sessions * [*gave_way, True].index(True) // _STEPS
    return {"statements_per_s": ceiling, "late": late, "held": held, "tried": sessions}


def _replay(directory: Path, url: str, *, due_us: Ints, session: Ints) -> pa.Table:
    """The samples of a run of its own process."""
    write_synthetic(directory / "w", due_us=due_us, session=session, question="SELECT {}")
    command = [
        *(sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--no-tables"),
        *("--workload", str(directory / "w"), "--host", url, "--run-dir", str(directory / "run")),
        *("--lag-budget-ms", "1e9"),
    ]
    try:
        subprocess.run(
            command,
            cwd=directory,  # where no locust.conf can be
            env={k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "FOURSTEP_"))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_BOUND_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        told = (error.stderr or b"").decode(errors="replace")[-2_000:]
        raise UndecidedRun(f"a run failed, or took more than {_BOUND_S} s:\n{told}") from None
    return Run(directory / "run").samples()
