"""What the server wrote down of a run's statements.

SYS_QUERY_HISTORY, or on old provisioned clusters STL_QUERY with STL_WLM_QUERY, SVL_QLOG and
SVL_COMPILE (Amazon Redshift developer guide, "System tables and views reference"). Stamps are UTC
without a zone, durations microseconds; what is masked is -1 or six asterisks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from replay.inside.joined import ROWS
from replay.inside.patience import Patience
from replay.inside.views import Missing, Views
from replay.target.wire import ERROR_CHARACTERS, QUOTED

_ROWS_AT_ONCE = 50_000
_COLUMNS = {
    "start_time": "started_us", "end_time": "ended_us", "elapsed_time": "elapsed_us",
    "queue_time": "queue_us", "compile_time": "compile_us", "planning_time": "planning_us",
    "lock_wait_time": "lock_us", "execution_time": "execution_us", "error_message": "error",
}  # fmt: skip
"""Columns of SYS_QUERY_HISTORY that have another name in ROWS."""
_EXTRA = [pa.field(name, pa.string()) for name in ("redshift_version", "usage_limit")]
_VIEWS = {
    "sys_query_history": """SELECT * FROM sys_query_history
    WHERE status NOT IN ('planning', 'queued', 'running', 'returning')""",
    "stl_query": """SELECT q.query AS query_id, q.pid AS session_id, q.label AS query_label,
           q.starttime AS start_time, q.endtime AS end_time, l.elapsed AS elapsed_time,
           w.queue_time, w.execution_time, c.compile_from, c.compile_to,
           l.source_query IS NOT NULL AS result_cache_hit,
           CASE q.concurrency_scaling_status WHEN 1 THEN 'primary-scale' ELSE 'primary' END
               AS compute_type,
           CASE w.service_class WHEN 14 THEN 'true' ELSE 'false' END AS short_query_accelerated,
           CASE q.aborted WHEN 1 THEN 'aborted' END AS error_message
    FROM stl_query q LEFT JOIN svl_qlog l ON l.query = q.query
         LEFT JOIN (SELECT query, SUM(total_queue_time) AS queue_time,
                           SUM(total_exec_time) AS execution_time,
                           MAX(service_class) AS service_class
                    FROM stl_wlm_query GROUP BY query) w ON w.query = q.query
         LEFT JOIN (SELECT query, MIN(starttime) AS compile_from, MAX(endtime) AS compile_to
                    FROM svl_compile WHERE compile = 1 GROUP BY query) c ON c.query = q.query""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Rows of schema ROWS, their moments since 1970 by the server's clock.

    `settled` is false where rows were still arriving when the wait was over.
    """

    source: str
    rows: pa.Table
    settled: bool
    versions: list[str]
    usage_limits: list[str]


def read_history(
    views: Views,
    *,
    group: str | None,
    window: tuple[datetime, datetime],
    expected: int,
    patience: Patience,
) -> History:
    """All that began within the window, which is the server's UTC without a zone.

    `group` is the run's query group; without one other sessions' statements are read, too. Waited
    for are `expected` rows, or that no more are coming.

    Raises:
        Unreadable, Unreachable: this server has no history, or does not let this user read it.
    """
    source = "sys_query_history"
    try:
        views.rows(f"SELECT 1 FROM {source} LIMIT 0")
    except Missing:
        source = "stl_query"
    query = _VIEWS[source]
    there = views.rows(f"SELECT * FROM ({query}) AS told LIMIT 0").column_names
    ours = "" if group is None else f" AND TRIM(query_label) = '{group}'"
    found = 0

    def told(columns: str, since: datetime, until: datetime) -> pa.Table:
        span = f"start_time >= '{since}' AND start_time < '{until}'"
        return views.rows(f"SELECT {columns} FROM ({query}) AS told WHERE {span}{ours}")

    def count() -> int:
        nonlocal found
        found = int(told("COUNT(*)", *window).column(0)[0].as_py())
        patience.tell(f"the server has written down {found:,} of {expected:,} statements")
        return found

    settled = patience.until_still(count, expected=expected)
    known = {*ROWS.names, *_COLUMNS, *(each.name for each in _EXTRA), "compile_from", "compile_to"}
    listed = ", ".join(name for name in there if name in known)
    # In parts of equal length, so that an answer is of bounded size.
    parts = found // _ROWS_AT_ONCE + 1
    edges = [window[0] + (window[1] - window[0]) * place / parts for place in range(parts + 1)]
    rows = pa.concat_tables(_typed(told(listed, *span)) for span in pairwise(edges))
    versions, limits = (rows[each.name].drop_null().unique().to_pylist() for each in _EXTRA)
    return History(
        source=source,
        rows=rows.select(ROWS.names),
        settled=settled,
        versions=sorted(versions),
        usage_limits=sorted(limits),
    )


def _typed(told: pa.Table) -> pa.Table:
    """Rows of ROWS and _EXTRA; what is masked, missing or blank is null."""
    told = told.rename_columns([_COLUMNS.get(name, name) for name in told.column_names])
    columns = {}
    for each in (*ROWS, *_EXTRA):
        there = each.name in told.column_names
        column = told[each.name] if there else pa.nulls(told.num_rows, each.type)
        columns[each.name] = _cast(
            column, each.type, moment=each.name in ("started_us", "ended_us")
        )
    if "compile_from" in told.column_names:
        ends = (_cast(told[f"compile_{end}"], pa.int64(), moment=True) for end in ("to", "from"))
        columns["compile_us"] = pc.fill_null(pc.subtract(*ends), 0)
    # Quotes hold users' values.
    error = pc.replace_substring_regex(columns["error"], QUOTED.pattern, '"…"')
    columns["error"] = pc.utf8_slice_codeunits(error, 0, ERROR_CHARACTERS)
    return pa.table(columns)


def _cast(column: pa.ChunkedArray, to: pa.DataType, *, moment: bool) -> pa.ChunkedArray:
    if moment:
        return column.cast(pa.timestamp("us")).cast(to)
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        nothing = pc.is_in(column, pa.array(["", "******", "NULL", "-1"]))
        column = pc.if_else(nothing, pa.scalar(None, pa.string()), column)
    column = column.cast(to)
    if pa.types.is_integer(to):
        return pc.if_else(pc.equal(column, -1), pa.scalar(None, to), column)
    return column
