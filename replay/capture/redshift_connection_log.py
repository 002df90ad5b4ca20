"""Lines of Redshift's connection log and user log: values between pipes, padded with spaces.

Fields: Amazon Redshift management guide, "Database audit logging". Versions have added fields at
the end, so that old files have fewer of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Ints, What, records_of
from replay.capture.stamp import stamps_us

_STAMP = (
    r"[A-Z][a-z][a-z], +(?P<day>\d{1,2}) (?P<month>[A-Z][a-z][a-z]) (?P<year>\d{4})"
    r" (?P<clock>\d\d:\d\d:\d\d):(?P<ms>\d{3})"
)
CONNECTION = r"^\s*(?P<event>[a-z][a-z_ ]{2,49}?) *\|" + _STAMP + r" *\|"
"""How a record of the connection log begins."""
USER = r"^\s*\d+\|(?:[^|\n]*\|){9}" + _STAMP.replace("?P<", "?P<user_") + r"\s*(?:\||$)"
"""How a record of the user log does."""

_FIELDS = {"pid": 4, "database": 5, "user": 6, "application": 15, "driver": 17, "session": 20}
_MONTHS = pa.array("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_SESSION = r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]+)+$"
_PID = r"^\d{1,18}$"
_REASONS = {
    "disconnecting session": "disconnection",
    "authentication failure": "authentication failure",
}


def connection_events(
    records: pa.StringArray, fields: Mapping[str, pa.StringArray], *, zone: tzinfo | None
) -> dict[str, Any]:
    """Records of the connection log as columns of `replay.capture.redshift_connections.EVENTS`.

    `fields` is what CONNECTION has found in them.
    """
    values = pc.split_pattern(records, "|")
    begins = values.offsets.to_numpy()
    count = np.diff(begins)
    flat = pc.ascii_trim_whitespace(values.values)

    def column(number: int) -> pa.StringArray:
        at = pa.array(begins[:-1] + number, mask=count <= number)
        return pc.fill_null(flat.take(at), "")

    columns = {name: column(number) for name, number in _FIELDS.items()}
    return {
        **columns,
        "pid": _where(columns["pid"], _PID).cast(pa.int64()),
        "session": _where(columns["session"], _SESSION),
        "event": fields["event"],
        "at_us": _moments(fields, zone),
    }


def connection_records(events: Mapping[str, Any], lines: Ints) -> pa.Table:
    """Rows of RECORDS: connections are remembered, not replayed."""
    reason = np.full(len(lines), "connection", dtype=object)
    for event, why in _REASONS.items():
        reason[mask(pc.equal(events["event"], event))] = why
    return records_of(
        len(lines),
        {
            **{name: events[name] for name in ("at_us", "user", "database", "application")},
            "line": lines,
            "what": int(What.SKIPPED),
            "reason": pa.array(reason, type=pa.string()),
        },
    )


def user_records(
    fields: Mapping[str, pa.StringArray], lines: Ints, *, zone: tzinfo | None
) -> pa.Table:
    """Rows of RECORDS of the user log, `fields` being what USER has found: who may log in."""
    fields = {name.removeprefix("user_"): column for name, column in fields.items()}
    columns = {"line": lines, "what": int(What.SKIPPED), "reason": "user log"}
    return records_of(len(lines), {**columns, "at_us": _moments(fields, zone)})


def _moments(fields: Mapping[str, pa.StringArray], zone: tzinfo | None) -> pa.Int64Array:
    month = pc.add(pc.index_in(fields["month"], _MONTHS), 1).cast(pa.string())
    month, day = (pc.utf8_lpad(text, 2, "0") for text in (month, fields["day"]))
    date = pc.binary_join_element_wise(fields["year"], month, day, "-")
    clock = pc.binary_join_element_wise(fields["clock"], fields["ms"], ".")
    return stamps_us(pc.binary_join_element_wise(date, clock, " "), zone=zone)


def _where(texts: pa.StringArray, pattern: str) -> pa.StringArray:
    """The texts that match; null in place of the others."""
    return pc.if_else(pc.match_substring_regex(texts, pattern), texts, pa.scalar(None, pa.string()))
