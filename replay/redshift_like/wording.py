"""Statements in Redshift's words: what they are, what is refused, what the backend is asked.

Pure. A refusal is a statement too, one that raises: so it fails a transaction as it should, and
in a failed one it is refused for that first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from replay.template import normalise, scan, split_quickly

OWN_PARAMETERS: Mapping[str, str] = {
    **dict.fromkeys("enable_result_cache_for_session mv_enable_aqmv_for_session".split(), "on"),
    **dict.fromkeys(
        "describe_field_name_in_uppercase enable_case_sensitive_identifier enable_vacuum_boost"
        " error_on_nondeterministic_update json_serialization_enable use_fips_ssl".split(),
        "off",
    ),
    "query_group": "default",
    "wlm_query_slot_count": "1",
    "analyze_threshold_percent": "10",
}
"""Redshift's parameters that PostgreSQL lacks and their defaults (developer guide, "Modifying the
server configuration"). The backend keeps them under the prefix below: SET, SHOW, RESET, SET LOCAL
and ROLLBACK are then its work."""
PREFIX = "redshift_like."
_SHARED_PARAMETERS = frozenset(
    "all application_name authorization characteristics client_encoding datestyle names"
    " extra_float_digits search_path seed session_authorization server_encoding server_version"
    " statement_timeout time timezone transaction transaction_isolation".split()
)
_PARAMETER = re.compile(r"(set|reset|show) (?:(?:session|local) )?([\w.]+)")
_OWN = re.compile(
    rf"\s*(?:set|reset|show)\s+(?:session\s+|local\s+)?(?=(?:{'|'.join(OWN_PARAMETERS)})\b)", re.I
)

# Of statements without their literals. SQLSTATE and words: from memory, but for those of COPY,
# DEALLOCATE and parameters, which users quote in public threads.
_REFUSED = (
    (r"(?:savepoint|release|rollback to|listen|unlisten|notify)\b.*", "0A000",
     'SQL command "{0}" not supported.'),
    (r"deallocate (?:prepare )?all$", "26000", 'prepared statement "all" does not exist'),
    (r"(discard)\b", "42601", 'syntax error at or near "{1}"'),
    (r"copy .*\bfrom stdin\b", "0A000", "LOAD source is not supported. (Hint: only S3 or DynamoDB "
     "or EMR based load is allowed)"),
    (r"copy .*\b(to)\b", "42601", 'syntax error at or near "{1}"'),
    (r".*\b(pg_(?:try_)?advisory_\w+)\(", "42883", "function {1}() does not exist"),
    (r".*\b(?:string_agg|array_agg|xmlagg)\(", "0A000", "Specified types or functions (one per "
     "INFO message) not supported on Redshift tables."),
    (r".*\bis (?:not )?(distinct) from\b", "42601", 'syntax error at or near "{1}"'),
    (r"insert .*\bon (conflict)\b", "42601", 'syntax error at or near "{1}"'),
)  # fmt: skip

_TYPES = {
    **dict.fromkeys("select with values table".split(), "SELECT"),
    **{word: word.upper() for word in "insert update copy unload".split()},
    **dict.fromkeys("delete merge call".split(), "OTHER"),
    **dict.fromkeys(
        "create alter drop truncate comment grant revoke vacuum analyze".split(), "DDL"
    ),
}
_CTAS = re.compile(r"create (?:\w+ )?table .*\bas\b|(?:select|with) .*\binto\b")
_QUEUED = frozenset("SELECT INSERT UPDATE COPY UNLOAD CTAS OTHER".split())
_WRITING = frozenset("INSERT UPDATE COPY CTAS OTHER DDL".split())
_SYSTEM = re.compile(
    r"\b(?:(?:sys|stl|svl|svcs|svv|stv)_\w+|pg_(?!sleep)\w+|information_schema)\b|\bversion\("
)
_VARYING = re.compile(
    r"\b(?:getdate|sysdate|random|now|current_\w+|clock_timestamp|timeofday|session_user|user"
    r"|nextval|pg_\w+)\b"
)
_STOP = re.compile(r"(?:cancel|select pg_(?:cancel|(terminate))_backend\s*\()\s*(\d+)", re.I)
_BARE_UNIT = re.compile(r"\b(dateadd|datediff|date_part)\s*\(\s*(\w+)\s*,", re.I)
_SYSDATE = re.compile(r"\bsysdate\b", re.I)
_SOURCE = re.compile(r"(copy\s+.+?\sfrom\s+)'s3://([^']+)'(.*)", re.I | re.S)
_DELIMITER = re.compile(r"delimiter\s+(?:as\s+)?('[^']+')", re.I)


class Statement(NamedTuple):
    """What a text is on Redshift."""

    sql: str
    """For the backend."""
    shape: str
    """Without literals: statements that share it share compiled code."""
    query_type: str
    """As in SYS_QUERY_HISTORY; empty for no statement at all."""
    queues: bool
    """Takes WLM slots and is compiled; what the leader node does alone is not."""
    system: bool
    """Asks what a system view or function knows."""
    writes: bool
    cacheable: bool
    parameter: str | None
    """What SET or RESET sets."""
    stops: tuple[int, bool] | None = None
    """The session whose statement it cancels, and whether the session ends too."""
    source: str = ""
    """BUCKET/KEY that it loads."""


def split(sql: str) -> list[str]:
    """The statements of one message."""
    if ";" not in sql.rstrip("; \t\r\n"):
        return [sql]
    ends = [token.start for token in scan(sql, "redshift") if token.text == ";"]
    parts = [sql[a:b].strip("; \t\r\n") for a, b in zip([0, *ends], [*ends, None], strict=True)]
    return [part for part in parts if part] or [""]


def read(sql: str) -> Statement:
    """Tell what a single statement is, and reword it for the backend."""
    parts = split_quickly(sql, dialect="redshift")
    known = _read_shape(sql if parts is None else "?".join(parts[::2]))
    if known.sql:
        return known
    stop, own, loads = _STOP.match(sql.strip()), _OWN.match(sql), _SOURCE.match(sql.strip())
    if stop:
        return known._replace(sql="SELECT 1", stops=(int(stop[2]), bool(stop[1])))
    if loads:
        return known._replace(sql=loads[1] + _load_options(loads[3]), source=loads[2])
    if own:
        return known._replace(sql=f"{sql[: own.end()]}{PREFIX}{sql[own.end() :]}")
    # Words that PostgreSQL takes for columns: SYSDATE, and the unit in DATEADD(day, …).
    parts = parts or [sql]
    parts[::2] = [_BARE_UNIT.sub(r"\1('\2',", _SYSDATE.sub("sysdate()", p)) for p in parts[::2]]
    return known._replace(sql="".join(parts))


def _load_options(options: str) -> str:
    """Options of a COPY from S3 as those of one from the client; what else there is, is ignored."""
    delimiter = _DELIMITER.search(options)
    csv = re.search(r"\bcsv\b", options, re.I)
    words = [f"FORMAT {'csv' if csv else 'text'}", f"DELIMITER {delimiter[1]}" if delimiter else ""]
    if not csv and not delimiter:
        words[1] = "DELIMITER '|'"
    header = "HEADER" if re.search(r"\bignoreheader\s+(?:as\s+)?1\b", options, re.I) else ""
    return f"STDIN ({', '.join(filter(None, [*words, header]))})"


def value_of(sql: str) -> str | None:
    """What a SET sets; None for a default, also by RESET."""
    found = re.search(r"(?:=|\bto\b)\s*(.*)", sql, re.I | re.S)
    value = found[1].strip(" ;\n") if found else "default"
    return None if value.lower() == "default" else value.strip("'\"")


def refusal(sqlstate: str, text: str) -> str:
    """A statement that fails with these words."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"CALL redshift_like.refuse('{sqlstate}', '{quoted}')"


@lru_cache(4_096)
def _read_shape(text: str) -> Statement:
    """All that a text without its literals tells; `sql` only where that is a refusal."""
    shape = normalise(text, dialect="redshift").text
    first = shape.lstrip("( ").partition(" ")[0]
    query_type = "CTAS" if _CTAS.match(shape) else _TYPES.get(first, "UTILITY" if shape else "")
    alone = query_type == "SELECT" and " from " not in shape and "pg_sleep" not in shape
    system = bool(_SYSTEM.search(shape))
    refused = _refused(shape)
    found = _PARAMETER.match(shape)
    return Statement(
        sql=refused,
        shape=shape,
        query_type=query_type,
        queues=query_type in _QUEUED and not (alone or system or refused),
        system=system,
        writes=query_type in _WRITING,
        cacheable=query_type == "SELECT" and not (alone or system or _VARYING.search(shape)),
        parameter=found[2] if found and found[1] != "show" else None,
    )


def _refused(shape: str) -> str:
    for pattern, sqlstate, words in _REFUSED:
        found = re.match(pattern, shape)
        if found:
            return refusal(sqlstate, words.format(found[0], *found.groups()))
    parameter = _PARAMETER.match(shape)
    if parameter and parameter[2] not in _SHARED_PARAMETERS | OWN_PARAMETERS.keys():
        return refusal("42704", f'unrecognized configuration parameter "{parameter[2]}"')
    return ""


def reword_error(fields: Mapping[str, str], query_id: int, query_type: str) -> dict[str, str]:
    """PostgreSQL's error in Redshift's words, as far as they are known."""
    state, text = fields.get("C", ""), fields.get("M", "")
    if state == "57014":
        text = f"Query ({query_id}) canceled on user's request"
    elif state == "42501":
        text = re.sub(r"denied for (?:view|table)", "denied for relation", text)
    elif query_type == "COPY" and state.startswith("22"):
        text = "Load failed. Check 'stl_load_errors' system table for details."
    # The context is that of our own function, the rest PostgreSQL's source.
    return {letter: fields[letter] for letter in "SCDHP" if letter in fields} | {"M": text}
