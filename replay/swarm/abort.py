"""Rules that end a run early: errors, p95 and the tool's lag lately, and how long it lasts."""

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
"""Statements of a window below which nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The most that a run may have, None where nobody minds.

    `errors` is a share of what ended, `p95_s` of response times, `lag_s` the p99 of the tool's own
    lag, `after_s` how long it may last.
    """

    errors: float | None = None
    p95_s: float | None = None
    lag_s: float | None = None
    after_s: float | None = None


def rules_of(options: Namespace) -> Rules:
    """The rules that these options set; raises UsageError where one makes no sense."""
    names = {"p95_s": "abort_p95", "lag_s": "abort_lag", "after_s": "abort_after"}
    times = {
        field: seconds_of(getattr(options, name), option=f"--{name.replace('_', '-')}") or None
        for field, name in names.items()
    }
    return Rules(errors=_share(options.abort_errors), **times)


class Watch:
    """Looks at a run by its rules, every few seconds."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._next_s = 0.0
        self._past: deque[Ints] = deque(maxlen=round(WINDOW_S / _LOOK_S) + 1)

    def reason(self, counts: Ints, *, zero_s: float) -> str | None:
        """Why the run must end now, if it must.

        `counts` are its figures so far, see `replay.live`; `zero_s` is on `time.monotonic`.
        """
        now_s, after_s = time.monotonic(), self._rules.after_s
        if after_s is not None and now_s - zero_s >= after_s:
            return f"--abort-after: it has lasted {after_s:,.0f} s"
        if now_s < max(zero_s, self._next_s):
            return None
        self._next_s = now_s + _LOOK_S
        self._past.append(counts)
        whole = len(self._past) == self._past.maxlen
        return exceeded(self._rules, counts - self._past[0]) if whole else None


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
    if not text:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"`--abort-errors {text}` is not a share", hint="write it as 5% or 0.05")
    return share
