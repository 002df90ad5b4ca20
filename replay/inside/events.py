"""What happened to the server while a run went on: restarts, resizes, failovers, vacuums.

Sources: DescribeEvents of the Amazon Redshift API (a cluster's, kept for 14 days; serverless has
none) and SYS_VACUUM_HISTORY, of which ordinary users see their own rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from replay import aws
from replay.inside.views import Missing, Views

_PENDING = "pending"
"""Category of what is announced, not done."""


def read_events(
    views: Views | None,
    facts: Mapping[str, Any],
    *,
    window: tuple[datetime, datetime],
    zero: datetime,
    attempt: Callable[[str, Callable[[], list[dict[str, Any]]]], Any],
) -> list[dict[str, Any]]:
    """The lines of server/events.jsonl, by time: `at_us` since the run's `zero`, and `text`.

    `facts` is the `target` object of run.json. What may not be read is noted by `attempt`.
    """
    found: list[dict[str, Any]] = []
    if views is not None:
        found += attempt("vacuums", lambda: list(_vacuums(views, window, zero))) or []
    if facts.get("cluster"):
        found += attempt("events", lambda: list(_of_cluster(facts, window, zero))) or []
    return sorted(found, key=lambda event: (event["at_us"], event["text"]))


def _vacuums(
    views: Views, window: tuple[datetime, datetime], zero: datetime
) -> Iterator[dict[str, Any]]:
    since, until = (moment.astimezone(UTC).replace(tzinfo=None) for moment in window)
    asked = (
        "SELECT start_time, schema_name, table_name, vacuum_type, is_automatic "
        f"FROM sys_vacuum_history WHERE start_time < '{until}' "
        f"AND (end_time IS NULL OR end_time > '{since}')"
    )
    try:
        rows = views.rows(asked).to_pylist()
    except Missing:
        # Clusters too old for it.
        return
    for row in rows:
        start = row["start_time"]
        moment = start if isinstance(start, datetime) else datetime.fromisoformat(start)
        who = "automatic vacuum" if row["is_automatic"] in (True, "true", "t") else "vacuum"
        name = ".".join(str(row[part]).strip() for part in ("schema_name", "table_name"))
        kind = str(row["vacuum_type"]).strip().lower()
        yield {"at_us": _since(zero, moment), "text": f"{who} ({kind}) of {name}"}


def _of_cluster(
    facts: Mapping[str, Any], window: tuple[datetime, datetime], zero: datetime
) -> Iterator[dict[str, Any]]:
    with aws.reaching("redshift"):
        client = aws.client("redshift", region=facts.get("region"))
        pages = client.get_paginator("describe_events").paginate(
            SourceIdentifier=facts["cluster"],
            SourceType="cluster",
            StartTime=window[0] - timedelta(minutes=1),
            EndTime=window[1] + timedelta(minutes=1),
        )
        for event in (event for page in pages for event in page["Events"]):
            if _PENDING not in map(str.lower, event.get("EventCategories") or ()):
                yield {"at_us": _since(zero, event["Date"]), "text": event["Message"].strip()}


def _since(zero: datetime, moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((aware - zero).total_seconds() * 1e6)
