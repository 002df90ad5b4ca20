"""What is in a workload or a run, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    """The manifest's figures, arrivals and open sessions over time, kinds, users and templates.

    Raises:
        Unreadable: a file of the workload is damaged.
    """
    # Its binding complains at the end of a process that forks after importing it, as runs do.
    import duckdb

    templates = workload.templates()
    manifest = workload.manifest
    document = {
        "workload": str(workload.path),
        **{
            name: manifest[name]
            for name in ("dialect", "window", "statements", "sessions", "templates", "timestamps")
        },
        "counts": manifest["counts"],
        "findings": manifest.get("findings", []),
    }
    with duckdb.connect() as database:
        database.execute("SET memory_limit = '200MB'")
        try:
            document |= _from_statements(database, workload)
        except duckdb.Error as error:
            raise Unreadable(f"`{workload.statements_path}` is damaged") from error
    for name, column in (("top_by_time", "total_duration_us"), ("top_by_count", "statements")):
        top = templates.sort_by([(column, "descending"), ("template_id", "ascending")])
        document[name] = top.slice(0, _TOP_TEMPLATES).select(_TEMPLATE_COLUMNS).to_pylist()
    coverage = templates.filter(pc.is_valid(templates["coverage"]))
    if len(coverage):
        document["coverage"] = _counts(coverage["coverage"])
    return document


def _from_statements(database: Any, workload: Workload) -> dict[str, Any]:  # noqa: ANN401
    database.read_parquet(str(workload.statements_path)).create_view("statements")
    found: dict[str, Any] = {}
    for name, column in (("kinds", "kind"), ("users", '"user"'), ("errors", "error")):
        rows = database.execute(
            f"SELECT coalesce({column}, 'unnamed'), count(*) AS n FROM statements "
            f"{'WHERE error IS NOT NULL' if name == 'errors' else ''} "
            "GROUP BY 1 ORDER BY n DESC, 1"
        ).fetchall()
        found[name] = dict(rows)
    bounds = database.execute(
        "SELECT epoch_us(min(started_at)), epoch_us(max(started_at)) + 1, "
        "count(*) - count(duration_us) FROM statements"
    ).fetchone()
    first_us, end_us, found["without_duration"] = bounds
    if first_us is None:
        return found | {"arrivals": {"bin_s": 0.0, "statements": [], "sessions": []}}
    place = f"((epoch_us(started_at) - {first_us}) * {_CURVE_BINS} // {end_us - first_us})"
    arrivals = database.execute(f"SELECT {place}, count(*) FROM statements GROUP BY 1").fetchnumpy()
    spans = database.execute(
        f"WITH spans AS (SELECT min({place}) AS first, max({place}) AS last FROM statements "
        "GROUP BY session_id) SELECT first, last, count(*) FROM spans GROUP BY 1, 2"
    ).fetchnumpy()
    statements = np.zeros(_CURVE_BINS, dtype=np.int64)
    statements[next(iter(arrivals.values()))] = arrivals["count_star()"]
    changes = np.zeros(_CURVE_BINS + 1, dtype=np.int64)
    np.add.at(changes, spans["first"], spans["count_star()"])
    np.subtract.at(changes, spans["last"] + 1, spans["count_star()"])
    found["arrivals"] = {
        "bin_s": (end_us - first_us) / _CURVE_BINS / 1e6,
        "statements": statements.tolist(),
        "sessions": np.cumsum(changes)[:_CURVE_BINS].tolist(),
    }
    return found


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
        "variation": document.get("variation"),
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
    arrivals = document["arrivals"]
    rate = max(arrivals["statements"], default=0) / (arrivals["bin_s"] or 1)
    most = max(arrivals["sessions"], default=0)
    lines += [
        f"arrivals    {_curve(arrivals['statements'], f' peak {rate:,.1f}/s')}",
        f"sessions    {_curve(arrivals['sessions'], f' at most {most:,} open')}",
        "",
        *_ledger(counts),
    ]
    if document["findings"]:
        lines += ["", "mind"]
        lines += [f"  - {finding}" for finding in document["findings"]]
    for name, title in (("top_by_time", "by time"), ("top_by_count", "by count")):
        lines += ["", f"   count   total s   p50 ms   p95 ms  templates {title}"]
        for row in document[name]:
            lines.append(
                f"{row['statements']:>8,} {row['total_duration_us'] / 1e6:>9.2f} "
                f"{_ms(row['p50_us']):>8} {_ms(row['p95_us']):>8}  "
                f"{row['template_id'][:6]} {row['sql'][:60]}"
            )
    return lines


def _ledger(counts: Mapping[str, Any]) -> list[str]:
    """Records read and what became of them, as a table that adds up."""
    lines = [f"{counts['records_read']:>12,}  records read"]
    rows = [("captured", "", counts["captured"])]
    for name in ("skipped", "quarantined"):
        rows += [(name, f": {reason}", number) for reason, number in counts[name].items()]
    return lines + [f"{number:>12,}    {name}{reason}" for name, reason, number in rows]


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
    variation = document["variation"]
    if variation and variation["clones"]:
        lines.append(
            f"variation   {variation['mode']}: {variation['varied']:,} of {variation['clones']:,} "
            f"statements of copies differ from their originals ({variation['share']:.1%})"
        )
    skipped = document["ledger"]["skipped"]
    return lines + [f"  skipped   {n:>10,}  {reason}" for reason, n in skipped.items()]


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    found = [
        (row["values"] or "unnamed", row["counts"]) for row in pc.value_counts(column).to_pylist()
    ]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _curve(counts: Sequence[int], peak_of: str) -> str:
    peak = max(counts, default=0)
    if not peak:
        return ""
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // peak)] for count in counts) + peak_of


def _listed(counts: Mapping[str, int], *, most: int = 6) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:most]]
    return ", ".join(shown) + (f", {len(counts) - most} more" if len(counts) > most else "")


def _ms(value_us: int | None) -> str:
    if value_us is None:
        return ""
    return f"{value_us / 1e3:.2f}" if value_us < 10_000 else f"{value_us / 1e3:.1f}"
