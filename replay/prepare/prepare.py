"""A workload in 1.0's dialect and places becomes one in 2.0's.

Templates are decided on first, by one example each and with the target's word where it can be
asked; then statements stream through in batches. What is kept in memory grows with the templates,
their shapes and the cursors, not with the statements.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.artefact import sha256_of
from replay.errors import UsageError
from replay.filter import Filter
from replay.prepare import DIALECTS, TARGETS
from replay.prepare.catalog import read_catalog
from replay.prepare.check import Check
from replay.prepare.coverage import Coverage
from replay.prepare.overrides_file import overrides_file
from replay.prepare.places import Places, read_places
from replay.prepare.rewriting import Rewriting
from replay.prepare.tally import Tally
from replay.workload import CaptureCounts, Workload
from replay.workload_writer import WorkloadWriter

_BATCH_ROWS = 16_384


def prepare(
    workload: Workload,
    out: Path,
    *,
    read: str,
    write: str,
    places: Path | None = None,
    catalog: str | None = None,
    check_url: str | None = None,
    keep: Filter | None = None,
    writes: bool = False,
    progress: Callable[[str], None] = lambda said: None,
) -> Coverage:
    """Write the workload for 2.0 to `out`; returns what could be carried over.

    Sessions, order, times and template ids stay those of `workload`, so that answers and times of
    1.0 and 2.0 compare. Templates without a translation keep their text and are `unsupported`;
    what may write (without `writes`), chatter and what `keep` does not want are left out and
    counted.

    Raises:
        UsageError: a dialect, the places file, its overrides or 1.0's catalog do not fit.
        Unreachable: the target to check on does not let us in.
        Unreadable: the workload is damaged.
    """
    _refuse_misfits(workload, out, read=read, write=write)
    templates = {row["template_id"]: row for row in workload.templates().to_pylist()}
    texts = {key: row["source_sql"] or row["sql"] for key, row in templates.items()}
    columns = read_catalog(catalog) if catalog else None
    known = None
    if places:
        known = read_places(places, read=read, write=write, templates=texts, catalog=columns)
    manifest = workload.manifest
    origin: dict[str, Any] = {
        "prepared_from": {"uri": os.fspath(workload.path), "sha256": workload.sha256},
        "prepared_with": {
            "read": read,
            "write": write,
            "places_sha256": sha256_of(places) if places else None,
        },
    }
    again = "prepared_with" in manifest
    if again:
        for key in ("write", "places_sha256"):
            if manifest["prepared_with"][key] != origin["prepared_with"][key]:
                raise UsageError(
                    f"`{workload.path}` was prepared with other places or for another dialect",
                    hint="prepare the captured workload anew",
                )
        origin = {key: manifest[key] for key in origin}
        read, known = write, None
    rewriting = Rewriting(
        workload,
        templates,
        read=read,
        write=write,
        places=known,
        catalog=columns,
        writes=writes,
        again=again,
    )
    with Check(check_url, dialect=write) if check_url else nullcontext() as check:
        if check is not None:
            rewriting.ask(check, progress)
    keep = keep or Filter()
    left_out: Counter[str] = Counter()
    read_rows = 0
    with WorkloadWriter(out) as writer:
        for batch in workload.statement_batches(rows=_BATCH_ROWS):
            wanted, unwanted = keep.keep(pa.Table.from_batches([batch]))
            left_out.update(unwanted)
            for rows in wanted.to_batches():
                writer.add_statements(rewriting.rewritten(rows, left_out))
            read_rows += len(batch)
            progress(f"prepared {read_rows:,} statements")
        tallies = [tally for tally in rewriting.tallies.values() if tally.statements]
        for tally in tallies:
            writer.add_template(tally.template(dialect=write))
        coverage = _coverage(tallies, left_out, known, origin | {"checked": bool(check_url)})
        writer.add_file("coverage.json", coverage.as_json())
        writer.add_file("overrides.toml", overrides_file(coverage.unsupported()))
        captured = sum(tally.statements for tally in tallies)
        counts = CaptureCounts(records_read=read_rows, captured=captured, skipped=left_out)
        writer.commit(
            {
                "dialect": write,
                **{key: manifest.get(key) for key in ("sources", "timestamps", "redaction")},
                "counts": counts.as_json(),
                **origin,
            }
        )
    return coverage


def _coverage(
    tallies: list[Tally], left_out: Counter[str], places: Places | None, origin: dict[str, Any]
) -> Coverage:
    covered = {tally.source["template_id"]: tally.coverage() for tally in tallies}
    needs: dict[tuple[str, str], list[str]] = {}
    for tally in tallies:
        for missing in tally.missing():
            needs.setdefault((missing.what, missing.name), []).append(tally.source["template_id"])
    overrides = places.overrides if places else {}
    return Coverage(
        templates=tuple(
            sorted(
                covered.values(), key=lambda e: (-e.total_duration_us, -e.statements, e.template_id)
            )
        ),
        askers={tally.source["template_id"]: frozenset(tally.users) for tally in tallies},
        skipped=dict(left_out.most_common()),
        missing=tuple((*key, tuple(templates)) for key, templates in sorted(needs.items())),
        unused_overrides=tuple(
            sorted(overrides[key].line for key in overrides.keys() - covered.keys())
        ),
        origin=origin,
    )


def _refuse_misfits(workload: Workload, out: Path, *, read: str, write: str) -> None:
    dialect = workload.manifest["dialect"]
    prepared = "prepared_with" in workload.manifest
    for fits, message, hint in (
        (read in DIALECTS, f"`{read}` is not a dialect", f"--read: {', '.join(DIALECTS)}"),
        (write in TARGETS, f"`{write}` is not a target", f"--write: {', '.join(TARGETS)}"),
        (
            out.resolve() != workload.path.resolve(),
            f"`{out}` is the workload itself",
            "choose another directory for -o",
        ),
        (
            dialect == read or (prepared and dialect == write),
            f"`{workload.path}` is in {dialect}, not in {read}",
            f"use --read {dialect}",
        ),
    ):
        if not fits:
            raise UsageError(message, hint=hint)
