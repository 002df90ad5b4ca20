"""Baseline against candidate: overall, per template, throughput.

Points are exact; intervals come from one paired bootstrap whose weights every measure shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.arms import Arm, Arms, Blocks
from reports.load import MISSING, Evidence, Template
from reports.stats.bootstrap import (
    Resampled,
    block_weights,
    resample_quantile_ratios,
    resample_share_ratio,
    summarise,
)
from reports.stats.estimate import Estimate, Floats, Int64s, Word, word_for
from reports.stats.quantiles import PRINT_TAIL, estimate_quantile, printable, quantile, samples_for
from reports.stats.window import resampled_logs

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The quantiles of the headline, by the name gates and pages use."""

TEMPLATE_QUANTILES = {"p50": 0.50, "p95": 0.95}
"""Fewer per template: a template rarely has the samples for more."""

TEMPLATE_RESAMPLES = 1000
TEMPLATE_BLOCKS = 60
TEMPLATE_BIN_WIDTH = 0.005
"""Bins of a template, in log(latency): its interval is wider than that by far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an interval is made with: the `[decision]` section of the gates.

    What is due in the first `warm_up_us` of the run counts in no latency. `tag` is the key whose
    value in a statement's comments names what asked, such as a report.
    """

    confidence: float = 0.95
    resamples: int = 4000
    seed: int = 20240501
    warm_up_us: int = 0
    tag: str | None = None

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
        self.template_weights = block_weights(
            -(-blocks.number // self.merged),
            resamples=min(decision.resamples, TEMPLATE_RESAMPLES),
            generator=generator,
        ).T.astype(np.float32)

    def ratios(
        self, one: Arm, two: Arm, probabilities: Sequence[float], *, coarse: bool
    ) -> list[Resampled]:
        """`resample_quantile_ratios`; coarse for templates, of which there may be ten thousand."""
        if not coarse:
            return resample_quantile_ratios(
                one.counts, two.counts, probabilities,
                weights=self.weights, confidence=self.confidence,
            )  # fmt: skip
        logs, held = [], []
        for arm in (one, two):
            block = arm.block // self.merged
            held.append(np.bincount(block, minlength=len(self.template_weights)) > 0)
            logs.append(
                resampled_logs(
                    arm.ordered_us, block, probabilities,
                    weights=self.template_weights, bin_width=TEMPLATE_BIN_WIDTH,
                )
            )  # fmt: skip
        blocks = int((held[0] & held[1]).sum())
        return [
            summarise(column, blocks=blocks, confidence=self.confidence)
            for column in (logs[1] - logs[0]).T
        ]

    def ratio(self, value: float, drawn: Resampled, *, n: int) -> Estimate:
        """A ratio with its interval, which too few blocks cannot give."""
        interval, warning = drawn.interval, self.blocks.warning
        if interval is None:
            warning = f"samples in only {drawn.blocks} time blocks"
        else:
            # Bins are 0.2 % wide: the point, which is exact, may lie a hair outside.
            interval = (min(interval[0], value), max(interval[1], value))
        warnings = (warning,) if warning else ()
        return Estimate(value=value, interval=interval, n=n, warnings=warnings)


def compare_quantiles(
    one: Arm, two: Arm, resampler: Resampler, quantiles: Mapping[str, float], *, coarse: bool
) -> dict[str, Line]:
    """One line per quantile, baseline `one` to candidate `two`; a ratio where both can be shown."""
    n = min(len(one), len(two))
    able = {stat: p for stat, p in quantiles.items() if n >= samples_for(p, PRINT_TAIL)}
    drawn: dict[str, Resampled] = {}
    if able:
        ratios = resampler.ratios(one, two, list(able.values()), coarse=coarse)
        drawn = dict(zip(able, ratios, strict=True))
    lines = {}
    for stat, p in quantiles.items():
        below, above = (
            estimate_quantile(arm.ordered_us, p, confidence=resampler.confidence)
            for arm in (one, two)
        )
        if below.value is None or above.value is None:
            why = (printable(n, p) or "") if len(one) else "no baseline"
            ratio, log_error = Estimate(value=None, n=n, warnings=(why,)), None
        else:
            # A latency below one microsecond is one microsecond to the clock.
            value = max(above.value, 1.0) / max(below.value, 1.0)
            ratio, log_error = resampler.ratio(value, drawn[stat], n=n), drawn[stat].log_error
        lines[stat] = Line(
            stat=stat, unit="us", baseline=below, candidate=above, ratio=ratio, log_error=log_error
        )
    return lines


def compare_templates(
    evidence: Evidence, arms: Arms, resampler: Resampler, *, new_errors: Int64s
) -> tuple[TemplateLine, ...]:
    """One line per template of the run, largest impact first, then most executions."""
    replayed = ~evidence.is_status("skipped") & evidence.asks_data()
    executions = np.bincount(evidence.template[replayed], minlength=len(evidence.templates))
    found = []
    for code in np.flatnonzero(executions).tolist():
        number = int(executions[code])
        one, two = arms.baseline.of_template(code), arms.candidate.of_template(code)
        found.append(
            TemplateLine(
                template=evidence.templates[code],
                executions=number,
                share=number / int(executions.sum()),
                lines=compare_quantiles(one, two, resampler, TEMPLATE_QUANTILES, coarse=True),
                impact_s=impact_of(one, two, number),
                new_errors=int(new_errors[code]),
            )
        )
    found.sort(key=lambda t: (-abs(t.impact_s or 0), -t.executions, t.template.template_id))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """Statements asked for and answered, by the block they were due in, within `seconds`."""

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
    two = _rate(evidence, resampler.blocks)
    one = _rate(baseline or evidence, resampler.blocks, captured=baseline is None)
    ratio, load = Estimate(value=None, n=0, warnings=("no answers",)), 1.0
    if one.answered.any() and two.answered.any():
        load = (two.asked.sum() / two.seconds) / (one.asked.sum() / one.seconds)
        shares = [arm.answered.sum() / arm.asked.sum() for arm in (one, two)]
        drawn = resample_share_ratio(
            (one.answered, one.asked), (two.answered, two.asked),
            weights=resampler.weights, confidence=resampler.confidence,
        )  # fmt: skip
        n = int(min(one.answered.sum(), two.answered.sum()))
        ratio = resampler.ratio(float(shares[1] / shares[0]), drawn, n=n)
    return Line(
        stat="throughput", unit="per_s",
        baseline=one.estimate(), candidate=two.estimate(), ratio=ratio, load=float(load),
    )  # fmt: skip


def _rate(evidence: Evidence, blocks: Blocks, *, captured: bool = False) -> _Rate:
    """As measured; or `captured`, of the originals at their own pace in the logged durations."""
    speed, due_us = evidence.dial("speed", 1), evidence.due_us
    asked = ~evidence.is_status("skipped") & (due_us != MISSING)
    answered, took_us, pace, share = evidence.is_status("ok"), evidence.response_us, 1.0, 1.0
    if captured:
        asked &= evidence.original
        answered, took_us, pace = ~evidence.failed_before, evidence.captured_us, speed
        # Below scale 1 the originals are a sample of the sessions.
        share = min(1.0, evidence.dial("scale", 1))
    end_us = evidence.length_us * pace
    good = asked & answered & (took_us != MISSING) & (due_us * pace + took_us < end_us)
    block = blocks.of(due_us, speed=speed)
    counts = [
        np.bincount(block[chosen], minlength=blocks.number).astype(float)
        for chosen in (good, asked)
    ]
    return _Rate(answered=counts[0], asked=counts[1], seconds=end_us / 1e6 * share)
