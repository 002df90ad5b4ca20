"""The timetable: dials and a workload in, a due time for every planned statement out.

Pure and deterministic: the same workload, dials and seed give the same arrays, on whichever
machine they are computed; only numbers cross the network.

Load is scaled by cloning whole sessions, not by squeezing time (TraceUpscaler, EuroSys 2024):
think times and the order inside a session stay what they were. Each clone is shifted by a seeded
jitter so that copies do not arrive in step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heapreplace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.dials import Dials
from replay.moment import moment_of
from replay.offsets import Ints, never_decreasing, think_times, with_think, without_idle
from replay.workload import coded

_LEAST_LOOP_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Planned statements, session by session, each session's in order.

    Planned session `s` holds the planned statements `starts[s]:starts[s + 1]`. `row` points into
    the workload's statements, `due_us` counts from the run's zero and never decreases within a
    session. Sessions are in order of their first due time.
    """

    row: Ints
    due_us: Ints
    starts: Ints
    clone: Ints
    """One per planned session; 0 is the original."""
    think_us: Ints
    """How long after the end of the statement before it in its session each is due, where that
    decides; empty otherwise. The first of a session is due at `due_us` all the same."""
    loops_us: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    """When the workload begins, and when it begins again."""

    @property
    def statements(self) -> int:
        """How many statements are planned."""
        return len(self.row)

    @property
    def sessions(self) -> int:
        """How many sessions are planned."""
        return len(self.clone)

    @property
    def copies(self) -> int:
        """How many of them are clones'."""
        return int(np.diff(self.starts)[self.clone > 0].sum())

    def clone_of(self, index: Ints) -> Ints:
        """The clone numbers of planned statements."""
        numbers: Ints = self.clone[np.searchsorted(self.starts, index, side="right") - 1]
        return numbers

    @property
    def length_us(self) -> int:
        """The last due time."""
        return int(self.due_us.max(initial=0))

    def peak_sessions(self) -> int:
        """Most sessions between their first and last due time at once."""
        first = self.due_us[self.starts[:-1]]
        last = self.due_us[self.starts[1:] - 1]
        stamps = np.concatenate([first, last])
        steps = np.concatenate([np.ones_like(first), -np.ones_like(last)])
        # At equal stamps a session that opens counts before one that closes.
        order = np.lexsort((-steps, stamps))
        return int(np.cumsum(steps[order]).max(initial=0))

    @property
    def in_words(self) -> str:
        """What a user is told before a run."""
        return (
            f"{self.statements:,} statements in {self.sessions:,} sessions "
            f"(at most {self.peak_sessions():,} at once) over {self.length_us / 1e6:.1f} s, "
            f"at most {self.peak_rate():,}/s"
        )

    def peak_rate(self) -> int:
        """Most statements due within one second."""
        return int(np.bincount(self.due_us // 1_000_000, minlength=1).max())

    def shard(self, chosen: npt.NDArray[np.bool_]) -> Timetable:
        """The same without the sessions that are not chosen."""
        return self.only(np.repeat(chosen, np.diff(self.starts)))

    def only(self, keep: npt.NDArray[np.bool_]) -> Timetable:
        """The same without the statements that are not kept."""
        lengths = np.add.reduceat(keep, self.starts[:-1], dtype=np.int64)
        some = lengths > 0
        return Timetable(
            row=self.row[keep],
            due_us=self.due_us[keep],
            starts=np.concatenate([[0], np.cumsum(lengths[some])]).astype(np.int64),
            clone=self.clone[some],
            think_us=self.think_us[keep] if len(self.think_us) else self.think_us,
            loops_us=self.loops_us,
        )

    def rest(self, from_us: int) -> tuple[Timetable, npt.NDArray[np.bool_]]:
        """What is due from then on, and which of its sessions had begun before."""
        keep = self.due_us >= from_us
        lengths = np.add.reduceat(keep, self.starts[:-1], dtype=np.int64)
        begun = (lengths < np.diff(self.starts))[lengths > 0]
        rest = self.only(keep)
        # What is left of a session may be due after others begin.
        turns = np.argsort(rest.due_us[rest.starts[:-1]], kind="stable")
        lengths = np.diff(rest.starts)[turns]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(starts[-1]) + np.repeat(rest.starts[:-1][turns] - starts[:-1], lengths)
        ordered = Timetable(
            row=rest.row[position],
            due_us=rest.due_us[position],
            starts=starts,
            clone=rest.clone[turns],
            think_us=rest.think_us[position] if len(rest.think_us) else rest.think_us,
            loops_us=rest.loops_us,
        )
        return ordered, begun[turns]

    def as_json(self) -> dict[str, int | None]:
        """The `timetable` object of run.json."""
        return {
            "statements": self.statements,
            "sessions": self.sessions,
            "length_us": self.length_us,
            "peak_sessions": self.peak_sessions(),
            "peak_rate_per_s": self.peak_rate(),
            "period_us": int(self.loops_us[1]) if len(self.loops_us) > 1 else None,
        }


def build_timetable(statements: pa.Table, dials: Dials) -> Timetable:
    """Lay out `session_id`, `seq`, `started_at` and `duration_us` of a workload by the dials."""
    kept = _window(statements, dials)
    chosen_rows = statements.take(pa.array(kept)) if len(kept) < len(statements) else statements
    started_us = chosen_rows["started_at"].cast(pa.int64()).to_numpy()
    order, bounds = _sessions_of(chosen_rows)
    offset_us = (started_us - (started_us.min() if len(started_us) else 0))[order]
    duration_us = pc.fill_null(chosen_rows["duration_us"], 0).to_numpy()[order]
    offset_us = with_think(
        never_decreasing(offset_us, bounds), duration_us, bounds, factor=dials.think
    )
    if dials.max_idle_s is not None:
        offset_us = without_idle(offset_us, duration_us, most_us=round(dials.max_idle_s * 1e6))
    period_us = int((offset_us + duration_us).max(initial=0))
    chosen, clone, shift_us = _clones(len(bounds) - 1, offset_us, period_us, dials)
    first_us = ((offset_us[bounds[:-1]][chosen] + shift_us) / dials.speed).astype(np.int64)
    turns = np.argsort(first_us, kind="stable")
    if dials.mode == "pool":
        turns = np.random.default_rng(dials.seed).permutation(len(chosen))
    chosen, clone, shift_us = chosen[turns], clone[turns], shift_us[turns]
    lengths = np.diff(bounds)[chosen]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    position = np.arange(starts[-1]) + np.repeat(bounds[:-1][chosen] - starts[:-1], lengths)
    row = kept[order[position]]
    if dials.mode == "pool":
        return _pooled(row, starts, clone, dials)
    due_us = ((offset_us[position] + np.repeat(shift_us, lengths)) / dials.speed).astype(np.int64)
    thought_us = np.empty(0, dtype=np.int64)
    if dials.pace == "think":
        thought_us = (think_times(offset_us, duration_us, bounds)[position] / dials.speed).astype(
            np.int64
        )
    loops_us = np.arange(_loops(period_us, dials)) * (_loop_us(period_us) / dials.speed)
    laid_out = Timetable(
        row=row, due_us=due_us, starts=starts, clone=clone, think_us=thought_us,
        loops_us=loops_us.astype(np.int64),
    )  # fmt: skip
    return laid_out.only(due_us < round(dials.loop_s * 1e6)) if dials.loop_s else laid_out


def shard_of_sessions(timetable: Timetable, shards: int) -> Ints:
    """Which worker replays each planned session: heaviest first, each to the lightest shard.

    A session weighs its statements, and a hundredth of one per millisecond that it stays open.
    """
    lengths = np.diff(timetable.starts)
    first = timetable.due_us[timetable.starts[:-1]]
    last = timetable.due_us[timetable.starts[1:] - 1]
    weight = lengths + (last - first) / 100_000
    order = np.argsort(-weight, kind="stable")
    loads = [(0.0, number) for number in range(shards)]
    lightest = []
    for heavy in weight[order].tolist():
        load, number = loads[0]
        lightest.append(number)
        heapreplace(loads, (load + heavy, number))
    shard = np.empty(timetable.sessions, dtype=np.int64)
    shard[order] = lightest
    return shard


def _sessions_of(statements: pa.Table) -> tuple[Ints, Ints]:
    """Rows grouped by session: row order, and where each session begins."""
    session = coded(statements["session_id"]).indices.to_numpy()
    # One key of both sorts in half the time of two.
    key = (session.astype(np.int64) << 32) + statements["seq"].to_numpy()
    order = np.argsort(key, kind="stable")
    edges = np.flatnonzero(np.diff(session[order])) + 1
    bounds = np.concatenate([[0], edges, [len(session)]]) if len(session) else np.zeros(1)
    return order, bounds.astype(np.int64)


def _window(statements: pa.Table, dials: Dials) -> Ints:
    """The rows of the statements that 1.0 began within `--from` and `--to`."""
    started = statements["started_at"]
    kept = np.ones(len(statements), dtype=np.bool_)
    for moment, compare in ((dials.since, pc.greater_equal), (dials.until, pc.less)):
        if moment is not None:
            kept &= compare(started, pa.scalar(moment_of(moment), started.type)).to_numpy()
    return np.flatnonzero(kept)


def _clones(
    sessions: int, offset_us: Ints, period_us: int, dials: Dials
) -> tuple[Ints, Ints, Ints]:
    """Which captured session each planned one copies, its clone number and its shift in time.

    Each time the workload begins again is so many clones more.
    """
    whole = int(dials.scale)
    random = np.random.default_rng(dials.seed)
    sampled = np.sort(
        random.choice(sessions, size=round((dials.scale - whole) * sessions), replace=False)
    )
    once = np.concatenate([np.tile(np.arange(sessions), whole), sampled]).astype(np.int64)
    copy = np.repeat(np.arange(whole), sessions)
    copy = np.concatenate([copy, np.full(len(sampled), whole)]).astype(np.int64)
    loops = _loops(period_us, dials)
    loop = np.repeat(np.arange(loops), len(once))
    chosen, copy = np.tile(once, loops), np.tile(copy, loops)
    window_us = int(offset_us.max(initial=0))
    jitter_us = min(dials.jitter_s * 1e6, window_us / 10)
    shift_us = random.uniform(0, max(jitter_us, 1), size=len(chosen)).astype(np.int64)
    shift_us[copy == 0] = 0
    shift_us += loop * _loop_us(period_us)
    copies = int(np.max(copy, initial=0)) + 1
    return chosen, loop * copies + copy, shift_us


def _loop_us(period_us: int) -> int:
    """Capture time from one loop to the next."""
    return max(period_us, _LEAST_LOOP_US)


def _loops(period_us: int, dials: Dials) -> int:
    """How often the workload is begun."""
    asked_us = dials.loop_s * 1e6 * dials.speed
    return max(1, math.ceil(asked_us / _loop_us(period_us)))


def _pooled(row: Ints, starts: Ints, clone: Ints, dials: Dials) -> Timetable:
    """Shuffled sessions, or statements shuffled among all, as a pool draws them, without times."""
    if dials.draw == "statements":
        order = np.random.default_rng(dials.seed).permutation(len(row))
        row, clone = row[order], np.repeat(clone, np.diff(starts))[order]
        starts = np.arange(len(row) + 1, dtype=np.int64)
    at_once = np.zeros(len(row), dtype=np.int64)
    return Timetable(row=row, due_us=at_once, starts=starts, clone=clone, think_us=at_once)
