"""The two arms of a comparison: latencies of 1.0 and of 2.0 over the same time blocks.

An arm is an array of latencies with the template and the block of each. The baseline is either
another run of the same workload or `captured`, the durations 1.0's own log gives. Blocks are
equal slices of each timetable, so block 7 holds the same statements in both arms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.load import MISSING, Evidence
from reports.stats.blocks import BlockCounts, count_by_block
from reports.stats.estimate import Int64s

CAPTURED = "captured"
"""Name of the baseline that 1.0's log provides."""

MIN_BLOCKS = 30
"""Blocks below which a bootstrap over them says little."""

_MAX_BLOCKS = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How a timetable is cut: `number` slices of `length_us` capture time each."""

    number: int
    length_us: int
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Latencies of one side: `values_us`, `template`, `block` (0..blocks-1), all of length n."""

    name: str
    blocks: int
    values_us: Int64s
    template: npt.NDArray[np.int32]
    block: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.values_us)

    @cached_property
    def ordered_us(self) -> Int64s:
        """All latencies, ascending."""
        return np.sort(self.values_us)

    @cached_property
    def counts(self) -> BlockCounts:
        """The latencies counted by block."""
        return count_by_block(self.values_us, self.block, self.blocks)

    @cached_property
    def _by_template(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        # numpy sorts 16-bit integers by radix, several times faster than wider ones.
        narrow = self.template.max(initial=0) < 1 << 16
        codes = self.template.astype(np.uint16) if narrow else self.template
        order = np.argsort(codes, kind="stable").astype(np.int32)
        sizes = np.bincount(codes, minlength=1)
        return order, np.concatenate([[0], np.cumsum(sizes)])

    def of_template(self, code: int) -> npt.NDArray[np.int32]:
        """Positions of one template's samples."""
        order, starts = self._by_template
        if code + 1 >= len(starts):
            return order[:0]
        return order[starts[code] : starts[code + 1]]

    def only(self, keep: npt.NDArray[np.bool_]) -> Arm:
        """The same arm over some of its samples."""
        if keep.all():
            return self
        return Arm(
            name=self.name,
            blocks=self.blocks,
            values_us=_chosen(self.values_us, keep),
            template=_chosen(self.template, keep),
            block=_chosen(self.block, keep),
        )


@dataclass(frozen=True, kw_only=True)
class Arms:
    """Both sides of one measure; `baseline` is None when 1.0 left no durations.

    `candidate` is over the samples that compare with the baseline, `candidate_all` over all.
    """

    blocks: Blocks
    baseline: Arm | None
    candidate: Arm
    candidate_all: Arm
    left_out: int

    @property
    def captured(self) -> bool:
        """True when the baseline is 1.0's production timings rather than a run."""
        return self.baseline is not None and self.baseline.name == CAPTURED


def cut_blocks(evidence: Evidence, *, block_us: int | None) -> Blocks:
    """Cut the timetable into blocks of `block_us` capture time; None chooses.

    The choice is 60 s, or a thirtieth of the timetable where it is shorter than half an hour.
    """
    speed = float((evidence.document.get("dials") or {}).get("speed") or 1)
    length = max(1, int(evidence.length_us * speed))
    chosen = block_us or min(60_000_000, length // MIN_BLOCKS)
    number = min(_MAX_BLOCKS, max(1, length // max(1, chosen)))
    size = max(1, length // number)
    warning = None
    if number < MIN_BLOCKS:
        warning = f"{number} time blocks, needs {MIN_BLOCKS}: choose a shorter `block`"
    elif size < 10_000_000:
        warning = (
            f"the timetable is short ({length / 1e6:.0f} s): blocks of {size / 1e6:.1f} s may be "
            "shorter than a burst of load, and intervals then too narrow"
        )
    return Blocks(number=number, length_us=size, warning=warning)


def block_of(evidence: Evidence, blocks: Blocks) -> npt.NDArray[np.int16]:
    """The block (n) in which each sample fell due."""
    position = evidence.due_us * (blocks.number / evidence.length_us)
    np.clip(position, 0, blocks.number - 1, out=position)
    return position.astype(np.int16)


def build_arms(
    candidate: Evidence, baseline: Evidence | None, *, measure: str, block_us: int | None
) -> Arms:
    """Both arms of `measure`: `response`, `service` or `first_row`.

    A timeout counts with the time it had lasted: leaving it out would make its arm look faster.
    Errors do not count. Against `captured`, a statement that 1.0 failed is left out, and so is
    one without a duration in the log.
    """
    blocks = cut_blocks(candidate, block_us=block_us)
    everything = _arm(candidate, blocks, measure=measure)
    if baseline is None:
        return _against_captured(candidate, everything, blocks, measure=measure)
    other = _renamed(_arm(baseline, blocks, measure=measure), baseline, candidate)
    return Arms(
        blocks=blocks,
        baseline=other if len(other) else None,
        candidate=everything,
        candidate_all=everything,
        left_out=0,
    )


def _against_captured(
    candidate: Evidence, everything: Arm, blocks: Blocks, *, measure: str
) -> Arms:
    kept = _timed(candidate, measure)
    comparable = (candidate.captured_us != MISSING) & ~candidate.failed_before
    common = everything.only(comparable[kept])
    captured = Arm(
        name=CAPTURED,
        blocks=blocks.number,
        values_us=_chosen(candidate.captured_us, kept & comparable),
        template=common.template,
        block=common.block,
    )
    return Arms(
        blocks=blocks,
        baseline=captured if len(captured) else None,
        candidate=common if len(common) else everything,
        candidate_all=everything,
        left_out=len(everything) - len(common) if len(common) else 0,
    )


def _renamed(arm: Arm, baseline: Evidence, candidate: Evidence) -> Arm:
    """The baseline's arm with the candidate's template codes; its own alone get codes beyond."""
    codes = {t.template_id: code for code, t in enumerate(candidate.templates)}
    for template in baseline.templates:
        codes.setdefault(template.template_id, len(codes))
    mapping = np.array([codes[t.template_id] for t in baseline.templates] or [0], dtype=np.int32)
    return Arm(
        name=arm.name,
        blocks=arm.blocks,
        values_us=arm.values_us,
        template=mapping[arm.template],
        block=arm.block,
    )


def _timed(evidence: Evidence, measure: str) -> npt.NDArray[np.bool_]:
    values: Int64s = getattr(evidence, f"{measure}_us")
    ended = evidence.is_status("ok", "timeout")
    kept: npt.NDArray[np.bool_] = ended & evidence.asks_data() & (values != MISSING)
    return kept


def _arm(evidence: Evidence, blocks: Blocks, *, measure: str) -> Arm:
    kept = _timed(evidence, measure)
    return Arm(
        name=evidence.run.run_id,
        blocks=blocks.number,
        values_us=_chosen(getattr(evidence, f"{measure}_us"), kept),
        template=_chosen(evidence.template, kept),
        block=_chosen(block_of(evidence, blocks), kept),
    )


def _chosen(column: npt.NDArray[Any], keep: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """`column[keep]`, without a copy where all is kept: a column may weigh 160 MB."""
    return column if keep.all() else column[keep]
