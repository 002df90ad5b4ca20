"""What a run used, as the server bills it, for whoever prices it.

Superusers see it. The views tell of the whole cluster or workgroup within the run's window: what
others used meanwhile is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from replay.inside.patience import Patience
from replay.inside.views import Missing, Views

_SERVERLESS = "SUM(charged_seconds), SUM(compute_seconds) FROM sys_serverless_usage WHERE"
_PROVISIONED = "SUM(usage_in_seconds) FROM svcs_concurrency_scaling_usage WHERE"
_SCANNED = "SUM(returned_bytes) FROM sys_external_query_detail WHERE source_type = 'S3' AND"
_SCANNED_BEFORE = "SUM(s3_scanned_bytes) FROM svl_s3query_summary WHERE"


def read_usage(
    views: Views,
    *,
    serverless: bool,
    window: tuple[datetime, datetime],
    patience: Patience,
    attempt: Callable[[str, Callable[[], Any]], Any],
) -> dict[str, Any]:
    """The content of server/usage.json; what may not be read is null, and noted by `attempt`.

    `charged_seconds` are RPU-seconds with their minimum, written after a transaction's end only:
    `settled` is false where they still moved, or had not come, when the wait was over.
    """

    def added(what: str, stamps: tuple[str, str] = ("start_time", "end_time")) -> list[Any]:
        # Rows of use are of whole minutes.
        since, until = (moment.astimezone(UTC).replace(second=0, tzinfo=None) for moment in window)
        span = f"{stamps[0]} < '{until + timedelta(minutes=1)}' AND {stamps[1]} > '{since}'"
        return [column[0].as_py() for column in views.rows(f"SELECT {what} {span}").columns]

    def scanned() -> list[Any]:
        try:
            return added(_SCANNED)
        except Missing:
            return added(_SCANNED_BEFORE, ("starttime", "endtime"))

    def charged() -> float:
        charged, computed = added(_SERVERLESS)
        usage.update(charged_seconds=charged and int(charged), compute_seconds=computed)
        patience.tell(f"charged so far: {charged or 0:,} RPU-seconds")
        return float(charged or 0)

    usage: dict[str, Any] = {"charged_seconds": None, "compute_seconds": None, "settled": True}
    if serverless:
        waited = attempt("use", lambda: patience.until_still(charged, expected=float("inf")))
        scaling, usage["settled"] = [0], bool(waited)
    else:
        scaling = attempt("concurrency scaling", lambda: added(_PROVISIONED))
    for name, told in (("scaling_seconds", scaling), ("scanned_bytes", attempt("scans", scanned))):
        usage[name] = None if told is None else int(told[0] or 0)
    return usage
