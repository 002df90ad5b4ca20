"""The verb `calibrate`: what one worker of this machine can do at most.

Two runs for each target, as `fourstep run` does them: flat out, which tells the ceiling, and one
that climbs through shares of it and then opens more and more sessions. What they say comes from
their samples.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import replay
from replay.artefact import write_json
from replay.calibration import calibration_path, this_machine
from replay.cli import locustfile
from replay.errors import UndecidedRun
from replay.offsets import Ints
from replay.run import Run, versions
from replay.synthetic import write_synthetic
from replay.target.embedded import EmbeddedServer

_TARGETS = {"null": (40_000, 8_000), "postgresql": (5_000, 800)}
"""Statements sent flat out in each second that a measurement shall last, and sessions opened."""
_SHARES = (0.1, 0.25, 0.5, 0.7, 0.9)
_SESSIONS = 20
_RAMP_STEPS = 8
_HELD_US = 50_000
"""Sessions are held while p99 of our own lag is at most this and everything is answered."""
_BOUND_S = 120


def calibrate(*, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure for a few times `seconds` at each target, keep the result and return it.

    Raises:
        UndecidedRun: a run failed.
        Unreachable: the embedded PostgreSQL does not start.
    """
    began_s = time.monotonic()
    targets = {}
    for kind, (rate, sessions) in _TARGETS.items():
        with _serving(kind, sessions) as url, tempfile.TemporaryDirectory("calibrate") as name:
            tell(f"{kind}: one worker, flat out")
            count = max(_SESSIONS, round(rate * seconds))
            number = np.arange(count)
            flat = _replay(Path(name) / "flat", url, number * 0, number % _SESSIONS)
            done_us, sent_us = (flat[name].to_numpy() for name in ("done_us", "sent_us"))
            ceiling = int(count / (done_us.max() - sent_us.min() + 1) * 1e6)
            tell(f"{kind}: shares of {ceiling:,} statements/s, then up to {sessions:,} sessions")
            due_us, session = _climb(ceiling, seconds, sessions)
            climbed = _replay(Path(name) / "climb", url, due_us, session)
            targets[kind] = {
                "statements_per_s": ceiling,
                **_found(climbed, ceiling, seconds, sessions),
            }
    document = {
        **this_machine(),
        "tool_version": replay.__version__,
        "versions": versions(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - began_s, 1),
        "targets": targets,
    }
    calibration_path().parent.mkdir(parents=True, exist_ok=True)
    write_json(calibration_path(), document)
    return document


def as_text(document: Mapping[str, Any]) -> str:
    """The table for people."""
    targets = document["targets"]
    rows = [("", list(targets))]
    rows.append(("flat out", [f"{target['statements_per_s']:,}/s" for target in targets.values()]))
    for place, share in enumerate(_SHARES):
        lags = [target["lag"][place] for target in targets.values()]
        rows.append((f"lag p99 at {share:.0%}", [f"{lag['p99_us'] / 1e3:.2f} ms" for lag in lags]))
    held = [target["sessions"] for target in targets.values()]
    rows.append(("open sessions", [f"{each['held']:,} of {each['tried']:,}" for each in held]))
    lines = [f"one worker on {document['host']}, {document['cpus']} CPUs"]
    return "\n".join(
        [*lines, *(f"{name:<16}" + "".join(f"{cell:>18}" for cell in cells) for name, cells in rows)]
    )


@contextmanager
def _serving(kind: str, sessions: int) -> Iterator[str]:
    if kind == "null":
        yield "null:"
        return
    with EmbeddedServer("calibrate", settings={"max_connections": str(sessions + 50)}) as server:
        yield server.url()


def _climb(ceiling: int, seconds: float, sessions: int) -> tuple[Ints, Ints]:
    """Due times and sessions: `seconds` at each share of the ceiling, then the ramp.

    On the ramp sessions open one by one, and each asks once a second to the end.
    """
    due_us, session = [], []
    for step, share in enumerate(_SHARES):
        number = np.arange(max(1, round(ceiling * share * seconds)))
        due_us.append(((step + number / len(number)) * seconds * 1e6).astype(np.int64))
        session.append(number % _SESSIONS)
    begin_us, length_us = _ramp(seconds)
    opened_us = np.arange(sessions) * length_us // sessions
    asks = (length_us - opened_us - 1) // 1_000_000 + 1
    which = np.repeat(np.arange(sessions), asks)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(asks) - asks, asks)
    due_us.append(begin_us + opened_us[which] + nth * 1_000_000)
    session.append(_SESSIONS + which)
    return np.concatenate(due_us), np.concatenate(session)


def _ramp(seconds: float) -> tuple[int, int]:
    # A second's rest: what the steepest step left behind is not the sessions'.
    return round((len(_SHARES) * seconds + 1) * 1e6), round(_RAMP_STEPS / 2 * seconds * 1e6)


def _found(samples: pa.Table, ceiling: int, seconds: float, sessions: int) -> dict[str, Any]:
    due_us, ready_us, sent_us = (
        samples[name].fill_null(0).to_numpy() for name in ("due_us", "ready_us", "sent_us")
    )
    lag_us = sent_us - np.maximum(due_us, ready_us)
    ok = pa.compute.equal(samples["status"], "ok").to_numpy()

    def between(begin_us: float, end_us: float) -> npt.NDArray[np.bool_]:
        return np.asarray((due_us >= begin_us) & (due_us < end_us))

    curve = []
    for step, share in enumerate(_SHARES):
        lags = lag_us[between(step * seconds * 1e6, (step + 1) * seconds * 1e6) & ok]
        p50_us, p99_us, max_us = np.quantile(lags, (0.5, 0.99, 1), method="inverted_cdf").tolist()
        curve.append({"share": share, "statements_per_s": round(ceiling * share)}
                     | {"p50_us": p50_us, "p99_us": p99_us, "max_us": max_us})  # fmt: skip
    begin_us, length_us = _ramp(seconds)
    held = 0
    for step in range(_RAMP_STEPS):
        here = between(*(begin_us + (step + n) * length_us / _RAMP_STEPS for n in (0, 1)))
        if not ok[here].all() or np.quantile(lag_us[here], 0.99) > _HELD_US:
            break
        held = sessions * (step + 1) // _RAMP_STEPS
    return {"lag": curve, "sessions": {"held": held, "tried": sessions}}


def _replay(directory: Path, url: str, due_us: Ints, session: Ints) -> pa.Table:
    write_synthetic(directory / "w", due_us=due_us, session=session, question="SELECT {}")
    command = [
        *(sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--no-tables"),
        *("--workload", str(directory / "w"), "--host", url, "--run-dir", str(directory / "run")),
        *("--lag-budget-ms", "1e9", "--run-time", f"{_BOUND_S}s"),
    ]
    ended = subprocess.run(
        command,
        cwd=directory,  # where no locust.conf can be
        env={k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "FOURSTEP_"))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    run = Run(directory / "run") if (directory / "run" / "run.json").exists() else None
    if ended.returncode or run is None or run.document["ended_by"] != "done":
        last_lines = "\n".join(ended.stdout.strip().splitlines()[-15:])
        raise UndecidedRun(f"a run of the calibration failed:\n{last_lines}")
    return run.samples()
