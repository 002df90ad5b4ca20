"""A gate over every template: slower by ratio and by harm, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import format as fmt
from reports.case import Case
from reports.compare import Line, TemplateLine, compare_template
from reports.gates import Gate, Waiver
from reports.judge.latency import cap_captured, floor_of, measure_of
from reports.judge.result import GateResult, Outcome, result_of
from reports.stats.family import adjust, p_over_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """A template with enough samples: its line, and whether its interval clears or accuses it."""

    template: TemplateLine
    line: Line
    ratio: float
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
    limit = gate.max_ratio or 1.0
    arms = case.arms(measure_of(gate))
    lifted = {waiver.template for waiver in waivers if waiver.template}
    chosen = [t for t in case.templates if _wanted(gate, t) and t.template_id not in lifted]
    if arms.baseline is None:
        return result_of(
            gate, Outcome.INCONCLUSIVE, "1.0 left no durations to compare with",
            unit="ratio", limit=limit, n=0,
        )  # fmt: skip
    tested = [found for t in chosen if (found := _test(case, gate, t)) is not None]
    adjusted = adjust([found.p_value for found in tested], gate.correction)
    slower = [
        found
        for found, p in zip(tested, adjusted, strict=True)
        if p <= gate.q and found.harm_us >= gate.min_harm_us
    ]
    total = sum(t.executions for t in chosen)
    cleared = sum(found.template.executions for found in tested if found.clear)
    accused = sum(found.template.executions for found in slower)
    unevaluated = 1 - (cleared + accused) / total if total else 1.0
    outcome, reason = _outcome(gate, tested, slower, chosen, unevaluated)
    outcome, reason = cap_captured(gate, outcome, reason, captured=arms.captured)
    worst = max(slower or tested, key=lambda found: found.ratio, default=None)
    return result_of(
        gate, outcome, reason,
        unit="ratio", limit=limit, n=total,
        observed=None if worst is None else worst.ratio,
        interval=None if worst is None else worst.line.ratio.interval,
        templates=tuple(
            found.template.template_id for found in sorted(slower, key=lambda f: -f.ratio)
        ),
    )  # fmt: skip


def _wanted(gate: Gate, template: TemplateLine) -> bool:
    return (
        template.kind == gate.where.get("kind", template.kind)
        and template.template_id == gate.where.get("template", template.template_id)
    )  # fmt: skip


def _test(case: Case, gate: Gate, template: TemplateLine) -> _Tested | None:
    stat, limit = gate.stat or "p50", gate.max_ratio or 1.0
    if measure_of(gate) == "response":
        line = template.lines[stat]
    else:
        line = compare_template(template.code, case.arms(measure_of(gate)), case.resampler)[stat]
    ratio, error = line.ratio, line.log_error
    if ratio.n < floor_of(gate) or ratio.value is None or ratio.interval is None or error is None:
        return None
    one, two = line.baseline.value or 0.0, line.candidate.value or 0.0
    high = ratio.interval[1]
    clear = high is not None and (high <= limit or one * (high - 1) <= gate.min_harm_us)
    return _Tested(
        template=template,
        line=line,
        ratio=ratio.value,
        harm_us=two - one,
        p_value=p_over_margin(ratio=ratio.value, log_error=error, margin=limit),
        clear=clear,
    )


def _outcome(
    gate: Gate,
    tested: list[_Tested],
    slower: list[_Tested],
    chosen: list[TemplateLine],
    unevaluated: float,
) -> tuple[Outcome, str]:
    scope = f"{len(tested)} of {fmt.plural(len(chosen), 'template')} evaluated"
    if slower:
        worst = max(slower, key=lambda found: found.ratio)
        reason = (
            f"{fmt.plural(len(slower), 'template')} slower: worst {worst.template.template_id}, "
            f"{gate.stat} {fmt.ratio(worst.ratio)} {fmt.interval(worst.line.ratio.interval)}, "
            f"{fmt.duration(worst.harm_us)} more (limit {fmt.ratio(gate.max_ratio)} and "
            f"{fmt.duration(gate.min_harm_us)}); {scope}"
        )
        return Outcome.FAIL, reason
    open_share = (
        f"{scope}; {fmt.share(unevaluated)} of executions undecided, "
        f"at most {fmt.share(gate.max_unevaluated_share)} allowed"
    )
    if not tested or unevaluated > gate.max_unevaluated_share:
        return Outcome.INCONCLUSIVE, f"no template shown slower, but {open_share}"
    return Outcome.PASS, f"no template slower; {open_share}"
