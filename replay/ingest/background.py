"""A run's background writer: checked before the run, started with it, ended with it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from replay.errors import UsageError
from replay.ingest.config import Ingest
from replay.plan import Plan
from replay.target.target import Target, log_in
from replay.workload import coded

logger = logging.getLogger(__name__)

NOTES = "ingest.jsonl"
"""One line of JSON for each load, in the run's directory."""
_END_S = 15.0


def captured_loads_s(plan: Plan) -> list[float]:
    """When 1.0 was loaded: the due times of the captured COPYs, in seconds, ascending."""
    kind, timetable = coded(plan.statements["kind"]), plan.timetable
    codes = [n for n, word in enumerate(kind.dictionary.to_pylist()) if word == "copy"]
    at = np.flatnonzero(np.isin(kind.indices.to_numpy()[timetable.row], codes))
    of_original = at[timetable.clone_of(at) == 0]
    due_s: list[float] = np.sort(timetable.due_us[of_original] / 1e6).tolist()
    return due_s


def refuse_unwritable(ingest: Ingest, target: Target) -> None:
    """Ask for the table once, before anything is replayed.

    Raises:
        UsageError: 2.0 has no such table, or does not let this user read it.
        Unreachable: as `log_in`.
    """
    if target.kind == "null":
        raise UsageError("`null:` takes no rows", hint="leave out --ingest")
    with log_in(target) as session:
        try:
            session.execute(sql.SQL("SELECT 1 FROM {} WHERE false").format(ingest.target))
        except psycopg.Error as error:
            raise UsageError(
                f'`[ingest] table = "{ingest.table}"` cannot be asked on 2.0',
                hint="make a table or a copy for the writer first, with rights for this user",
            ) from error


class Background:
    """The writer's process, for as long as a run is on; nothing where `ingest` is None."""

    def __init__(self, ingest: Ingest | None, order: dict[str, Any]) -> None:
        """`order`: what the writer must know beside `ingest` and the run's zero."""
        self._ingest = ingest
        self._order = order
        self._log = Path(order["notes"]).with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: str | None = None

    def as_json(self) -> dict[str, Any] | None:
        """The `ingest` object of run.json: what is asked for, and why the writer failed, if so."""
        if self._ingest is None:
            return None
        told = {"rows_per_s": self._ingest.rows_per_s, "failure": self._failure}
        return self._ingest.as_json() | told

    def begin(self, zero_epoch_s: float) -> None:
        """Start it; loads count from the run's zero."""
        if self._ingest is None:
            return
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "replay.ingest.writer"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the run, which then ends us.
                start_new_session=True,
            )
        order = self._order | {"ingest": self._ingest.as_json(), "zero_epoch_s": zero_epoch_s}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Have it end, and wait."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            code = process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code == 0:
            self._log.unlink(missing_ok=True)
        else:
            self._failure = f"the writer ended with {code}, see `{self._log.name}`"
            logger.error("%s", self._failure)
