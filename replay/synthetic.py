"""A workload that nobody captured: one question, asked at given moments in given sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.offsets import Ints
from replay.template import normalise
from replay.workload import INCOMING, CaptureCounts, Workload
from replay.workload_writer import TemplateText, WorkloadWriter

_BEGINS_US = 1_767_225_600_000_000  # 2026
_BATCH = 500_000


def write_synthetic(path: Path, *, due_us: Ints, session: Ints, question: str) -> Workload:
    """Write a workload of SELECTs, one for each element of `due_us` and `session`.

    `{}` in the question becomes the statement's number, from 0 on.
    """
    before, _, after = question.partition("{}")
    template = normalise(question.replace("{}", "0"))
    with WorkloadWriter(path) as writer:
        writer.add_template(TemplateText(template.template_id, template.text, "select", ()))
        for begin in range(0, len(due_us), _BATCH):
            number = pa.array(np.arange(begin, min(begin + _BATCH, len(due_us))))
            counted = number.cast(pa.string())
            rows = {
                "session_id": pc.binary_join_element_wise(
                    "s", pa.array(session[begin : begin + _BATCH]).cast(pa.string()), ""
                ),
                "seq": number.cast(pa.int32()),
                "started_at": pa.array(_BEGINS_US + due_us[begin : begin + _BATCH]),
                "duration_us": pa.repeat(0, len(number)),
                "kind": pa.repeat("select", len(number)),
                "template_id": pa.repeat(template.template_id, len(number)),
                "sql": pc.binary_join_element_wise(before, counted, after, ""),
                "origin": pc.binary_join_element_wise("synthetic", counted, ":"),
            }
            columns = [
                rows[name].cast(INCOMING.field(name).type)
                if name in rows
                else pa.nulls(len(number), INCOMING.field(name).type)
                for name in INCOMING.names
            ]
            writer.add_statements(pa.Table.from_arrays(columns, schema=INCOMING))
        counts = CaptureCounts(records_read=len(due_us), captured=len(due_us))
        return writer.commit(
            {
                "dialect": "postgres",
                "sources": [],
                "timestamps": {"meaning": "start", "resolution_us": 1},
                "counts": counts.as_json(),
                "redaction": "none",
            }
        )
