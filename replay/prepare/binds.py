"""Types for bind values: a log keeps their text, and the type that 1.0's driver said is lost.

Where the place of a marker tells its type (a comparison with a column, a cast, LIMIT), the server
finds it as it did on 1.0. Elsewhere it would guess text or refuse, and the marker is cast to the
type whose form all values of that bind have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from replay.template import Literal, normalise

_OF_MYSQL = {
    "BIGINT": "SIGNED",
    "NUMERIC": "DECIMAL(38, 10)",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMPTZ": "DATETIME",
    "BOOLEAN": "SIGNED",
    "TEXT": "CHAR",
}
_MARK = "fsbind_"
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg)
_OF_TIME = (exp.TimestampTrunc, exp.DateTrunc, exp.Extract, exp.TimeToStr, exp.ToChar)
_TIMES = frozenset(("DATE", "TIMESTAMP", "TIMESTAMPTZ"))


def casts_needed(sql: str, types: Sequence[str], *, dialect: str) -> dict[int, str]:
    """The markers, counted in order of the text, that need a cast, and to which type."""
    markers = _markers(sql, dialect)
    marked = _replaced(sql, markers, {at: f"{_MARK}{at}()" for at in range(len(markers))})
    try:
        trees = sqlglot.parse(marked, read=dialect)
    except (SqlglotError, RecursionError):
        return {}
    needed = {}
    for tree in filter(None, trees):
        for node in tree.find_all(exp.Anonymous):
            if node.name.startswith(_MARK):
                at = int(node.name.removeprefix(_MARK))
                kind = _type_of(markers[at], at, types)
                if kind is not None and _is_open(node, kind):
                    needed[at] = kind
    return needed


def casts_everywhere(sql: str, types: Sequence[str], *, dialect: str) -> dict[int, str]:
    """A cast for each marker."""
    kinds = enumerate(_type_of(m, at, types) for at, m in enumerate(_markers(sql, dialect)))
    return {at: kind for at, kind in kinds if kind is not None}


def with_casts(sql: str, casts: Mapping[int, str], *, dialect: str) -> str:
    """The statement with these markers cast; all other text as it was."""
    return _with_casts(sql, tuple(casts.items()), dialect)


def with_literals(
    sql: str, params: Sequence[str | None], types: Sequence[str], *, dialect: str
) -> str:
    """The statement with its values in place of the markers, as typed literals."""
    markers = _markers(sql, dialect)
    literals = {}
    for at, marker in enumerate(markers):
        index = _index(marker, at)
        if index < len(params):
            literals[at] = _literal(params[index], _named(types[index], dialect), dialect)
    return _replaced(sql, markers, literals)


@lru_cache(maxsize=10_000)
def _with_casts(sql: str, casts: tuple[tuple[int, str], ...], dialect: str) -> str:
    markers = _markers(sql, dialect)
    texts = {
        at: f"CAST({markers[at].text} AS {_named(kind, dialect)})"
        for at, kind in casts
        if at < len(markers)
    }
    return _replaced(sql, markers, texts)


def _is_open(node: exp.Expr, kind: str) -> bool:
    """Whether the place of a marker leaves its type open."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, exp.Is):
        return True
    if isinstance(parent, _ARITHMETIC):
        # Beside a column or a cast a server takes that side's type.
        return kind != "TEXT" and all(
            isinstance(side, exp.Anonymous | exp.Literal | exp.Interval | exp.Paren)
            for side in parent.iter_expressions()
        )
    if isinstance(parent, exp.Select):
        return kind != "TEXT" and parent.find_ancestor(exp.SetOperation, exp.Insert) is None
    return isinstance(parent, _OF_TIME) and kind in _TIMES


def _markers(sql: str, dialect: str) -> tuple[Literal, ...]:
    # `?` is an operator of PostgreSQL's JSON, and no driver of its leaves it in a log as a marker.
    found = normalise(sql, dialect=dialect).markers
    return tuple(marker for marker in found if dialect == "mysql" or marker.text != "?")


def _index(marker: Literal, at: int) -> int:
    return at if marker.text == "?" else int(marker.text[1:]) - 1


def _type_of(marker: Literal, at: int, types: Sequence[str]) -> str | None:
    index = _index(marker, at)
    return types[index] if index < len(types) else None


def _named(kind: str, dialect: str) -> str:
    return _OF_MYSQL.get(kind, kind) if dialect == "mysql" else kind


def _literal(value: str | None, kind: str, dialect: str) -> str:
    if value is None:
        return "NULL"
    if kind in ("BIGINT", "NUMERIC", "SIGNED", "DECIMAL(38, 10)"):
        return f"({value})" if value.startswith("-") else value
    escaped = value.replace("'", "''")
    if dialect in ("mysql", "redshift"):
        escaped = escaped.replace("\\", "\\\\")
    return f"'{escaped}'" if kind in ("TEXT", "CHAR") else f"CAST('{escaped}' AS {kind})"


def _replaced(sql: str, markers: Sequence[Literal], texts: Mapping[int, str]) -> str:
    for at in sorted(texts, reverse=True):
        sql = sql[: markers[at].start] + texts[at] + sql[markers[at].end :]
    return sql
