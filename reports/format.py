"""The one place that turns numbers into text: durations, counts, ratios, shares, money.

Locale-free, so that the same verdict gives the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

NOTHING = "–"
"""What stands where there is no number."""


def duration(us: float | None) -> str:
    """Microseconds to three significant figures in the unit that suits: `182 ms`, `1.92 s`."""
    if us is None:
        return NOTHING
    sign, us = ("-" if us < 0 else ""), abs(us)
    if us < 999.5:
        return f"{sign}{us:.0f} µs"
    if us < 999_500:
        return f"{sign}{_three(us / 1e3)} ms"
    if us < 600e6:
        return f"{sign}{_three(us / 1e6)} s"
    if us < 6 * 3600e6:
        return f"{sign}{_three(us / 60e6)} min"
    return f"{sign}{_three(us / 3600e6)} h"


def count(value: float | None) -> str:
    """A whole number with thousands set apart by commas."""
    return NOTHING if value is None else f"{value:,.0f}"


def ratio(value: float | None) -> str:
    """Two decimals and a times sign: `1.31×`; more where two would read as nothing."""
    if value is None:
        return NOTHING
    if 0 < value < 0.095:
        return f"{value:.2g}×"
    return f"{value:.2f}×" if value < 100 else f"{value:,.0f}×"


def amount(value: float | None, unit: str) -> str:
    """A number in the unit a gate or a headline line states."""
    return _UNITS[unit](value)


def interval(bounds: Sequence[float | None] | None, unit: str = "ratio") -> str:
    """`[1.22, 1.41]`, `[34.4, 49.7 ms]`; an end the sample cannot bound is left open."""
    if bounds is None:
        return ""
    low, high = ("…" if end is None else amount(end, unit).removesuffix("×") for end in bounds)
    if low.partition(" ")[2] == high.partition(" ")[2]:
        low = low.partition(" ")[0]
    return f"[{low}, {high}]"


def is_same(value: float) -> bool:
    """True for a ratio that two decimals show as 1."""
    return 0.995 <= value < 1.005


def in_words(value: float | None) -> str:
    """A ratio of times in words: `1.31× slower`, `1.30× faster`, `the same`."""
    if value is None or value <= 0:
        return NOTHING
    if is_same(value):
        return "the same"
    return f"{ratio(value)} slower" if value > 1 else f"{ratio(1 / value)} faster"


def share(value: float | None) -> str:
    """A share as a percentage that never rounds up to 100 % nor down to 0 %."""
    if value is None:
        return NOTHING
    percent = value * 100
    if 0 < percent < 0.01:
        return "<0.01 %"
    if 99.99 < percent < 100:
        return ">99.99 %"
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{percent:.2f} %" if percent < 1 or percent > 99 else f"{percent:.1f} %"


def change(value: float | None) -> str:
    """A share with its sign: `+2.9 %`."""
    return NOTHING if value is None else f"{value:+.1%}".replace("%", " %")


def rate(value: float | None) -> str:
    """Events per second: `41.9/s`."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}/s" if value >= 1000 else f"{_three(value)}/s"


def money(value: float | None) -> str:
    """US dollars; cents below a thousand, four figures below a cent."""
    if value is None:
        return NOTHING
    if 0 < value < 0.01:
        return f"USD {value:.2g}"
    return f"USD {value:,.2f}" if value < 1000 else f"USD {value:,.0f}"


def difference(us: float | None) -> str:
    """Signed microseconds: `+2.97 ms`."""
    return NOTHING if us is None else ("+" if us > 0 else "") + duration(us)


def stamp(iso: str | None) -> str:
    """An ISO time to the second in UTC: `2024-06-10 08:00:07 UTC`."""
    if not iso:
        return NOTHING
    moment = datetime.fromisoformat(iso)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(us: float) -> str:
    """A moment of a run: `9:05`, `1:30 h`."""
    minutes, rest = divmod(round(us / 1e6), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """`1 statement`, `2 statements`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def excerpt(text: str, characters: int) -> str:
    """The beginning of a text on one line, cut where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1].rstrip()}…"


def _three(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


_UNITS = {
    "us": duration,
    "ratio": ratio,
    "count": count,
    "share": share,
    "change": change,
    "usd": money,
    "per_s": rate,
}
