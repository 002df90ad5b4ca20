"""Who caused the run's cost: templates and users, by the time their statements took."""

from __future__ import annotations

from typing import Any

import duckdb

from replay.errors import Unreadable
from replay.run import Run
from replay.workload import Workload

MOST = 20
"""Of each list, those with most time."""

_COLUMNS = ("statement_id", "clone", "template_id", "sent_us", "done_us")
_SQL = """
SELECT samples.template_id, {who} AS who, count(*), coalesce(sum({time}), 0)::BIGINT AS time_us
FROM samples {joins} WHERE samples.sent_us IS NOT NULL AND samples.done_us IS NOT NULL
GROUP BY GROUPING SETS ((samples.template_id), (who)) ORDER BY time_us DESC, 1, 2
"""


def shares(run: Run, workload: Workload | None, *, usd: float) -> dict[str, Any]:
    """The run's USD per 1,000 statements, by template and by user.

    By execution time where RUN/server/queries.parquet has the server's figures, else by service
    time; `by` says which. Users are known while the workload is there.

    Raises:
        Unreadable: a file of the run is damaged.
    """
    inside = run.path / "server" / "queries.parquet"
    metered, joins, who, files = inside.is_file(), "", "NULL", {}
    if metered:
        files["inside"] = str(inside)
        joins = "LEFT JOIN read_parquet($inside) USING (statement_id, clone)"
    if workload is not None:
        files["asked"] = str(workload.statements_path)
        joins += " JOIN read_parquet($asked) AS asked USING (statement_id)"
        who = "coalesce(asked.\"user\", 'unknown')"
    sql = _SQL.format(who=who, joins=joins, time="execution_us" if metered else "done_us - sent_us")
    with duckdb.connect() as database:
        database.register("samples", run.sample_reader(_COLUMNS))
        try:
            rows = database.execute(sql, files).fetchall()
        except duckdb.Error as error:
            raise Unreadable(f"`{run.path}` holds a damaged file") from error
    templates = [(name, *row) for name, _, *row in rows if name is not None]
    users = [(who, *row) for name, who, *row in rows if name is None and who is not None]
    statements, whole = (sum(row[at] for row in templates) for at in (1, 2))

    def share(name: str, count: int, time_us: int) -> dict[str, Any]:
        part = time_us / whole if whole else 0.0
        return {"name": name, "statements": count, "share": part, "usd": usd * part}

    return {
        "by": "execution time on the server" if metered else "service time seen by the client",
        "statements": statements,
        "per_1000": usd / statements * 1000 if statements else None,
        "templates": [share(*row) for row in templates[:MOST]],
        "users": [share(*row) for row in users[:MOST]],
    }
