"""What a statement does: its kind, the tables it names, and whether it may write.

Found by parsing a template's text once with sqlglot; what it cannot parse is judged by its first
word. Only kinds known to read are replayed without `--writes`.
"""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

READING = frozenset({"select", "begin", "commit", "rollback", "set", "utility"})
"""Kinds that leave the target as it was."""

_BY_FIRST_WORD = {
    **dict.fromkeys(["select", "values", "table", "with"], "select"),
    **dict.fromkeys(["insert", "replace"], "insert"),
    **dict.fromkeys(["update"], "update"),
    **dict.fromkeys(["delete"], "delete"),
    **dict.fromkeys(["merge"], "merge"),
    **dict.fromkeys(["copy"], "copy"),
    **dict.fromkeys(["unload"], "unload"),
    **dict.fromkeys(["begin", "start"], "begin"),
    **dict.fromkeys(["commit", "end"], "commit"),
    **dict.fromkeys(["rollback", "abort"], "rollback"),
    **dict.fromkeys(["set", "reset"], "set"),
    **dict.fromkeys(["call", "do", "exec"], "call"),
    **dict.fromkeys(
        (
            "create alter drop truncate comment grant revoke reindex cluster vacuum analyze analyse"
            " refresh lock rename security reassign import"
        ).split(),
        "ddl",
    ),
    **dict.fromkeys(
        (
            "show explain declare fetch move close prepare execute deallocate discard listen"
            " unlisten savepoint release describe use checkpoint"
        ).split(),
        "utility",
    ),
}

# Functions of a SELECT that change something or act on other sessions (PostgreSQL manual, 9.27
# and 9.17). pg_sleep is not among them: it only takes time, as it did on 1.0.
_WRITING_FUNCTIONS = re.compile(
    r"\b(?:nextval|setval|set_config|pg_(?:terminate|cancel)_backend|pg_reload_conf|"
    r"pg_(?:try_)?advisory_\w+|pg_notify|dblink\w*|lo_\w+|pg_switch_wal|pg_rotate_logfile|"
    r"pg_create_\w+|pg_drop_\w+|get_lock|release_lock|release_all_locks)\s*\(",
    re.IGNORECASE,
)
_INTO_FILE = re.compile(r"\binto\s+(?:outfile|dumpfile)\b", re.IGNORECASE)
_WRITING_WORD = re.compile(r"\b(insert|update|delete|merge|create|drop|truncate)\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*([A-Za-z]+)", re.DOTALL)

# sqlglot warns on standard error about each statement it takes for an opaque command; what it did
# not understand is judged by its first word here.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def tables_and_kind(sql: str, dialect: str = "postgres") -> tuple[str, list[str]]:
    """`(kind, tables)` of a statement's text; several statements count as the boldest of them.

    Tables are `schema.name` where a schema is given, sorted, without the names of CTEs.
    """
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except (SqlglotError, RecursionError):
        return kind_by_first_word(sql), []
    if not trees:
        return "other", []
    kinds = [_kind_of(tree, sql) for tree in trees]
    tables = sorted({name for tree in trees for name in _tables_of(tree)})
    writing = [kind for kind in kinds if kind not in READING]
    if writing:
        return writing[0], tables
    return ("select" if "select" in kinds else kinds[0]), tables


def kind_by_first_word(sql: str) -> str:
    """A kind for text that no parser takes."""
    found = _FIRST_WORD.match(sql)
    kind = _BY_FIRST_WORD.get(found[1].lower(), "other") if found else "other"
    if kind == "select" and _WRITING_FUNCTIONS.search(sql):
        return "call"
    if kind == "select" and _INTO_FILE.search(sql):
        return "unload"
    if found and found[1].lower() in ("with", "explain", "prepare"):
        writing = _WRITING_WORD.search(sql)
        if writing:
            return _BY_FIRST_WORD[writing[1].lower()]
    return kind


def _kind_of(tree: exp.Expr, sql: str) -> str:
    if isinstance(tree, exp.Query):
        return _kind_of_query(tree, sql)
    for types, kind in (
        (exp.Insert, "insert"),
        (exp.Update, "update"),
        (exp.Delete, "delete"),
        (exp.Merge, "merge"),
        (exp.Copy, "copy"),
        (exp.Transaction, "begin"),
        (exp.Commit, "commit"),
        (exp.Rollback, "rollback"),
        (exp.Set, "set"),
        ((exp.Show, exp.Describe, exp.Use), "utility"),
    ):
        if isinstance(tree, types):
            return kind
    return kind_by_first_word(tree.sql())


def _kind_of_query(tree: exp.Query, sql: str) -> str:
    for node in tree.walk():
        if isinstance(node, exp.Into) and isinstance(node.this.this, exp.Parameter):
            continue
        for types, kind in (
            (exp.Insert, "insert"),
            (exp.Update, "update"),
            (exp.Delete, "delete"),
            (exp.Into, "ddl"),
            # FOR UPDATE takes row locks, which a read-only session may not.
            (exp.Lock, "update"),
        ):
            if isinstance(node, types):
                return kind
    return "call" if _WRITING_FUNCTIONS.search(sql) else "select"


def _tables_of(tree: exp.Expr) -> list[str]:
    if isinstance(tree, exp.Use):
        return []
    common = {cte.alias for cte in tree.find_all(exp.CTE)}
    return [
        f"{table.db}.{table.name}" if table.db else table.name
        for table in tree.find_all(exp.Table)
        if table.name
        and (table.db or table.name not in common)
        and not isinstance(table.this, exp.Parameter)
    ]
