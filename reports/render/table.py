"""One table in four forms; each shows every cell, and none computes anything."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from reports.render.markdown import markdown_table
from reports.render.terminal import align
from reports.table import Cell, Table, plain

SCHEMA_VERSION = 1


def table_text(table: Table) -> str:
    """For a terminal, however wide: a line is a row."""
    return "".join(f"{line.plain.rstrip()}\n" for line in align(_texts(table)))


def table_markdown(table: Table) -> str:
    """For a pull request or a step summary."""
    return markdown_table(_texts(table))


def table_csv(table: Table) -> str:
    """For a spreadsheet (RFC 4180): a cell's value, ends and remark each in a column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    kinds = {head: [*Cell().parts] if head in table.measured else [""] for head in table.heads}
    writer.writerow(
        head if part in ("", "value") else f"{head} {part}"
        for head, parts in kinds.items()
        for part in parts
    )
    for row in table.rows:
        cells = (row[head] for head in table.heads)
        parts = (c.parts.values() if isinstance(c, Cell) else (c,) for c in cells)
        writer.writerow(plain(part) for some in parts for part in some)
    return buffer.getvalue()


def table_json(table: Table) -> str:
    """For programs: `rows`, each by the names in `heads`."""
    rows = [
        {head: cell.parts if isinstance(cell := row[head], Cell) else cell for head in table.heads}
        for row in table.rows
    ]
    document = {"schema_version": SCHEMA_VERSION, "heads": table.heads, "rows": rows}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _texts(table: Table) -> list[list[str]]:
    rows = ([row[head] for head in table.heads] for row in table.rows)
    texts = [[c.text if isinstance(c, Cell) else c for c in row] for row in rows]
    return [list(table.heads), *texts]


FORMATS: dict[str, Callable[[Table], str]] = {
    "table": table_text,
    "json": table_json,
    "markdown": table_markdown,
    "csv": table_csv,
}
