"""`[ingest]` of a configuration: what is written into 2.0 during a replay, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from replay.errors import UsageError
from replay.problems import Table, read_toml, settle

_HINT = "see the section on writers in docs/replay.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """One table and the loads that go into it.

    From a CSV file without a header, `rows_per_load` of its lines by `COPY … FROM STDIN`, round
    and round; or, on Redshift, everything under an S3 prefix by `COPY … FROM 's3://…'`. A load is
    due every `every_s`, or (None) whenever 1.0 itself was loaded: at each captured COPY.
    """

    table: str
    rows_from: str | None = None
    copy_from: str | None = None
    iam_role: str = "default"
    rows_per_load: int = 1_000
    every_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The `ingest` object of run.json, also what the writer is told."""
        return asdict(self)

    @property
    def rows_per_s(self) -> float | None:
        """The rate that is asked for, where it is known."""
        known = self.every_s is not None and self.copy_from is None
        return self.rows_per_load / self.every_s if known and self.every_s else None

    def due_s(self, captured_s: Sequence[float]) -> Iterator[float]:
        """When loads are due after the run's zero; `captured_s` are 1.0's own, ascending."""
        if self.every_s is None:
            yield from captured_s
            return
        number = 0
        while True:
            yield number * self.every_s
            number += 1

    @property
    def target(self) -> sql.Identifier:
        """The table, quoted."""
        return sql.Identifier(*self.table.split("."))

    @property
    def statement(self) -> sql.Composed:
        """The COPY that a load is.

        Redshift's: Database Developer Guide, COPY from Amazon S3.
        """
        if self.copy_from is None:
            return sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(self.target)
        role = sql.SQL("default") if self.iam_role == "default" else sql.Literal(self.iam_role)
        return sql.SQL("COPY {} FROM {} IAM_ROLE {} FORMAT AS CSV").format(
            self.target, sql.Literal(self.copy_from), role
        )


def read_ingest(path: Path) -> Ingest:
    """Read `[ingest]`; other tables of the file are left alone.

    Raises:
        UsageError: the file is not TOML, has no such table, or the table has problems.
    """
    problems: list[str] = []
    document = Table(read_toml(path), "", problems)
    if not document.has("ingest"):
        raise UsageError(f"`{path}` has no table `[ingest]`", hint=_HINT)
    section = document.table("ingest")
    texts = {}
    for key in ("table", "rows_from", "copy_from", "iam_role"):
        texts[key] = value = section.value(key)
        if value is not None and (not isinstance(value, str) or not value):
            section.add(f"`{key}` must be a string that is not empty")
    if texts["table"] is None:
        section.add("`table` is missing: rows go nowhere that was not named")
    if (texts["rows_from"] is None) == (texts["copy_from"] is None):
        section.add("give one of `rows_from`, a CSV file, and `copy_from`, an s3:// prefix")
    if texts["copy_from"] is not None and not str(texts["copy_from"]).startswith("s3://"):
        section.add("`copy_from` must begin with s3://")
    if texts["rows_from"] is not None:
        rows = path.parent / str(texts["rows_from"])
        if not rows.is_file() or not rows.stat().st_size:
            section.add(f"`rows_from`: `{rows}` is not a file with rows")
        texts["rows_from"] = str(rows.resolve())
    rows_per_load = int(section.number("rows_per_load", 1_000, low=1))
    rate, every_s = section.has("rows_per_s"), section.has("every_s")
    captured = bool(section.value("captured", False))
    interval_s: float | None = None
    if rate + every_s + captured != 1:
        section.add("give one of `rows_per_s`, `every_s` and `captured = true`")
    elif rate and texts["copy_from"] is not None:
        section.add("how many rows an s3:// prefix holds is not known: give `every_s`")
    elif rate:
        interval_s = rows_per_load / section.number("rows_per_s", 1, low=1e-6)
    elif every_s:
        interval_s = section.number("every_s", 1, low=0.001)
    section.close()
    settle(str(path), problems, hint=_HINT)
    given = {key: value for key, value in texts.items() if value is not None}
    return Ingest(**given, rows_per_load=rows_per_load, every_s=interval_s)
