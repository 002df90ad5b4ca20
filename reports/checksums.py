"""What a verdict was decided by, as checksums: the same evidence has the same one number."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Iterator, Mapping
from pathlib import Path

from replay.artefact import sha256_of
from replay.run import CLIENT, EVENTS, files_of, sample_files
from reports.load import Evidence

_FILES = ("run.json", CLIENT, EVENTS, "ingest.jsonl", "server/queries.parquet", "server/usage.json",
          "server/metrics.parquet")  # fmt: skip


def checksums(
    sides: Mapping[str, Evidence], *, gates: Path | None, config: Path | None
) -> dict[str, str]:
    """SHA-256 by name of all that was read: of each run (`candidate`, `baseline`) run.json, samples
    and what lies beside them, its workload while it is there, the gates and the configuration.

    The workload's is that of its statements, as its manifest states it.
    """
    found = {}
    for arm, evidence in sides.items():
        run = evidence.run.path
        tables, streams = sample_files(run)
        for path in (*(run / name for name in _FILES), *tables, *streams):
            if path.is_file():
                found[f"{arm}/{path.relative_to(run).as_posix()}"] = sha256_of(path)
        if evidence.workload is not None:
            found[f"{arm}/workload/statements.parquet"] = evidence.workload.sha256
    shipped = importlib.resources.files("reports") / "gates.toml"
    rules = shipped.read_bytes() if gates is None else gates.read_bytes()
    found["gates.toml"] = hashlib.sha256(rules).hexdigest()
    if config is not None:
        found["fourstep.toml"] = sha256_of(config)
    return dict(sorted(found.items()))


def in_one(found: Mapping[str, str]) -> str:
    """The checksum of all: SHA-256 of their lines in order, as `sha256sum` writes them."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in found.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def changed(sides: Mapping[str, Evidence], found: Mapping[str, str]) -> Iterator[str]:
    """Names of sample files that are not what their run says it wrote."""
    for arm, evidence in sides.items():
        for worker in evidence.document.get("workers") or []:
            for each in files_of(worker):
                name = f"{arm}/samples/{each['file']}"
                if found.get(name, each["sha256"]) != each["sha256"]:
                    yield name
