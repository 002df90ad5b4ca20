"""What 1.0 has: its tables with their columns, from an export or from 1.0 itself."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from replay.errors import Unreachable, UsageError
from replay.target.target import log_in, parse_target

_NEEDED = ("table_schema", "table_name", "column_name")
_LISTED = 20
_STATEMENT_TIMEOUT_S = 30.0
# information_schema.columns leaves out materialised views and what the role may not read.
_COLUMNS = """
SELECT n.nspname, c.relname, a.attname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg!_t%' ESCAPE '!'
ORDER BY n.nspname, c.relname, a.attnum"""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Columns in their order, by schema and table, each name spelt as 1.0 has it."""

    tables: Mapping[tuple[str, str], tuple[str, ...]]
    _by_case: dict[tuple[str, str], tuple[str, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for (schema, table), columns in self.tables.items():
            self._by_case.setdefault((schema.lower(), table.lower()), columns)

    def columns(self, schema: str, table: str) -> tuple[str, ...] | None:
        """A table's columns, whatever its case where no table is spelt so."""
        found = self.tables.get((schema, table))
        return found or self._by_case.get((schema.lower(), table.lower()))

    def names(self, schema: str) -> list[str]:
        """The tables of a schema; none where it has no such schema."""
        return [table for own, table in self.tables if own.lower() == schema.lower()]


def read_catalog(source: str) -> Catalog:
    """1.0's catalog, of a CSV export of `information_schema.columns` or a `postgresql://` URL.

    A header names the columns in any order and case: table_schema, table_name, column_name and
    perhaps ordinal_position, without which the rows of a table are in its order.

    Raises:
        UsageError: the file cannot be read or has bad rows, which are listed with their lines.
        Unreachable: the server does not let us in, or the connection broke.
    """
    if source.startswith(("postgresql://", "postgres://")):
        return _asked(source)
    try:
        with Path(source).open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            return _read(source, ((reader.line_num, row) for row in reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = "name a .csv file in UTF-8 or a postgresql:// URL"
        raise UsageError(f"`{source}` cannot be read", hint=hint) from error


def _read(source: str, rows: Iterator[tuple[int, list[str]]]) -> Catalog:
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    problems = [f"line 1: the header lacks `{name}`" for name in _NEEDED if name not in header]
    found: dict[tuple[str, str], dict[str, int]] = {}
    for number, row in () if problems else rows:
        given = dict(zip(header, row, strict=False))
        place = given.get("ordinal_position", str(number))
        problem = None
        if len(row) != len(header):
            problem = f"{len(row)} fields, the header has {len(header)}"
        elif not all(given[name] for name in _NEEDED):
            problem = f"{', '.join(f'`{name}`' for name in _NEEDED if not given[name])} is empty"
        elif not (place.isascii() and place.isdecimal()):
            problem = "`ordinal_position` is no number"
        else:
            columns = found.setdefault((given["table_schema"], given["table_name"]), {})
            if given["column_name"] in columns or int(place) in columns.values():
                problem = "a column of this name or position was there before"
            columns.setdefault(given["column_name"], int(place))
        if row and problem:
            problems.append(f"line {number}: {problem}")
    if problems or not found:
        what = f"{len(problems)} bad line(s)" if problems else "no table"
        listed = problems[:_LISTED] + ["..."] * (len(problems) > _LISTED)
        hint = "export information_schema.columns with its header"
        raise UsageError("\n  ".join([f"`{source}` has {what}", *listed]), hint=hint)
    return Catalog({table: tuple(sorted(own, key=own.__getitem__)) for table, own in found.items()})


def _asked(url: str) -> Catalog:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    with log_in(parse_target(url, statement_timeout_s=_STATEMENT_TIMEOUT_S)) as connection:
        try:
            for schema, table, column in connection.execute(_COLUMNS).fetchall():
                found[schema, table] = (*found.get((schema, table), ()), column)
        except psycopg.Error as error:
            raise Unreachable(
                "1.0 does not tell of its columns", hint="check the role's rights, or use a CSV"
            ) from error
    return Catalog(found)
