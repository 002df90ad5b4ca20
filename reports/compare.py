"""Baseline against candidate: overall, per template, throughput.

Points are exact; intervals come from one paired bootstrap whose weights every measure shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.arms import Arm, Arms, Blocks
from reports.load import Evidence, Template
from reports.samples import MISSING
from reports.stats.bootstrap import (
    Resampled,
    block_weights,
    resample_quantile_ratios,
    resample_share_ratio,
    summarise,
)
from reports.stats.estimate import Estimate, Floats, Int64s, Word, word_for
from reports.stats.quantiles import PRINT_TAIL, estimate_quantile, printable, quantile, samples_for
from reports.stats.runs import widen
from reports.stats.scores import Sample, log_ratios, normal_draws
from reports.stats.slices import count_codes, slices

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The quantiles of the headline, by the name gates and pages use."""

TEMPLATE_QUANTILES = {"p50": 0.50, "p95": 0.95}
"""Fewer per template: a template rarely has the samples for more."""

TEMPLATE_BLOCKS = 60

_AT_ONCE = 256
"""Templates whose scores are looked at together: few megabytes, and few calls of numpy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an interval is made with: the `[decision]` section of the gates.

    What is due in the first `warm_up_us` of the run counts in no latency. `tag` is the key whose
    value in a statement's comments names what asked, such as a report. Fewer than `min_runs` runs
    a side are warned of.
    """

    confidence: float = 0.95
    resamples: int = 4000
    seed: int = 20240501
    warm_up_us: int = 0
    tag: str | None = None
    min_runs: int = 3

    @property
    def two_sided(self) -> float:
        """Confidence of the printed interval: each of its ends is one-sided `confidence`."""
        return 2 * self.confidence - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One statistic of both arms and their ratio; `unit` is `us` or `per_s`.

    `load` is how many times the baseline's load the candidate was asked for; the ratio of a rate
    is to that load.
    """

    stat: str
    unit: str
    baseline: Estimate
    candidate: Estimate
    ratio: Estimate
    log_error: float | None = None
    freedom: float = math.inf
    load: float = 1.0

    @property
    def word(self) -> Word:
        """What the ratio's interval says; for a rate, more is better."""
        return word_for(self.ratio, less_is_better=self.unit == "us")

    @property
    def bounds(self) -> list[float | None] | None:
        """The interval of the ratio as JSON has it."""
        return None if self.ratio.interval is None else list(self.ratio.interval)

    def as_json(self) -> dict[str, Any]:
        """A template's or a user's statistic in verdict.json."""
        return {
            "baseline_us": self.baseline.value,
            "candidate_us": self.candidate.value,
            "ratio": self.ratio.value,
            "interval": self.bounds,
            "word": str(self.word),
        }


def word_of(lines: Mapping[str, Line]) -> Word:
    """One word for both of `TEMPLATE_QUANTILES`: that of p95, where it has one."""
    p95 = lines["p95"].word
    return lines["p50"].word if p95 is Word.CANNOT_TELL else p95


def impact_of(one: Arm, two: Arm, executions: int) -> float | None:
    """Executions times the difference of medians, in seconds; None without both medians."""
    if not (len(one) and len(two)):
        return None
    medians = [quantile(arm.ordered_us, 0.5) for arm in (one, two)]
    return executions * (medians[1] - medians[0]) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLine:
    """One template: its lines by stat, and what it adds to the whole run.

    `executions` counts its statements in the run; `impact_s` is executions times the difference
    of medians, in seconds of waiting, None without both medians.
    """

    template: Template
    executions: int
    share: float
    lines: Mapping[str, Line]
    impact_s: float | None
    new_errors: int


class Resampler:
    """The block weights of one comparison, drawn once from the seed and shared by every line."""

    def __init__(self, decision: Decision, blocks: Blocks) -> None:
        generator = np.random.default_rng(decision.seed)
        self.weights = block_weights(
            blocks.number, resamples=decision.resamples, generator=generator
        )
        self.confidence = decision.two_sided
        self.blocks = blocks

        # Whole blocks are merged for templates: few enough for speed, enough for an interval.
        self.merged = -(-blocks.number // TEMPLATE_BLOCKS)
        self.merged_blocks = -(-blocks.number // self.merged)
        self.draws = normal_draws()

    def ratios(self, one: Arm, two: Arm, probabilities: Sequence[float]) -> list[Resampled]:
        """`resample_quantile_ratios`."""
        return resample_quantile_ratios(
            one.counts, two.counts, probabilities,
            weights=self.weights, confidence=self.confidence,
        )  # fmt: skip

    def coarse_ratios(
        self, pairs: Sequence[tuple[Arm, Arm]], able: Sequence[Sequence[float]]
    ) -> list[list[Resampled]]:
        """The same of many pairs by `log_ratios`, for each those quantiles that it is `able` to."""
        one, two = (
            [
                Sample.of(arm.ordered_us, arm.capture_block // self.merged, self.merged_blocks)
                for arm in arms
            ]
            for arms in zip(*pairs, strict=True)
        )
        held = ((old.held > 0) & (new.held > 0) for old, new in zip(one, two, strict=True))
        shared = np.array([np.count_nonzero(both) for both in held])
        found: list[list[Resampled]] = [[] for _ in pairs]
        for p in sorted({p for each in able for p in each}):
            rows = [row for row, probabilities in enumerate(able) if p in probabilities]
            before, after = ([arm[row] for row in rows] for arm in (one, two))
            ratios = summarise(
                log_ratios(before, after, p, draws=self.draws),
                blocks=shared[rows],
                confidence=self.confidence,
            )
            for row, ratio in zip(rows, ratios, strict=True):
                found[row].append(ratio)
        return found

    def ratio(self, value: float, drawn: Resampled, *, n: int) -> Estimate:
        """A ratio with its interval, which too few blocks cannot give."""
        interval, warning = drawn.interval, self.blocks.warning
        if interval is None:
            warning = f"samples in only {drawn.blocks} time blocks"
        else:
            # Bins are 0.2 % wide: the point, which is exact, may lie a hair outside. Of several
            # runs it is that of all samples together, the interval is around the mean of runs.
            interval = (min(interval[0], value), max(interval[1], value))
        warnings = (warning,) if warning else ()
        return Estimate(value=value, interval=interval, n=n, warnings=warnings)


def compare_quantiles(
    one: Arm, two: Arm, resampler: Resampler, quantiles: Mapping[str, float]
) -> dict[str, Line]:
    """One line per quantile, baseline `one` to candidate `two`; a ratio where both can be shown."""
    able = _able(one, two, quantiles)
    return _lines(one, two, resampler, quantiles, resampler.ratios(one, two, able) if able else [])


def compare_each(
    one: Arm, two: Arm, codes: Sequence[int], resampler: Resampler
) -> Iterator[tuple[Arm, Arm, dict[str, Line]]]:
    """Both arms of each template or other label, and the lines of `TEMPLATE_QUANTILES`.

    For ten thousand templates: faster than `compare_quantiles` of each.
    """
    for start in range(0, len(codes), _AT_ONCE):
        pairs = [
            (one.of_template(code), two.of_template(code))
            for code in codes[start : start + _AT_ONCE]
        ]
        able = [_able(*pair, TEMPLATE_QUANTILES) for pair in pairs]
        drawn = resampler.coarse_ratios(pairs, able)
        for pair, ratios in zip(pairs, drawn, strict=True):
            yield *pair, _lines(*pair, resampler, TEMPLATE_QUANTILES, ratios)


def _able(one: Arm, two: Arm, quantiles: Mapping[str, float]) -> list[float]:
    n = min(len(one), len(two))
    return [p for p in quantiles.values() if n >= samples_for(p, PRINT_TAIL)]


def _lines(
    one: Arm, two: Arm, resampler: Resampler, quantiles: Mapping[str, float],
    ratios: Sequence[Resampled],
) -> dict[str, Line]:  # fmt: skip
    """Lines from the `ratios` of those quantiles that both arms can show."""
    n, lines, drawn = min(len(one), len(two)), {}, iter(ratios)
    for stat, p in quantiles.items():
        below, above = (
            estimate_quantile(arm.ordered_us, p, confidence=resampler.confidence)
            for arm in (one, two)
        )
        if below.value is None or above.value is None:
            why = (printable(n, p) or "") if len(one) else "no baseline"
            ratio, log_error, freedom = Estimate(value=None, n=n, warnings=(why,)), None, math.inf
        else:
            # A latency below one microsecond is one microsecond to the clock.
            value = max(above.value, 1.0) / max(below.value, 1.0)
            resampled = next(drawn)
            if max(one.runs, two.runs) > 1:
                by_run = (arm.logs_by_run(p) for arm in (one, two))
                resampled = widen(resampled, *by_run, confidence=resampler.confidence)
            ratio = resampler.ratio(value, resampled, n=n)
            log_error, freedom = resampled.log_error, resampled.freedom
        lines[stat] = Line(
            stat=stat, unit="us", baseline=below, candidate=above, ratio=ratio,
            log_error=log_error, freedom=freedom,
        )  # fmt: skip
    return lines


def compare_templates(
    evidence: Evidence, arms: Arms, resampler: Resampler, *, new_errors: Int64s
) -> tuple[TemplateLine, ...]:
    """One line per template of the run, largest impact first, then most executions."""
    replayed = ~evidence.is_status("skipped") & evidence.asks_data()
    executions = count_codes(evidence.template, replayed, number=len(evidence.templates))
    total, found = int(executions.sum()), []
    codes = np.flatnonzero(executions).tolist()
    for code, (one, two, lines) in zip(
        codes, compare_each(arms.baseline, arms.candidate, codes, resampler), strict=True
    ):
        asked = int(executions[code])
        found.append(
            TemplateLine(
                template=evidence.templates[code],
                executions=asked,
                share=asked / total,
                lines=lines,
                impact_s=impact_of(one, two, asked),
                new_errors=int(new_errors[code]),
            )
        )
    found.sort(key=lambda t: (-abs(t.impact_s or 0), -t.executions, t.template.template_id))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """Statements asked for and answered (runs, blocks), within so many `seconds` in all."""

    answered: Floats
    asked: Floats
    seconds: float

    def estimate(self) -> Estimate:
        number = int(self.answered.sum())
        return Estimate(value=number / self.seconds, n=number)


def compare_throughput(evidence: Evidence, baseline: Evidence | None, resampler: Resampler) -> Line:
    """Statements answered a second, within the timetable, 1.0's at its own pace.

    What `--scale` and `--speed` add is load, not merit of 2.0: asked for twice the load and
    answering twice as much, its ratio is 1. So the ratio is that of the answered shares of what
    each arm was asked. The load is counted in statements, because a share of the sessions need
    not hold that share of them.
    """
    two = _rate(evidence, resampler.blocks, folded=baseline is None)
    if baseline is None:
        one = _rate(evidence, resampler.blocks, folded=True, captured=True)
    else:
        one = _rate(baseline, resampler.blocks)
    ratio, load = Estimate(value=None, n=0, warnings=("no answers",)), 1.0
    if one.answered.any() and two.answered.any():
        load = (two.asked.sum() / two.seconds) / (one.asked.sum() / one.seconds)
        shares = [arm.answered.sum() / arm.asked.sum() for arm in (one, two)]
        drawn = resample_share_ratio(
            *((arm.answered.sum(axis=0), arm.asked.sum(axis=0)) for arm in (one, two)),
            weights=resampler.weights, confidence=resampler.confidence,
        )  # fmt: skip
        by_run = (np.log(arm.answered.sum(axis=1) / arm.asked.sum(axis=1)) for arm in (one, two))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = widen(drawn, *by_run, confidence=resampler.confidence)
        n = int(min(one.answered.sum(), two.answered.sum()))
        ratio = resampler.ratio(float(shares[1] / shares[0]), drawn, n=n)
    return Line(
        stat="throughput", unit="per_s",
        baseline=one.estimate(), candidate=two.estimate(), ratio=ratio, load=float(load),
    )  # fmt: skip


def _rate(
    evidence: Evidence, blocks: Blocks, *, folded: bool = False, captured: bool = False
) -> _Rate:
    """As measured; or `captured`, of the originals at their own pace in the logged durations.

    `folded` counts by blocks of capture time.
    """
    speed, due_us = evidence.dial("speed", 1), evidence.due_us
    asked = ~evidence.is_status("skipped") & (due_us != MISSING)
    answered, took_us, pace = evidence.is_status("ok"), evidence.response_us, 1.0
    share: float = len(evidence.runs)
    if captured:
        asked &= evidence.original
        if evidence.parts:
            asked &= evidence.run_code == 0
        answered, took_us, pace = ~evidence.failed_before, evidence.captured_us, speed
        # Below scale 1 the originals are a sample of the sessions.
        share = min(1.0, evidence.dial("scale", 1))
    end_us = ((captured and evidence.period_us) or evidence.length_us) * pace
    good = asked & answered & (took_us != MISSING)
    for part in slices(len(good)):
        good[part] &= due_us[part] * pace + took_us[part] < end_us
    block = blocks.of_capture(evidence) if folded else blocks.of_runs(evidence)
    runs = 1 if captured else len(evidence.runs)
    counts = [
        count_codes(block, chosen, number=runs * blocks.number).reshape(runs, -1).astype(float)
        for chosen in (good, asked)
    ]
    return _Rate(answered=counts[0], asked=counts[1], seconds=end_us / 1e6 * share)
