"""The two arms of a comparison: latencies of 1.0 and of 2.0 over the same time blocks.

The baseline is either another run of the same workload or `captured`, the durations 1.0's own log
gives. A block is a slice of capture time, so block 7 holds the same statements in both arms. Where
a side has several runs, a number beyond tells block 7 of the second from that of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.load import Evidence
from reports.samples import MISSING
from reports.scope import EVERYWHERE, Labels, Where, labels_of, select
from reports.stats.blocks import BlockCounts, count_by_block
from reports.stats.estimate import Bools, Floats, Int64s
from reports.stats.quantiles import quantile
from reports.stats.slices import ascending, chosen_of, column, count_codes, slices

CAPTURED = "captured"
"""Name of the baseline that 1.0's log provides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How a timetable is cut: `number` slices of `length_us` capture time each."""

    number: int
    length_us: float
    warning: str | None = None

    def of(
        self, times_us: Int64s | Floats, *, speed: float, period_us: int | None = None
    ) -> npt.NDArray[np.int16]:
        """The block (n) of moments of a run at `speed`; what lies beyond counts as the last.

        With `period_us` the blocks begin again and again.
        """
        block = column(len(times_us), np.int16)
        for part in slices(len(times_us)):
            at_us = times_us[part] if period_us is None else times_us[part] % period_us
            position = at_us * (speed / self.length_us)
            block[part] = np.clip(position, 0, self.number - 1)
        return block

    def of_runs(self, evidence: Evidence) -> npt.NDArray[np.int16]:
        """The block (n) in which each sample was due, those of a further run beyond."""
        block = self.of(evidence.due_us, speed=evidence.dial("speed", 1))
        return self._apart(evidence, block)

    def of_capture(self, evidence: Evidence) -> npt.NDArray[np.int16]:
        """The same by when 1.0 was asked: of a workload that began again, blocks of one loop.

        There are no more of these than of the run's.
        """
        if evidence.period_us is None:
            return self.of_runs(evidence)
        speed = evidence.dial("speed", 1)
        loop = self.of_loop(evidence.period_us * speed)
        block = loop.of(evidence.due_us, speed=speed, period_us=evidence.period_us)
        return self._apart(evidence, block)

    def of_loop(self, length_us: float) -> Blocks:
        """Blocks of a loop of so much capture time."""
        number = min(self.number, _number_of(length_us))
        return Blocks(
            number=number, length_us=length_us / number, warning=_short(length_us, number)
        )

    def _apart(self, evidence: Evidence, block: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        return block + evidence.run_code * np.int16(self.number) if evidence.parts else block


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Latencies of one side: `values_us`, `template`, `block` (0..runs*blocks-1), all of length n.

    Blocks of the first run come first, then those of the second. `template` is the code of another
    label where the arms were built by one. `ordered` says that `values_us` ascends. `folded` (n)
    are blocks of capture time where those of the run are not the same, see `Blocks.of_capture`.
    """

    name: str
    blocks: int
    values_us: Int64s
    template: npt.NDArray[np.int32]
    block: npt.NDArray[np.int16]
    ordered: bool = False
    runs: int = 1
    folded: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.values_us)

    @property
    def capture_block(self) -> npt.NDArray[np.int16]:
        """The block of capture time (n), 0..blocks-1, whichever the run."""
        return self._paired if self.runs == 1 else self._paired % np.int16(self.blocks)

    @property
    def _paired(self) -> npt.NDArray[np.int16]:
        return self.block if self.folded is None else self.folded

    @cached_property
    def by_run(self) -> list[Int64s]:
        """The latencies of each run, ascending."""
        if self.runs == 1:
            return [self.ordered_us]
        code = self.block // np.int16(self.blocks)
        return [ascending(chosen_of(self.values_us, code == run)) for run in range(self.runs)]

    def logs_by_run(self, p: float) -> Floats:
        """log Q_p of each run (runs), of those that have samples."""
        return np.log([max(1, quantile(run, p)) for run in self.by_run if len(run)])

    @cached_property
    def ordered_us(self) -> Int64s:
        """All latencies, ascending."""
        return self.values_us if self.ordered else ascending(self.values_us)

    @cached_property
    def counts(self) -> BlockCounts:
        """The latencies counted by block."""
        return count_by_block(self.values_us, self.capture_block, self.blocks)

    @cached_property
    def _by_template(self) -> tuple[Int64s, npt.NDArray[np.int16], Int64s]:
        """Latencies and blocks in order of template, then of latency; where each begins."""
        number = int(self.template.max(initial=0)) + 1
        everything = np.broadcast_to(np.True_, len(self))
        sizes = count_codes(self.template, everything, number=number)
        starts = np.append(0, np.cumsum(sizes))
        low = int(self.values_us.min(initial=0))
        width = (int(self.values_us.max(initial=0)) - low).bit_length()
        for_block = (self.runs * self.blocks).bit_length()
        if len(starts).bit_length() + width + for_block > 63:
            order = np.lexsort((self.values_us, self.template))
            return self.values_us[order], self._paired[order], starts
        # All three in one number each, because numpy sorts numbers far faster than positions.
        packed = column(len(self), np.int64)
        for part in slices(len(self)):
            piece = self.template[part].astype(np.int64) << width
            piece |= self.values_us[part] - low
            packed[part] = piece << for_block | self._paired[part]
        packed.sort()
        block = column(len(self), self.block.dtype)
        # The latencies take the place of what they were packed in, front to back: memory that was
        # never touched is dear, above all on a virtual machine.
        values_us = packed.view(self.values_us.dtype)[: len(self)]
        for part in slices(len(self)):
            piece = packed[part]
            block[part] = piece & ((1 << for_block) - 1)
            values_us[part] = ((piece >> for_block) & ((1 << width) - 1)) + low
        return values_us, block, starts

    def medians_us(self, number: int) -> Floats:
        """The median of each of so many templates (number), NaN where it has no sample."""
        values_us, _, starts = self._by_template
        found = np.full(number, np.nan)
        for code, (start, stop) in enumerate(pairwise(starts.tolist())):
            if stop > start:
                found[code] = quantile(values_us[start:stop], 0.5)
        return found

    def of_template(self, code: int) -> Arm:
        """The same arm over the samples of one template, in order of latency."""
        values_us, block, starts = self._by_template
        part = slice(*starts[code : code + 2]) if code + 1 < len(starts) else slice(0)
        return Arm(
            name=self.name,
            blocks=self.blocks,
            runs=self.runs,
            values_us=values_us[part],
            template=np.full(len(block[part]), code, dtype=np.int32),
            block=block[part],
            ordered=True,
        )

    def only(self, chosen: Bools) -> Arm:
        """The same arm over some of its samples."""
        # No copy where all are: a column may weigh 80 MB.
        if chosen.all():
            return self
        names = ("values_us", "template", "block", "folded")
        columns = ((name, getattr(self, name)) for name in names)
        some: dict[str, Any] = {
            name: chosen_of(each, chosen) for name, each in columns if each is not None
        }
        return replace(self, **some)


@dataclass(frozen=True, kw_only=True)
class Arms:
    """Response times of both sides; `baseline` is empty when 1.0 left no durations.

    `candidate` is over the samples that compare with the baseline, `candidate_all` over all but
    the `warmed_up`, a number of samples left out as warm-up.
    """

    blocks: Blocks
    baseline: Arm
    candidate: Arm
    candidate_all: Arm
    warmed_up: int = 0

    @property
    def captured(self) -> bool:
        """True when the baseline is 1.0's production timings rather than a run."""
        return self.baseline.name == CAPTURED


def cut_blocks(evidence: Evidence) -> Blocks:
    """Cut the timetable into blocks of 60 s capture time, at least 30 and at most 480 of them.

    Below 30 blocks a bootstrap over them says little.
    """
    length = evidence.length_us * evidence.dial("speed", 1)
    number = _number_of(length)
    return Blocks(number=number, length_us=length / number, warning=_short(length, number))


def _number_of(length_us: float) -> int:
    return int(min(480, max(30, length_us / 60e6)))


def _short(length_us: float, number: int) -> str | None:
    if length_us / number >= 10e6:
        return None
    return (
        f"the timetable is short ({length_us / 1e6:.0f} s): blocks of "
        f"{length_us / number / 1e6:.1f} s may be shorter than a burst of load, and intervals "
        "then too narrow"
    )


def build_arms(
    candidate: Evidence,
    baseline: Evidence | None,
    *,
    service: bool = False,
    where: Where = EVERYWHERE,
    label: str = "template",
    warm_up_us: int = 0,
) -> Arms:
    """Both arms of the response time, or of the `service` time, over the samples in `where`.

    A timeout counts with the time it had lasted: leaving it out would make its arm look faster.
    Errors do not count. Against `captured`, a statement that 1.0 failed is left out, and so is
    one without a duration in the log. 1.0 answered each captured statement once, however many
    copies of it were replayed, so its arm holds the originals of the first run alone. Where the
    workload began again, all loops share its blocks.

    What was due in the candidate's first `warm_up_us` is left out of both arms, whatever the
    baseline's speed: the same statements. `label`, one of `LABELS`, must be known to both runs.
    """
    blocks = cut_blocks(candidate)
    cut_us = warm_up_us * candidate.dial("speed", 1)

    def timed(evidence: Evidence) -> tuple[Int64s, Bools, int]:
        values_us = evidence.service_us if service else evidence.response_us
        kept = _timed(evidence, values_us) & select(evidence, where)
        if not cut_us:
            return values_us, kept, 0
        warm = kept & (evidence.due_us * evidence.dial("speed", 1) >= cut_us)
        return values_us, warm, int(kept.sum() - warm.sum())

    values_us, kept, warmed_up = timed(candidate)
    labels = labels_of(candidate, label)
    assert labels is not None, label
    two = _arm(candidate, values_us, kept, blocks, labels)
    if baseline is not None:
        values_us, kept, _ = timed(baseline)
        codes = {word: code for code, word in enumerate(labels.words)}
        one = timed_arm(baseline, values_us, blocks, codes=codes, label=label, kept=kept)
        return Arms(
            blocks=blocks, baseline=one, candidate=two, candidate_all=two, warmed_up=warmed_up
        )
    comparable = (candidate.captured_us != MISSING) & ~candidate.failed_before
    once = kept & comparable & candidate.original
    if candidate.parts:
        once &= candidate.run_code == 0
    if candidate.period_us is not None:
        speed = candidate.dial("speed", 1)
        warning = blocks.warning or blocks.of_loop(candidate.period_us * speed).warning
        blocks = replace(blocks, warning=warning)
        two = replace(two, folded=blocks.of_capture(candidate)[kept])
    captured_us = chosen_of(candidate.captured_us, once)
    one = replace(two.only(once[kept]), name=CAPTURED, values_us=captured_us, runs=1)
    part = two.only(comparable[kept]) if len(one) else two
    everything = replace(two, folded=None) if two.folded is not None else two
    return Arms(
        blocks=blocks, baseline=one, candidate=part, candidate_all=everything, warmed_up=warmed_up
    )


def timed_arm(
    evidence: Evidence,
    values_us: Int64s,
    blocks: Blocks,
    *,
    codes: Mapping[Any, int],
    label: str = "template",
    kept: Bools | None = None,
) -> Arm:
    """A run's latencies `values_us` (n, `MISSING` for none), its templates numbered by `codes`.

    Templates, or other labels, that `codes` does not know get numbers beyond.
    """
    kept = _timed(evidence, values_us) if kept is None else kept
    labels = labels_of(evidence, label)
    assert labels is not None, label
    arm = _arm(evidence, values_us, kept, blocks, labels)
    known = dict(codes)
    shared = [known.setdefault(word, len(known)) for word in labels.words]
    return replace(arm, template=np.array(shared, dtype=np.int32)[arm.template])


def _timed(evidence: Evidence, values_us: Int64s) -> Bools:
    timed: Bools = (
        evidence.is_status("ok", "timeout") & evidence.asks_data() & (values_us != MISSING)
    )
    return timed


def _arm(evidence: Evidence, values_us: Int64s, kept: Bools, blocks: Blocks, labels: Labels) -> Arm:
    return Arm(
        name=evidence.run.run_id,
        blocks=blocks.number,
        runs=len(evidence.runs),
        values_us=values_us,
        template=labels.code,
        block=blocks.of_runs(evidence),
    ).only(kept)
