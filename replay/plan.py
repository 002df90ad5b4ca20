"""The plan: a run's timetable and what is asked, in files that every worker of a machine maps.

Mapped pages belong to all processes alike, so a worker starts at once and takes no memory of its
own for texts, however long the workload.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from replay.dials import Dials
from replay.timetable import Timetable, build_timetable
from replay.workload import TEXTS, Workload

PLANS = ".plan."
"""How names of plans' directories begin."""

_COLUMNS = tuple("session_id seq started_at duration_us kind template_id error user".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A timetable and the workload's statements, to whose rows it points.

    Texts and bind values are among the columns of a plan that was read, not of one just built.
    """

    timetable: Timetable
    statements: pa.Table


def build_plan(workload: Workload, dials: Dials) -> Plan:
    """Lay out a workload by the dials.

    Raises:
        Unreadable: the workload is damaged.
    """
    statements = workload.coded_statements(_COLUMNS)
    timetable = build_timetable(statements, dials)
    return Plan(timetable=timetable, statements=statements.drop_columns("started_at"))


def write_plan(plan: Plan, workload: Workload, run_dir: Path) -> TemporaryDirectory[str]:
    """Write a plan and the workload's texts, as they lie in memory, into a directory of a run.

    Raises:
        Unreadable: the workload is damaged.
        OSError: there is no room.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    files = TemporaryDirectory(prefix=PLANS, dir=run_dir.resolve())
    try:
        directory = Path(files.name)
        for field in fields(Timetable):
            np.save(directory / f"{field.name}.npy", getattr(plan.timetable, field.name))
        with pa.ipc.new_file(directory / "columns.arrow", plan.statements.schema) as file:
            file.write_table(plan.statements)
        with pa.ipc.new_file(directory / "texts.arrow", TEXTS) as file:
            for batch in workload.statement_batches(TEXTS):
                file.write_batch(batch)
    except BaseException:
        files.cleanup()
        raise
    return files


def find_plan(directory: Path, workload: Workload, dials: Dials) -> Plan:
    """Map the plan in a directory or, where it was written on another machine, the same anew.

    It stays readable when the files are removed.
    """
    if not os.access(directory, os.R_OK | os.X_OK):
        with write_plan(build_plan(workload, dials), workload, directory.parent) as own:
            return find_plan(Path(own), workload, dials)
    names = [field.name for field in fields(Timetable)]
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in names}
    statements, texts = (
        pa.ipc.open_file(pa.memory_map(str(directory / name))).read_all()
        for name in ("columns.arrow", "texts.arrow")
    )
    for name in TEXTS.names:
        statements = statements.append_column(name, texts[name])
    return Plan(timetable=Timetable(**arrays), statements=statements)
