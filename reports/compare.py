"""Baseline against candidate: overall, per template, throughput.

Points are exact; intervals come from one paired bootstrap whose weights every measure shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.arms import MIN_BLOCKS, Arm, Arms, Blocks
from reports.load import Evidence
from reports.stats.blocks import BlockCounts, count_by_block
from reports.stats.bootstrap import (
    METHOD,
    Resampled,
    block_weights,
    resample_mean_ratio,
    resample_quantile_ratios,
)
from reports.stats.estimate import Estimate, Int64s, Word, word_for
from reports.stats.needed import PRINT_TAIL, printable, samples_for
from reports.stats.quantiles import estimate_quantile, quantile

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The quantiles of the headline, by the name gates and pages use."""

TEMPLATE_QUANTILES = {"p50": 0.50, "p95": 0.95}
"""Fewer per template: a template rarely has the samples for more."""

TEMPLATE_RESAMPLES = 1000
TEMPLATE_BLOCKS = 60
TEMPLATE_BIN_WIDTH = 0.005
"""Bins of a template, in log(latency): its interval is wider than that by far."""


_Samples = tuple[Int64s, npt.NDArray[np.int16]]
"""Latencies of one template in one arm, and the block of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an interval is made with: the `[decision]` section of the gates."""

    confidence: float = 0.95
    block_us: int | None = None
    resamples: int = 4000
    seed: int = 20240501
    on_inconclusive: str = "fail"

    @property
    def two_sided(self) -> float:
        """Confidence of the printed interval: each of its ends is one-sided `confidence`."""
        return 2 * self.confidence - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One statistic of both arms and their ratio; `unit` is `us` or `per_s`."""

    stat: str
    unit: str
    baseline: Estimate
    candidate: Estimate
    ratio: Estimate
    log_error: float | None = None

    @property
    def word(self) -> Word:
        """What the ratio's interval says; for a rate, more is better."""
        word = word_for(self.ratio)
        if self.unit == "per_s" and word in (Word.IMPROVED, Word.WORSE):
            return Word.WORSE if word is Word.IMPROVED else Word.IMPROVED
        return word


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLine:
    """One template: its lines by stat, and what it adds to the whole workload.

    `executions` counts its statements in the run; `impact_s` is executions times the difference
    of medians, in seconds of waiting, None without both medians.
    """

    code: int
    template_id: str
    kind: str
    sql: str | None
    executions: int
    share: float
    lines: dict[str, Line]
    impact_s: float | None
    new_errors: int = 0


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
        self.template_blocks = -(-blocks.number // self.merged)
        self.template_weights = block_weights(
            self.template_blocks,
            resamples=min(decision.resamples, TEMPLATE_RESAMPLES),
            generator=generator,
        )

    def ratios(
        self, baseline: BlockCounts, candidate: BlockCounts, probabilities: Sequence[float]
    ) -> list[Resampled]:
        """See `resample_quantile_ratios`."""
        return resample_quantile_ratios(
            baseline,
            candidate,
            probabilities,
            weights=self.weights,
            confidence=self.confidence,
        )

    def template_ratios(
        self,
        baseline: _Samples,
        candidate: _Samples,
        probabilities: Sequence[float],
    ) -> list[Resampled]:
        """The same for (values, block) of one template, coarser: there may be ten thousand."""
        one, two = (
            count_by_block(
                values, block // self.merged, self.template_blocks, bin_width=TEMPLATE_BIN_WIDTH
            )
            for values, block in (baseline, candidate)
        )
        return resample_quantile_ratios(
            one, two, probabilities, weights=self.template_weights, confidence=self.confidence
        )


def compare_overall(arms: Arms, resampler: Resampler) -> tuple[Line, ...]:
    """Lines of p50 p90 p95 p99 p99.9 and the mean over all statements."""
    lines = list(compare_quantiles(arms, resampler, QUANTILES).values())
    lines.append(_compare_means(arms, resampler))
    return tuple(lines)


def compare_quantiles(
    arms: Arms, resampler: Resampler, quantiles: dict[str, float]
) -> dict[str, Line]:
    """One line per quantile; without a baseline the ratio is None."""
    candidate, baseline = arms.candidate, arms.baseline
    drawn: list[Resampled | None] = [None] * len(quantiles)
    if baseline is not None and len(candidate):
        drawn = list(
            resampler.ratios(
                baseline.counts,
                candidate.counts,
                list(quantiles.values()),
            )
        )
    empty = np.zeros(0, dtype=np.int64)
    return {
        stat: _line(
            stat,
            p,
            empty if baseline is None else baseline.ordered_us,
            candidate.ordered_us,
            resampled,
            resampler,
        )
        for (stat, p), resampled in zip(quantiles.items(), drawn, strict=True)
    }


def _line(
    stat: str,
    p: float,
    baseline: Int64s,
    candidate: Int64s,
    resampled: Resampled | None,
    resampler: Resampler,
) -> Line:
    confidence = resampler.confidence
    one = estimate_quantile(baseline, p, confidence=confidence)
    two = estimate_quantile(candidate, p, confidence=confidence)
    n = min(len(baseline), len(candidate))
    if one.value is None or two.value is None or resampled is None:
        why = printable(n, p) or "no baseline"
        ratio = Estimate(value=None, n=n, method=METHOD, warnings=(why,))
        return Line(stat=stat, unit="us", baseline=one, candidate=two, ratio=ratio)
    return Line(
        stat=stat,
        unit="us",
        baseline=one,
        candidate=two,
        ratio=_ratio(two.value, one.value, resampled, n=n, blocks=resampler.blocks),
        log_error=resampled.log_error,
    )


def _ratio(above: float, below: float, resampled: Resampled, *, n: int, blocks: Blocks) -> Estimate:
    # A latency below one microsecond is one microsecond to the clock.
    value = max(above, 1.0) / max(below, 1.0)
    warnings = [blocks.warning] if blocks.warning else []
    interval = resampled.interval
    if blocks.number < MIN_BLOCKS or interval is None:
        interval = None
        if blocks.number >= MIN_BLOCKS:
            warnings.append(f"samples in only {resampled.blocks} time blocks")
    else:
        # Bins are 0.2 % wide: the point, which is exact, may lie a hair outside.
        interval = (min(interval[0], value), max(interval[1], value))
    return Estimate(value=value, interval=interval, n=n, method=METHOD, warnings=tuple(warnings))


def _compare_means(arms: Arms, resampler: Resampler) -> Line:
    candidate, baseline = arms.candidate, arms.baseline
    two = _mean(candidate)
    if baseline is None or two.value is None or len(baseline) == 0:
        nothing = Estimate(value=None, n=0, method="mean", warnings=("no baseline",))
        return Line(stat="mean", unit="us", baseline=nothing, candidate=two, ratio=nothing)
    one = _mean(baseline)
    resampled = resample_mean_ratio(
        baseline.counts,
        candidate.counts,
        weights=resampler.weights,
        confidence=resampler.confidence,
    )
    n = min(len(baseline), len(candidate))
    ratio = _ratio(two.value, one.value or 1.0, resampled, n=n, blocks=arms.blocks)
    return Line(stat="mean", unit="us", baseline=one, candidate=two, ratio=ratio)


def _mean(arm: Arm) -> Estimate:
    value = float(arm.values_us.mean()) if len(arm) else None
    return Estimate(value=value, n=len(arm), method="mean")


def compare_templates(
    evidence: Evidence, arms: Arms, resampler: Resampler, *, new_errors: Int64s
) -> tuple[TemplateLine, ...]:
    """One line per template of the run, largest impact first, then most executions."""
    replayed = ~evidence.is_status("skipped") & evidence.asks_data()
    executions = np.bincount(evidence.template[replayed], minlength=len(evidence.templates))
    total = max(1, int(executions.sum()))
    lines = [
        _template_line(
            int(code),
            evidence,
            arms,
            resampler,
            executions=int(executions[code]),
            share=float(executions[code] / total),
            new_errors=int(new_errors[code]),
        )
        for code in np.flatnonzero(executions)
    ]
    return tuple(sorted(lines, key=lambda t: (-abs(t.impact_s or 0), -t.executions, t.template_id)))


def _template_line(
    code: int,
    evidence: Evidence,
    arms: Arms,
    resampler: Resampler,
    *,
    executions: int,
    share: float,
    new_errors: int,
) -> TemplateLine:
    template = evidence.templates[code]
    one, two = _samples(arms.baseline, code), _samples(arms.candidate, code)
    lines, ordered = _compare_samples(one, two, resampler, TEMPLATE_QUANTILES)
    impact = None
    if all(len(values) for values in ordered):
        medians = [quantile(values, 0.5) for values in ordered]
        impact = executions * (medians[1] - medians[0]) / 1e6
    return TemplateLine(
        code=int(code),
        template_id=template.template_id,
        kind=template.kind,
        sql=template.sql,
        executions=executions,
        share=share,
        lines=lines,
        impact_s=impact,
        new_errors=new_errors,
    )


def compare_template(code: int, arms: Arms, resampler: Resampler) -> dict[str, Line]:
    """Lines of one template; a ratio only where both arms can be printed."""
    one, two = _samples(arms.baseline, code), _samples(arms.candidate, code)
    return _compare_samples(one, two, resampler, TEMPLATE_QUANTILES)[0]


def _compare_samples(
    one: _Samples, two: _Samples, resampler: Resampler, quantiles: dict[str, float]
) -> tuple[dict[str, Line], tuple[Int64s, Int64s]]:
    """Lines by stat, and the latencies of both arms in ascending order."""
    n = min(len(one[0]), len(two[0]))
    able = {stat: p for stat, p in quantiles.items() if n >= samples_for(p, PRINT_TAIL)}
    drawn: dict[str, Resampled] = {}
    if able:
        ratios = resampler.template_ratios(one, two, list(able.values()))
        drawn = dict(zip(able, ratios, strict=True))
    ordered = np.sort(one[0]), np.sort(two[0])
    lines = {
        stat: _line(stat, p, *ordered, drawn.get(stat), resampler) for stat, p in quantiles.items()
    }
    return lines, ordered


def _samples(arm: Arm | None, code: int) -> _Samples:
    if arm is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int16)
    at = arm.of_template(code)
    return arm.values_us[at], arm.block[at]
