"""Whether 2.0 gets slower by the hour: drift and steps of a long run, in windows of time.

Latencies are adjusted for the mix: each is a ratio to its template's median over the run, or the
questions of the morning would look like drift. A drift is slow and a step is sudden: the slope of
a drift is that between steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.artefact import read_json_lines
from replay.run import CLIENT, EVENTS, Run
from reports.arms import Arm
from reports.inside import metric_series
from reports.load import Evidence
from reports.samples import MISSING
from reports.stats.estimate import Bools, Floats, Int64s
from reports.stats.quantiles import PRINT_TAIL, nearest_rank, samples_for
from reports.stats.slices import column, count_codes, slices
from reports.stats.steps import find_steps, segments
from reports.stats.trend import find_trend, without_levels

STATS = {"p50": 0.50, "p95": 0.95}
MARGIN = 0.05
"""All of an interval within this share either way is steady; the least height of a step."""

_LONG_US = 3600_000_000
_WINDOW_US = 5 * 60_000_000
_USUAL, _LEAST = 24, 12
"""Windows of a run too short for so many of five minutes, and the fewest that tell a drift."""
_FLOOR = samples_for(STATS["p95"], PRINT_TAIL)
_SERVER = {"server_disk": ("PercentageDiskSpaceUsed", 0.01),
           "server_connections": ("DatabaseConnections", 1.0)}  # fmt: skip
"""Of CloudWatch's metrics those that leak, and their factor."""
_UNITS = {
    "lag_p99_us": "us", "errors": "share", "open_sessions": "count", "server_disk": "share",
    "server_connections": "count",
}  # fmt: skip
_TOLD = 3
"""Events that a step is told with."""
_LOST = ("08", "57P")
"""SQLSTATEs of connections that were lost or refused."""


def measure_drift(
    evidence: Evidence, arm: Arm, *, warm_up_us: int, confidence: float
) -> dict[str, Any] | None:
    """The `drift` object of verdict.json; None for a run that is neither long nor a soak.

    `arm` holds the latencies of the run without its warm-up.
    """
    if not evidence.dial("roll_s", 0) and evidence.length_us < _LONG_US:
        return None
    tried = evidence.is_status("ok", "timeout", "error") & (evidence.due_us >= warm_up_us)
    timed = tried & evidence.asks_data() & evidence.is_status("ok", "timeout")
    timed &= evidence.response_us != MISSING
    end_us = int(evidence.due_us.max(where=timed, initial=warm_up_us)) + 1
    wanted = max((end_us - warm_up_us) // _WINDOW_US, _USUAL)
    samples = int(timed.sum())
    number = int(min(wanted, samples // _FLOOR))
    gaps = list(resumptions(evidence.document))
    found: dict[str, Any] = {"windows": number, "window_us": None, "gaps": gaps}
    if number < _LEAST:
        enough = f"{samples:,} samples, drift needs {_LEAST} windows of {_FLOOR}"
        return found | {"reason": f"too short to tell drift: {enough}", "series": {}}
    windows = Windows(number=number, from_us=warm_up_us, to_us=end_us)
    window = windows.of(evidence.due_us)
    groups = _by_window(_mix_adjusted(evidence, arm), window, timed, number)
    columns = {stat: _quantiles(groups, p) for stat, p in STATS.items()}
    lags = _by_window(evidence.lag_us, window, timed, number)
    columns["lag_p99_us"] = _quantiles(lags, 0.99)
    failed = evidence.is_status("timeout", "error") & tried
    asked, broken = (count_codes(window, mask, number=number) for mask in (tried, failed))
    columns["errors"] = np.where(asked >= _FLOOR // 2, broken / np.maximum(asked, 1), np.nan)
    columns |= _client(evidence.run, windows) | _server(evidence.run, windows)
    happened = Happened(
        lost_us=_lost_us(evidence), events=read_json_lines(evidence.run.path / EVENTS)
    )
    series = {
        name: _series(name, windows.edges_us, values, confidence=confidence, happened=happened)
        for name, values in columns.items()
        if np.isfinite(values).sum() >= _LEAST
    }
    return found | {"window_us": windows.length_us, "reason": None, "series": series}


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A run from `from_us` to `to_us`, cut into `number` windows of one length."""

    number: int
    from_us: int
    to_us: int

    @property
    def length_us(self) -> float:
        """How long each is."""
        return (self.to_us - self.from_us) / self.number

    @property
    def edges_us(self) -> Floats:
        """Where they begin, and where the last one ends (number + 1)."""
        return np.linspace(self.from_us, self.to_us, self.number + 1)

    def of(self, at_us: Int64s) -> npt.NDArray[np.int16]:
        """The window (n) of each moment; what lies beyond counts as the first or the last."""
        window = column(len(at_us), np.int16)
        for part in slices(len(at_us)):
            position = (at_us[part] - self.from_us) / self.length_us
            window[part] = np.clip(position, 0, self.number - 1)
        return window


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What may explain a step: connections that were lost (n), and the server's own `events`."""

    lost_us: Int64s
    events: Sequence[Mapping[str, Any]]

    def near(self, at_us: float, width_us: float) -> str | None:
        """What happened within one and a half windows of a step, in words."""
        reach_us = 1.5 * width_us
        found = [
            str(event["text"]) for event in self.events if abs(event["at_us"] - at_us) <= reach_us
        ]
        said = found[:_TOLD] + ([f"{len(found) - _TOLD} more events"] if found[_TOLD:] else [])
        if lost := int((np.abs(self.lost_us - at_us) <= reach_us).sum()):
            said.append(f"{lost:,} statements lost their connection then")
        return "; ".join(said) or None


def _series(
    name: str, edges_us: Floats, values: Floats, *, confidence: float, happened: Happened
) -> dict[str, Any]:
    """One series: drift over the run with its interval, a word, and the steps of latencies."""
    relative = name in (*STATS, "memory_bytes")
    known = np.isfinite(values)
    starts_us, values = edges_us[:-1][known], values[known]
    span_us = edges_us[-1] - edges_us[0]
    at = (starts_us - edges_us[0]) / span_us
    steps = find_steps(at, values, least=float(np.log1p(MARGIN))) if name in STATS else []
    segment = segments(len(values), steps)
    trend = find_trend(at, values, segment=segment, confidence=confidence)
    fitted = values - without_levels(values - trend.slope * at, segment)
    fitted += np.median(values - fitted)

    def over_run(slope: float) -> float:
        return float(np.expm1(slope)) if relative else slope

    bounds = None if trend.interval is None else tuple(map(over_run, trend.interval))
    shown, line = (np.exp(each) if relative else each for each in (values, fitted))
    width_us = edges_us[1] - edges_us[0]
    return {
        "unit": "change" if relative else _UNITS[name],
        "drift": over_run(trend.slope),
        "interval": bounds,
        "p": trend.p,
        "correlation": trend.correlation,
        "word": _word(bounds, relative=relative),
        "spread": float(np.abs(shown / np.median(shown) - 1).max()) if relative else None,
        "steps": [
            {
                "at_us": float(starts_us[step.index]),
                "change": float(np.expm1(step.height)),
                "label": happened.near(float(starts_us[step.index]), width_us),
            }
            for step in steps
        ],
        "length_us": float(span_us),
        "at_us": starts_us.tolist(),
        "values": shown.tolist(),
        "line": line.tolist(),
    }


def _word(bounds: Sequence[float] | None, *, relative: bool) -> str:
    if bounds is None:
        return "cannot tell"
    low, high = bounds
    if relative and low >= -MARGIN and high <= MARGIN:
        return "steady"
    return "rises" if low > 0 else "falls" if high < 0 else "no clear drift"


def _mix_adjusted(evidence: Evidence, arm: Arm) -> npt.NDArray[np.float32]:
    """Logarithms of latencies (n) over their template's median."""
    medians_us = arm.medians_us(len(evidence.templates))
    usual = np.log(np.maximum(medians_us, 1)).astype(np.float32)
    logs = column(len(evidence), np.float32)
    for part in slices(len(evidence)):
        response_us = np.maximum(evidence.response_us[part], 1).astype(np.float32)
        logs[part] = np.log(response_us) - usual[evidence.template[part]]
    return logs


def _by_window(
    values: npt.NDArray[Any], window: npt.NDArray[np.int16], chosen: Bools, number: int
) -> list[npt.NDArray[Any]]:
    """The `chosen` values (n) of each `window` (n), in no particular order."""
    pieces: list[list[npt.NDArray[Any]]] = [[] for _ in range(number)]
    for part in slices(len(values)):
        kept, code = values[part][chosen[part]], window[part][chosen[part]]
        kept = kept[code.argsort(kind="stable")]
        held = np.bincount(code, minlength=number)
        ends = held.cumsum()
        for at in np.flatnonzero(held).tolist():
            pieces[at].append(kept[ends[at] - held[at] : ends[at]])
    return [np.concatenate(each) if each else values[:0] for each in pieces]


def _quantiles(groups: Sequence[npt.NDArray[Any]], p: float) -> Floats:
    """The p-quantile of each group; NaN where it holds too few."""
    return np.array([_quantile(group, nearest_rank(max(1, len(group)), p)) for group in groups])


def _quantile(values: npt.NDArray[Any], rank: int) -> float:
    return float("nan") if len(values) < _FLOOR // 2 else np.partition(values, rank - 1)[rank - 1]


def _client(run: Run, windows: Windows) -> dict[str, Floats]:
    """Memory (as a logarithm) and open sessions of all processes, means of windows (number)."""
    notes = read_json_lines(run.path / CLIENT)
    if not notes:
        return {}
    window = windows.of(np.array([note["at_us"] for note in notes], np.int64))
    names, who = np.unique([note["worker"] for note in notes], return_inverse=True)

    def added(what: str, each: float) -> Floats:
        sums = np.zeros((len(names), windows.number))
        np.add.at(sums, (who, window), [note.get(what, each) for note in notes])
        return sums

    count = added("", 1.0)
    count[count == 0] = np.nan
    memory, sessions = (
        (added(what, 0.0) / count).sum(axis=0) for what in ("memory_bytes", "open_sessions")
    )
    return {"memory_bytes": np.log(memory), "open_sessions": sessions}


def _server(run: Run, windows: Windows) -> dict[str, Floats]:
    """What CloudWatch measured of the server's disk and connections, means of windows (number)."""
    found, told = dict[str, Floats](), metric_series(run)
    for name, (metric, factor) in _SERVER.items():
        if metric in told:
            at_s, values, _ = told[metric]
            window = windows.of((at_s * 1e6).astype(np.int64))
            sums, counts = (
                np.bincount(window, weights=each, minlength=windows.number)
                for each in (values * factor, None)
            )
            found[name] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def _lost_us(evidence: Evidence) -> Int64s:
    """When statements were due that found their connection lost or could make none (n)."""
    codes = [n for n, (state, _) in enumerate(evidence.failures) if state.startswith(_LOST)]
    return evidence.due_us[np.isin(evidence.failure, codes)]


def resumptions(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Where a run was gone on with: at what time of its own, after how long, and why."""
    legs = document.get("legs") or []
    for before, after in itertools.pairwise(legs):
        # The axis of the later leg is shifted by what was waited for.
        zeros = [
            datetime.fromisoformat(leg["zero_at"]) for leg in (before, after) if leg["zero_at"]
        ]
        wait_us = round((zeros[1] - zeros[0]).total_seconds() * 1e6) if len(zeros) == 2 else None
        ended_by = before["ended_by"] or "killed"
        yield {"at_us": after["from_us"], "wait_us": wait_us, "ended_by": ended_by}
