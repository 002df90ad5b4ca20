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

from replay.timetable import Dials, Timetable, build_timetable
from replay.workload import STATEMENTS, Workload

_COLUMNS = ("session_id", "seq", "started_at", "duration_us", "kind", "template_id", "error")
_TEXTS = ("sql", "params")


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


def write_plan(plan: Plan, workload: Workload, directory: Path) -> None:
    """Write a plan and the workload's texts, as they lie in memory, into an empty directory.

    Raises:
        OSError: there is no room.
    """
    for field in fields(Timetable):
        np.save(directory / f"{field.name}.npy", getattr(plan.timetable, field.name))
    with pa.ipc.new_file(directory / "columns.arrow", plan.statements.schema) as file:
        file.write_table(plan.statements)
    with pa.ipc.new_file(
        directory / "texts.arrow", pa.schema([STATEMENTS.field(name) for name in _TEXTS])
    ) as file:
        for batch in workload.statement_batches(_TEXTS):
            file.write_batch(batch)


def find_plan(directory: Path, workload: Workload, dials: Dials) -> Plan:
    """The plan in a directory or, where it was written on another machine, the same once more.

    Raises:
        Unreadable: the workload is damaged.
        OSError: there is no room beside the directory.
    """
    if os.access(directory, os.R_OK | os.X_OK):
        return read_plan(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=directory.name, dir=directory.parent) as own:
        write_plan(build_plan(workload, dials), workload, Path(own))
        return read_plan(Path(own))


def read_plan(directory: Path) -> Plan:
    """Map a plan that was written; it stays readable when the files are removed."""
    arrays = {
        field.name: np.load(directory / f"{field.name}.npy", mmap_mode="r")
        for field in fields(Timetable)
    }
    statements, texts = (
        pa.ipc.open_file(pa.memory_map(str(directory / name))).read_all()
        for name in ("columns.arrow", "texts.arrow")
    )
    for name in texts.column_names:
        statements = statements.append_column(name, texts[name])
    return Plan(timetable=Timetable(**arrays), statements=statements)
