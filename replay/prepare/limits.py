"""Constructs that parse but that a target does not run, or runs otherwise than 1.0 did.

Apart from the translation because it is a list of facts about servers (Amazon Redshift Database
Developer Guide: unsupported PostgreSQL features and functions), each with its name for the report.
"""

from __future__ import annotations

import re

from sqlglot import exp


class UnsupportedError(Exception):
    """A statement has no faithful form on 2.0: a result, not a failure.

    The text names the construct and holds no literal of a user.
    """


_REDSHIFT_NODES: dict[type[exp.Expr], str] = {
    exp.Filter: "FILTER on an aggregate",
    exp.Lateral: "LATERAL",
    exp.GenerateSeries: "generate_series",
    exp.ExplodingGenerateSeries: "generate_series",
    exp.Array: "an array",
    exp.ArrayAgg: "array_agg",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Lock: "row locks (FOR UPDATE)",
}
_REDSHIFT_FUNCTIONS = frozenset(
    "pg_sleep unnest array_to_string string_to_array json_agg jsonb_agg row_to_json "
    "to_json to_jsonb json_build_object jsonb_build_object jsonb_array_elements "
    "json_array_elements regexp_matches regexp_split_to_table width_bucket make_interval".split()
)
_MYSQL_FUNCTIONS = frozenset(
    "unix_timestamp from_unixtime find_in_set field elt substring_index inet_aton inet_ntoa "
    "last_insert_id found_rows sleep convert_tz period_diff makedate sec_to_time time_to_sec "
    "get_lock release_lock json_unquote json_contains regexp_instr".split()
)
_TRANSACTION = frozenset("begin start commit end rollback abort".split())
_SESSION = frozenset(
    "set reset show fetch move close deallocate discard listen unlisten notify savepoint release "
    "execute use lock unlock kill flush".split()
)
_NOT_OF_REDSHIFT = frozenset("savepoint release listen unlisten notify discard deallocate".split())
_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")


def first_word(sql: str) -> str:
    """The statement's first word in lower case, empty where it begins with none."""
    found = _FIRST_WORD.match(sql)
    return found[1].lower() if found else ""


def passes_as_it_is(sql: str, *, read: str, write: str) -> bool:
    """True for transaction control and session commands that the target takes word for word.

    Raises:
        UnsupportedError: it is such a command and the target does not know it.
    """
    word = first_word(sql)
    if word in _SESSION and read == "mysql":
        raise UnsupportedError(f"`{word}` of {read} has no counterpart in {write}")
    if word in _NOT_OF_REDSHIFT and write == "redshift":
        raise UnsupportedError(f"`{word}` is not a command of redshift")
    return word in _TRANSACTION or word in _SESSION


def refuse_unsupported(tree: exp.Expr, *, read: str, write: str) -> None:
    """Raise for a construct that the target lacks although a generator writes it.

    Modifiers that only steer MySQL's planner are taken away.
    """
    lacking = _MYSQL_FUNCTIONS if read == "mysql" else frozenset[str]()
    # What sqlglot knows by name it writes as Redshift has it.
    lacking_unknown = lacking | (_REDSHIFT_FUNCTIONS if write == "redshift" else set())
    for node in tree.walk():
        if read == "mysql" and isinstance(node, exp.Select):
            # STRAIGHT_JOIN, SQL_NO_CACHE and the like ask for a plan, not for another answer.
            node.set("operation_modifiers", None)
        if isinstance(node, exp.Anonymous):
            _refuse_names([node.name], lacking_unknown, write)
        elif isinstance(node, exp.Func):
            _refuse_names(node.sql_names(), lacking, write)
        if write == "redshift":
            if type(node) in _REDSHIFT_NODES:
                raise UnsupportedError(f"redshift has no {_REDSHIFT_NODES[type(node)]}")
            if isinstance(node, exp.GroupConcat) and isinstance(node.this, exp.Order):
                raise UnsupportedError("an ordered string_agg needs LISTAGG ... WITHIN GROUP")


def _refuse_names(names: list[str], lacking: frozenset[str], write: str) -> None:
    for name in names:
        if name.lower() in lacking:
            raise UnsupportedError(f"{write} has no {name.lower()}()")
