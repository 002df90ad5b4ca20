"""What the statements of a template tell together, found in one pass before any is rewritten."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import duckdb

from replay.workload import Workload

# From the narrowest; text is what is left.
_FORMS = {
    "BIGINT": r"[+-]?\d{1,18}",
    "NUMERIC": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?",
    "DATE": r"\d{4}-\d\d-\d\d",
    "TIMESTAMP": r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?",
    "TIMESTAMPTZ": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))",
    "BOOLEAN": r"(?i)true|false|t|f",
}


class Example(NamedTuple):
    """One statement to stand for its template: the first that did not fail on 1.0, if any."""

    template_id: str
    kind: str
    sql: str
    params: list[str | None] | None


def find_examples(workload: Workload) -> dict[str, Example]:
    """One statement of each template, by its id."""
    rows = _asked(
        workload,
        """
        SELECT template_id, unnest(arg_min(
            {kind: kind, sql: sql, params: params},
            statement_id + CASE WHEN error IS NULL THEN 0 ELSE 1::BIGINT << 48 END
        ))
        FROM read_parquet(?) GROUP BY template_id
        """,
    )
    return {row[0]: Example(*row) for row in rows}


BindTypes = dict[tuple[str, int], list[str]]
"""By template id and number of bind values, for each of them in order, a type's name."""


def find_bind_types(workload: Workload) -> BindTypes:
    """The type whose form all values of a bind have."""
    tests = ", ".join(f"bool_and(regexp_full_match(value, '{form}'))" for form in _FORMS.values())
    rows = _asked(
        workload,
        f"""
        SELECT template_id, binds, position, {tests}
        FROM (
            SELECT template_id, len(params) AS binds, unnest(params) AS value,
                   unnest(range(1, len(params) + 1)) AS position
            FROM read_parquet(?) WHERE len(params) > 0
        )
        GROUP BY ALL ORDER BY template_id, binds, position
        """,
    )
    found: BindTypes = {}
    for template_id, binds, _, *fits in rows:
        named = (name for name, fit in zip(_FORMS, fits, strict=True) if fit)
        found.setdefault((template_id, binds), []).append(next(named, "TEXT"))
    return found


def _asked(workload: Workload, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute("SET memory_limit = '300MB'")
        return database.execute(query, [os.fspath(workload.statements_path)]).fetchall()
