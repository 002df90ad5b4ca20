"""Step after step of a ramp: runs of the same stretch of a workload, each at another scale.

A step is judged like any run.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from replay import sequence
from replay.artefact import read_json, write_json
from replay.errors import ExitCode
from reports.gates import Gates
from reports.ramp.headroom import conclude
from reports.ramp.step import floor_of_gates, level_of, step_of
from reports.stats.knee import next_scale

NOTES = "ramp.json"
_LEAST_S = 10.0
"""A shorter step holds too few blocks of time."""
_MOST_S = 600.0
_SPARE = 1.2


Step = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """What was asked for; `scales` is a list to climb, or with `bisect` the two ends of a search.

    The workload holds `statements` in `length_s` from `since` on; `step_s` None means what the
    gates need.
    """

    out: Path
    options: tuple[str, ...]
    scales: tuple[float, ...]
    bisect: bool
    since: datetime
    length_s: float
    statements: int
    step_s: float | None
    gates: Path
    rules: Gates
    baseline: Path | None
    config: Path | None

    @property
    def relative(self) -> bool:
        """Whether a gate compares with a baseline."""
        return any(gate.relative for gate in self.rules.gates)

    def next_scale(self, steps: Sequence[Step]) -> float | None:
        """The next step's; None where the ramp has ended."""
        if steps and (steps[-1]["near_ceiling"] or steps[-1]["outcome"] == "invalid"):
            return None
        if self.bisect:
            return next_scale(list(map(level_of, steps)), low=self.scales[0], high=self.scales[1])
        ended = len(steps) == len(self.scales) or any(s["outcome"] == "fail" for s in steps)
        return None if ended else self.scales[len(steps)]

    def seconds_of(self, steps: Sequence[Step], scale: float) -> float:
        """Of the next step: what gates need, by their floors and what the steps before found.

        Where a gate compares with the first step, all are as long as that: the same statements.
        """
        if steps and self.baseline is None and self.relative:
            return float(steps[0]["seconds"])
        wanted = max([floor_of_gates(self.rules.gates), *(step["needed"] for step in steps)])
        reckoned_s = _SPARE * wanted * self.length_s / (self.statements * scale)
        return self.step_s or min(max(reckoned_s, _LEAST_S), _MOST_S)

    def play_step(self, number: int, scale: float, seconds: float) -> Step | int:
        """One step played and judged, or the exit code of a run that tells nothing."""
        from reports.report import write_report

        place = self.out / "steps" / str(number)
        run = place / "run"
        sequence.set_aside(place, self.out)
        place.mkdir(parents=True)
        if seconds <= self.length_s:
            stretch = ["--to", (self.since + timedelta(seconds=seconds)).isoformat()]
        else:
            stretch = ["--loop", "-t", str(math.ceil(seconds))]
        options = [*self.options, *stretch, "--scale", f"{scale:g}", "--run-dir", str(run)]
        exit_code = sequence.play(options, captured=True).exit_code
        # A run that is INVALID by itself is judged, and then says why.
        judged = exit_code in (ExitCode.DONE, ExitCode.UNDECIDED)
        if not (judged and (run / "run.json").is_file()):
            return exit_code or int(ExitCode.UNDECIDED)
        first = self.out / "steps" / "1" / "run" if self.relative else None
        verdict = write_report(
            run,
            baseline=self.baseline or first,
            gates=self.gates,
            config=self.config,
            out=place / "report",
        )
        known = {"number": number, "scale": scale, "seconds": seconds, "run": str(run)}
        return known | step_of(verdict, read_json(run / "run.json", what="run"))


def climb(ramp: Ramp, asked: Mapping[str, Any], *, rest_s: float) -> tuple[dict[str, Any], int]:
    """Play step after step; the content of ramp.json and an exit code.

    What was played is kept whatever happens, and not played again.
    """
    exit_code = 0
    steps = sequence.played_before(ramp.out / NOTES, asked, key="steps")
    ramp.out.mkdir(parents=True, exist_ok=True)
    try:
        while (scale := ramp.next_scale(steps)) is not None:
            write_json(ramp.out / NOTES, conclude(steps, asked, ended_by="unknown"))
            number, seconds = len(steps) + 1, ramp.seconds_of(steps, scale)
            if steps:
                sequence.rest(rest_s, before=f"step {number}")
            print(f"step {number}: {scale:g}× for {seconds:.0f} s", file=sys.stderr, flush=True)
            step = ramp.play_step(number, scale, seconds)
            if isinstance(step, int):
                exit_code = step
                break
            steps.append(step)
    except KeyboardInterrupt:
        exit_code = int(ExitCode.INTERRUPTED)
    return conclude(steps, asked, ended_by=sequence.ended_by(exit_code)), exit_code
