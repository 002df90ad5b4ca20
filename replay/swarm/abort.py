"""Rules that end a run early: errors, p95, the tool's lag over the last minutes, money spent."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import deque
from dataclasses import dataclass

from replay import live
from replay.errors import UsageError
from replay.offsets import Ints
from replay.swarm.options import seconds_of

WINDOW_S = 120.0
"""Rules look at what ended in this time, and not before a run has lasted as long."""
_LOOK_S = 5.0
_LEAST = 50
"""Statements of a window below which nothing is said of shares and percentiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a run may not exceed; None where nobody minds."""

    errors: float | None = None
    """Share of what ended."""
    p95_s: float | None = None
    """Of response times."""
    lag_s: float | None = None
    """p99 of the tool's own lag."""
    after_s: float | None = None
    """How long a run may last for what it may cost."""


def rules_of(options: Namespace) -> Rules:
    """The rules that these options set.

    Raises:
        UsageError: one of them makes no sense.
    """
    return Rules(
        errors=_share(options.abort_errors),
        p95_s=seconds_of(options.abort_p95, option="--abort-p95") or None,
        lag_s=seconds_of(options.abort_lag, option="--abort-lag") or None,
        after_s=seconds_of(options.abort_after, option="--abort-after") or None,
    )


class Watch:
    """Looks at a run by its rules, every few seconds."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._next_s = 0.0
        self._past: deque[Ints] = deque(maxlen=round(WINDOW_S / _LOOK_S) + 1)

    def reason(self, counts: Ints, *, zero_s: float) -> str | None:
        """Why the run must end now, if it must.

        `counts` are a run's figures so far, see `replay.live`; `zero_s` is on `time.monotonic`.
        """
        now_s = time.monotonic()
        after_s = self._rules.after_s
        if after_s is not None and now_s - zero_s >= after_s:
            return f"--abort-after: it has lasted {after_s:,.0f} s"
        if now_s < max(zero_s, self._next_s):
            return None
        self._next_s = now_s + _LOOK_S
        self._past.append(counts)
        if len(self._past) < (self._past.maxlen or 0):
            return None
        return exceeded(self._rules, counts - self._past[0])


def exceeded(rules: Rules, counts: Ints) -> str | None:
    """Which rule the figures of a window break, in words."""
    ended, *failed = counts[live.ENDS, : len(live.CAUSES) + 1].tolist()
    if ended < _LEAST:
        return None
    said, share = f"in the last {WINDOW_S / 60:g} min", sum(failed) / ended
    if rules.errors is not None and share > rules.errors:
        return f"--abort-errors {rules.errors:.3g}: {share:.1%} of {ended:,} statements {said}"
    for option, most_s, row, p in (
        ("--abort-p95", rules.p95_s, live.ANSWERS, 0.95),
        ("--abort-lag", rules.lag_s, live.LAG, 0.99),
    ):
        # Where there is none it is NaN, which is above nothing.
        found_s = float(live.percentiles_us(counts[row], p)) / 1e6
        if most_s is not None and found_s > most_s:
            return f"{option} {most_s:g}s: p{p * 100:.0f} was {found_s:.3g} s {said}"
    return None


def _share(text: str) -> float | None:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1) if text else None
    except ValueError:
        share = -1.0
    if share is not None and not 0 <= share <= 1:
        raise UsageError(f"`--abort-errors {text}` is not a share", hint="write it as 5% or 0.05")
    return share
