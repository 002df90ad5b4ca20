"""What is in a workload or a run, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from replay.errors import Unreadable
from replay.run import Ledger, Run
from replay.workload import Workload

_CURVE_BINS = 60
_TOP_TEMPLATES = 10
_TEMPLATE_COLUMNS = "template_id kind statements total_duration_us p50_us p95_us sql".split()
_BARS = " ▁▂▃▄▅▆▇█"


def inspect(path: Path) -> dict[str, Any]:
    """Describe the workload or run at `path`.

    Raises:
        Unreadable: it is neither.
    """
    if (path / "run.json").is_file():
        return inspect_run(Run(path))
    if (path / "manifest.json").is_file():
        return inspect_workload(Workload(path))
    raise Unreadable(
        f"`{path}` is neither a workload nor a run",
        hint="a workload holds manifest.json, a run holds run.json",
    )


def inspect_workload(workload: Workload) -> dict[str, Any]:
    """The manifest's figures, the arrival curve, kinds, users and the templates with most time."""
    statements = workload.statements(["started_at", "kind", "user", "duration_us", "error"])
    templates = workload.templates()
    manifest = workload.manifest
    document = {
        "workload": str(workload.path),
        **{
            name: manifest[name]
            for name in ("dialect", "window", "statements", "sessions", "templates", "timestamps")
        },
        "counts": manifest["counts"],
        "kinds": _counts(statements["kind"]),
        "users": _counts(statements["user"]),
        "errors": _counts(statements["error"].drop_null()),
        "without_duration": statements["duration_us"].null_count,
        "arrivals": _arrivals(statements["started_at"]),
        "top_templates": templates.slice(0, _TOP_TEMPLATES)
        .select(
            ["template_id", "kind", "statements", "total_duration_us", "p50_us", "p95_us", "sql"]
        )
        .to_pylist(),
    }
    coverage = templates.filter(pa.compute.is_valid(templates["coverage"]))
    if len(coverage):
        document["coverage"] = _counts(coverage["coverage"])
    return document


def inspect_run(run: Run) -> dict[str, Any]:
    """run.json without what only machines read, and the ledger counted from the samples."""
    document = run.document
    return {
        "run": str(run.path),
        **{name: document.get(name) for name in ("run_id", "started_at", "ended_at", "ended_by")},
        "workload": document["workload"],
        "target": document["target"],
        "dials": document["dials"],
        "timetable": document["timetable"],
        "workers": document["workers"],
        "ledger": run.ledger().as_json(),
    }


def as_text(document: Mapping[str, Any]) -> str:
    """The description for people."""
    lines = _run_lines(document) if "run" in document else _workload_lines(document)
    return "\n".join(lines)


def _workload_lines(document: Mapping[str, Any]) -> list[str]:
    window, counts = document["window"], document["counts"]
    lines = [
        f"workload    {document['workload']} ({document['dialect']})",
        f"window      {window['from']} to {window['to']}",
        f"statements  {document['statements']:,} in {document['sessions']:,} sessions, "
        f"{document['templates']:,} templates",
        f"kinds       {_listed(document['kinds'])}",
        f"users       {_listed(document['users'])}",
        f"errors      {_listed(document['errors']) or 'none'}",
    ]
    if document["without_duration"]:
        lines.append(f"untimed     {document['without_duration']:,} statements have no duration")
    if "coverage" in document:
        lines.append(f"coverage    {_listed(document['coverage'])} templates")
    lines += [
        f"arrivals    {_curve(document['arrivals'])}",
        "",
        f"records read {counts['records_read']:,} = captured {counts['captured']:,}"
        f" + skipped {sum(counts['skipped'].values()):,}"
        f" + quarantined {sum(counts['quarantined'].values()):,}",
    ]
    for name in ("skipped", "quarantined"):
        lines += [f"  {name:<12}{n:>10,}  {reason}" for reason, n in counts[name].items()]
    lines += ["", "   count   total s   p50 ms   p95 ms  template"]
    for row in document["top_templates"]:
        lines.append(
            f"{row['statements']:>8,} {row['total_duration_us'] / 1e6:>9.2f} "
            f"{_ms(row['p50_us']):>8} {_ms(row['p95_us']):>8}  "
            f"{row['template_id'][:6]} {row['sql'][:60]}"
        )
    return lines


def _run_lines(document: Mapping[str, Any]) -> list[str]:
    dials, ended_at = document["dials"], document["ended_at"]
    ended = f"ended {ended_at} by {document['ended_by']}" if ended_at else "not ended"
    lines = [
        f"run         {document['run']}",
        f"target      {document['target']['kind']} at {document['target']['host']}",
        f"workload    {document['workload']['uri']}",
        f"started     {document['started_at']}, {ended}",
        f"dials       scale {dials['scale']:g}, speed {dials['speed']:g}, seed {dials['seed']}",
        Ledger.from_json(document["ledger"]).in_words,
    ]
    skipped = document["ledger"]["skipped"]
    return lines + [f"  skipped   {n:>10,}  {reason}" for reason, n in skipped.items()]


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    found = [
        (row["values"] or "unnamed", row["counts"])
        for row in pa.compute.value_counts(column).to_pylist()
    ]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _arrivals(started_at: pa.ChunkedArray) -> dict[str, Any]:
    """Statements per bin of equal length over the window."""
    stamps_us = started_at.cast(pa.int64()).to_numpy()
    if not len(stamps_us):
        return {"bin_s": 0.0, "statements": []}
    first_us, last_us = int(stamps_us.min()), int(stamps_us.max())
    counts, _ = np.histogram(stamps_us, bins=_CURVE_BINS, range=(first_us, last_us + 1))
    return {"bin_s": (last_us + 1 - first_us) / _CURVE_BINS / 1e6, "statements": counts.tolist()}


def _curve(arrivals: Mapping[str, Any]) -> str:
    counts = arrivals["statements"]
    peak = max(counts, default=0)
    if not peak:
        return ""
    bars = "".join(_BARS[-(-count * (len(_BARS) - 1) // peak)] for count in counts)
    return f"{bars} peak {peak / arrivals['bin_s']:.1f}/s"


def _listed(counts: Mapping[str, int], *, most: int = 6) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:most]]
    return ", ".join(shown) + (f", {len(counts) - most} more" if len(counts) > most else "")


def _ms(value_us: int | None) -> str:
    return "" if value_us is None else f"{value_us / 1e3:.1f}"
