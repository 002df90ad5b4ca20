"""What a ramp found, in words and numbers: the content of ramp.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from reports import format as fmt
from reports.ramp.step import level_of
from reports.stats.knee import Knee, find_knee

SCHEMA_VERSION = 1
_CEILING = "that is the ceiling of this tool or its machine, not a knee of 2.0"


def conclude(
    steps: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], *, ended_by: str
) -> dict[str, Any]:
    """The content of ramp.json: steps, knee, verdict and headroom in words.

    KNEE: something passed and something failed; SURVIVES: nothing failed up to where it was
    tried; BREAKS: something failed and nothing below passed; INVALID and INCONCLUSIVE: nothing
    can be said of 2.0.
    """
    knee = find_knee([level_of(step) for step in steps])
    verdict = _verdict(knee, steps)
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "headroom": _headroom(verdict, knee, steps, _load(asked["window"])),
        "knee": asdict(knee),
        "ended_by": ended_by,
        "steps": list(steps),
        "asked": dict(asked),
    }


def _verdict(knee: Knee, steps: Sequence[Mapping[str, Any]]) -> str:
    if knee.high is not None:
        return "BREAKS" if knee.low is None else "KNEE"
    if knee.low is not None:
        return "SURVIVES"
    return "INVALID" if any(step["outcome"] == "invalid" for step in steps) else "INCONCLUSIVE"


def _headroom(verdict: str, knee: Knee, steps: Sequence[Mapping[str, Any]], load: str) -> str:
    """One sentence, perhaps two."""
    at = {step["scale"]: step for step in steps}
    low, high = (None if end is None else scale(end) for end in (knee.low, knee.high))
    if verdict == "KNEE":
        point = scale(knee.value or knee.low or 0)
        said = f"survives {point} [{(low or '').rstrip('×')}, {(high or '').rstrip('×')}] of {load}"
        said += f"; at {high}: {at[knee.high]['reason']}"
    elif verdict == "BREAKS":
        said = f"breaks at {high} of {load}, and nothing below it passed: {at[knee.high]['reason']}"
    elif verdict == "SURVIVES":
        said = f"survives {low} of {load} at least; no gate broke up to there"
    else:
        said = f"nothing can be said of {load}"
    for step in steps:
        ceiling = [step["reason"]] if step["outcome"] == "invalid" else step["near_ceiling"]
        if ceiling:
            said += f"; INVALID beyond: at {scale(step['scale'])} {ceiling[0]}; {_CEILING}"
    undecided = [step for step in steps if step["outcome"] == "undecided"]
    if undecided:
        scales = ", ".join(scale(step["scale"]) for step in undecided)
        said += f"; undecided at {scales}: {undecided[0]['reason']}"
    return said


def scale(value: float) -> str:
    """A multiple of the load: `2.6×`, `1×`."""
    return f"{value:.3g}×"


def _load(window: Sequence[str]) -> str:
    since, until = (datetime.fromisoformat(moment) for moment in window)
    length = fmt.duration((until - since).total_seconds() * 1e6)
    return f"the load captured on {since:%A, %Y-%m-%d} from {since:%H:%M} UTC on ({length})"
