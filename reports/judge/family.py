"""A gate over every template: slower by ratio and by harm, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import format as fmt
from reports.case import Case
from reports.compare import TemplateLine
from reports.gates import Gate, Waiver
from reports.judge.latency import NO_DURATIONS, cap_captured, floor_of
from reports.judge.result import GateResult, Outcome, result_of
from reports.stats.estimate import Interval
from reports.stats.family import adjust, p_over_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """A template with enough samples, and whether its interval clears it."""

    line: TemplateLine
    ratio: float
    interval: Interval
    harm_us: float
    p_value: float
    clear: bool


def judge_templates(case: Case, gate: Gate, waivers: Sequence[Waiver]) -> GateResult:
    """Fail when a template is slower beyond both `max_ratio` and `min_harm`.

    Slower: the corrected p-value of "at most `max_ratio`" is at most `q`, and the difference of
    quantiles is at least `min_harm`. Clear: the interval's upper end keeps either bound. The rest,
    with the templates of too few samples, is not evaluated; beyond `max_unevaluated_share` of the
    executions the gate cannot pass.
    """
    if not len(case.arms.baseline):
        return result_of(gate, Outcome.INCONCLUSIVE, NO_DURATIONS, n=0)
    lifted = {waiver.template for waiver in waivers}
    chosen = [t for t in case.templates if t.template.template_id not in lifted]
    tested = [found for t in chosen if (found := _test(gate, t)) is not None]
    adjusted = adjust([found.p_value for found in tested], gate.correction)
    slower = [
        found
        for found, p in zip(tested, adjusted, strict=True)
        if p <= gate.q and found.harm_us >= gate.min_harm_us
    ]
    slower.sort(key=lambda found: -found.ratio)
    total = sum(t.executions for t in chosen)
    told = sum(f.line.executions for f in tested if f.clear or f in slower)
    outcome, reason = _outcome(
        gate, slower, (len(tested), len(chosen)), 1 - told / total if total else 1.0
    )
    correction = "Benjamini-Hochberg" if gate.correction == "bh" else "Holm"
    result = result_of(
        gate, outcome, reason, n=total, observed=len(slower) if tested else None,
        templates=tuple(found.line.template.template_id for found in slower),
        floor=floor_of(gate), confidence=case.decision.two_sided,
        method=f"each template by a paired bootstrap over time blocks; {correction} at {gate.q:g}",
    )  # fmt: skip
    return cap_captured(case, gate, result)


def _test(gate: Gate, template: TemplateLine) -> _Tested | None:
    line = template.lines[gate.stat or "p50"]
    ratio, error, limit = line.ratio, line.log_error, gate.limit
    if ratio.n < floor_of(gate) or ratio.value is None or ratio.interval is None or error is None:
        return None
    one, two = line.baseline.value or 0.0, line.candidate.value or 0.0
    high = ratio.interval[1]
    return _Tested(
        line=template,
        ratio=ratio.value,
        interval=ratio.interval,
        harm_us=two - one,
        p_value=p_over_margin(
            ratio=ratio.value, log_error=error, margin=limit, freedom=line.freedom
        ),
        clear=high is not None and (high <= limit or one * (high - 1) <= gate.min_harm_us),
    )


def _outcome(
    gate: Gate, slower: Sequence[_Tested], number: tuple[int, int], unevaluated: float
) -> tuple[Outcome, str]:
    tested, chosen = number
    scope = f"{tested} of {fmt.plural(chosen, 'template')} evaluated"
    if slower:
        worst, name = slower[0], slower[0].line.template.template_id
        return Outcome.FAIL, (
            f"{fmt.plural(len(slower), 'template')} slower: worst {name}, "
            f"{gate.stat} {fmt.ratio(worst.ratio)} {fmt.interval(worst.interval)}, "
            f"{fmt.duration(worst.harm_us)} more (limit {fmt.ratio(gate.limit)} and "
            f"{fmt.duration(gate.min_harm_us)}); {scope}"
        )
    open_share = (
        f"{scope}; {fmt.share(unevaluated)} of executions undecided, "
        f"at most {fmt.share(gate.max_unevaluated_share)} allowed"
    )
    if not tested or unevaluated > gate.max_unevaluated_share:
        return Outcome.INCONCLUSIVE, f"no template shown slower, but {open_share}"
    return Outcome.PASS, f"no template slower; {open_share}"
