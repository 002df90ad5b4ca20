"""From a run to its verdict and pages: the one entry of the report side.

Reads, judges, draws, and writes `verdict.json`, `report.html`, `summary.md` and `junit.xml`,
each whole or not at all.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from replay.artefact import write_json, write_text
from replay.errors import UsageError
from replay.run import Run
from reports import findings
from reports.case import Case, build_case
from reports.charts.cost import draw_cost
from reports.charts.drift import draw_drift
from reports.charts.over_time import draw_over_time
from reports.charts.percentile_curve import draw_percentile_curve
from reports.charts.split import draw_split
from reports.charts.style import figure_to_svg, write_figure
from reports.charts.templates import draw_templates
from reports.checksums import checksums
from reports.compare import QUANTILES
from reports.cost import estimate_cost
from reports.gates import Gates, load_gates
from reports.judge.judge import judge
from reports.metrics import Metric
from reports.pool import load_side, runs_in
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown
from reports.series import trace_curve, trace_over_time
from reports.verdict import Verdict, give_verdict


def write_report(
    *runs: Path,
    baseline: Path | Sequence[Path] | None = None,
    gates: Path | None = None,
    config: Path | None = None,
    force: bool = False,
    out: Path,
    forms: Sequence[str] = (),
) -> Verdict:
    """Judge `runs` of 2.0 and write verdict and pages into `out`, which is made if missing.

    `baseline` is one or more runs of the same workload on 1.0; None compares with the durations
    that 1.0's log gives. A directory of runs stands for all of them. `gates` None means the gates
    that ship. `config` is a fourstep.toml with `[cost]`. `force` goes on where the two sides
    replayed different workloads, and says so. Charts are also written as files of these `forms`
    into `out`/charts.

    Raises:
        UsageError: gates or config have problems, or the runs replayed different workloads.
        Unreadable: a run cannot be read.
    """
    dials = Run(runs_in(runs[0])[0]).document.get("dials") or {}
    rules = load_gates(gates, soak=bool(dials.get("roll_s")))
    tag = rules.decision.tag
    others = [baseline] if isinstance(baseline, Path) else baseline or ()
    other = load_side(others, tag=tag) if others else None
    candidate = load_side(runs, baseline=other, force=force, tag=tag)
    rules.refuse_expired(max(_day_of(run.document) for run in candidate.runs))
    cost = estimate_cost(candidate, config)
    case = build_case(candidate, other, decision=rules.decision, cost=cost)
    evidence = checksums(case.evidence, gates=gates, config=config)
    command = ["fourstep", "report", *map(str, runs)]
    named = [("--baseline", path) for path in others]
    for option, path in (*named, ("--gates", gates), ("--config", config)):
        command += [] if path is None else [option, str(path)]
    command += ["--force"] if force else []
    verdict = give_verdict(case, rules, judge(case, rules), evidence=evidence, command=command)
    drawn = draw_charts(case, rules, verdict.document)
    if out.exists() and not out.is_dir():
        raise UsageError(f"`{out}` is a file", hint="name a directory for -o")
    out.mkdir(parents=True, exist_ok=True)
    for form in forms:
        (out / "charts").mkdir(exist_ok=True)
        for name, (figure, _) in drawn.items():
            write_figure(figure, out / "charts" / f"{name}.{form}", name=name)
    charts = {
        name: figure_to_svg(figure, name=name, description=text)
        for name, (figure, text) in drawn.items()
    }
    # verdict.json last: whoever waits for it finds the pages there.
    write_text(out / "report.html", render_html(verdict.document, charts))
    write_text(out / "summary.md", render_markdown(verdict.document))
    write_text(out / "junit.xml", render_junit(verdict.document))
    write_json(out / "verdict.json", verdict.document)
    return verdict


def draw_charts(
    case: Case, rules: Gates, document: Mapping[str, Any]
) -> dict[str, tuple[Figure, str]]:
    """Charts with what they show: `curve`, `templates`, `split`, `time`, `cost`, where known."""
    drawn: dict[str, tuple[Figure | None, str]] = {}
    one, two = (
        trace_curve(arm, confidence=case.decision.two_sided)
        for arm in (case.arms.baseline, case.arms.candidate)
    )
    latencies = [gate for gate in rules.gates if gate.metric is Metric.LATENCY_RESPONSE]
    if two is not None:
        title = findings.of_curve(document)
        absolute = [gate for gate in latencies if not (gate.relative or gate.where)]
        limits = [(QUANTILES[gate.stat or "p50"], gate.limit) for gate in absolute]
        drawn["curve"] = draw_percentile_curve(one, two, limits=limits, title=title), title
    title = findings.of_templates(document)
    # The strictest, where several gates look at templates.
    margin = min((gate.limit for gate in latencies if gate.for_each), default=None)
    drawn["templates"] = draw_templates(document["templates"], margin=margin, title=title), title
    if case.server and case.server["split"]:
        title = findings.of_split(document)
        drawn["split"] = draw_split(case.server, title=title), title
    series = trace_over_time(case)
    if series is not None:
        title = findings.of_time(document)
        drawn["time"] = draw_over_time(series, title=title), title
    if case.drift:
        title = findings.of_drift(document)
        drawn["drift"] = draw_drift(case.drift, title=title), title
    title = findings.of_cost(document)
    drawn["cost"] = draw_cost(document["cost"], title=title), title
    return {name: (figure, text) for name, (figure, text) in drawn.items() if figure is not None}


def _day_of(document: Mapping[str, Any]) -> datetime.date:
    moment = str(document.get("ended_at") or document["started_at"])
    return datetime.datetime.fromisoformat(moment).date()
