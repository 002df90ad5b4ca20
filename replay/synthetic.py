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

_BATCH = 500_000


def write_synthetic(path: Path, *, due_us: Ints, session: Ints, question: str) -> Workload:
    """Write a workload of SELECTs; `{}` in the question becomes the number of each, from 0 on."""
    before, _, after = question.partition("{}")
    template = normalise(question.replace("{}", "0"))
    with WorkloadWriter(path) as writer:
        writer.add_template(TemplateText(template.template_id, template.text, "select", ()))
        for begin in range(0, len(due_us), _BATCH):
            span = slice(begin, begin + _BATCH)
            number = np.arange(begin, begin + len(due_us[span]))
            counted = pa.array(number).cast(pa.string())
            known = {
                "session_id": pc.binary_join_element_wise("s", session[span].astype(str), ""),
                "seq": pa.array(number),
                "started_at": pa.array(due_us[span]),
                "kind": pa.repeat("select", len(number)),
                "template_id": pa.repeat(template.template_id, len(number)),
                "sql": pc.binary_join_element_wise(before, counted, after, ""),
            }
            none = pa.nulls(len(number))
            columns = [known.get(column.name, none).cast(column.type) for column in INCOMING]
            writer.add_statements(pa.Table.from_arrays(columns, schema=INCOMING))
        counts = CaptureCounts(records_read=len(due_us), captured=len(due_us)).as_json()
        manifest = {"dialect": "postgres", "sources": [], "redaction": "none", "counts": counts}
        return writer.commit(manifest | {"timestamps": {"meaning": "start", "resolution_us": 1}})
