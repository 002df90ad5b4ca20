"""MySQL's ways that PostgreSQL and Redshift do not have (MySQL 8.4 Reference Manual, 11 to 14)."""

from __future__ import annotations

from sqlglot import exp

from replay.prepare.unsupported import UnsupportedError

_LACKING = frozenset(
    "unix_timestamp from_unixtime find_in_set field elt substring_index inet_aton inet_ntoa "
    "last_insert_id found_rows sleep convert_tz period_diff makedate sec_to_time time_to_sec "
    "get_lock release_lock json_unquote json_contains regexp_instr".split()
)


def from_mysql(tree: exp.Expr, *, write: str) -> exp.Expr:
    """Give MySQL's constructs a form that both targets take.

    Raises:
        UnsupportedError: a construct has none.
    """
    for node in tree.walk():
        if isinstance(node, exp.Select):
            # STRAIGHT_JOIN, SQL_NO_CACHE and the like ask for a plan, not for another answer.
            node.set("operation_modifiers", None)
        if isinstance(node, exp.Func):
            names = [node.name] if isinstance(node, exp.Anonymous) else node.sql_names()
            for name in names:
                if name.lower() in _LACKING:
                    raise UnsupportedError(f"{write} has no {name.lower()}()")
    return tree
